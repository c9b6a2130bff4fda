"""The link between two peers: how it opens, its frames, and what waits to be sent on it."""
