"""Links to peers: dialing, accepting, the link itself, and the directory of all of them."""
