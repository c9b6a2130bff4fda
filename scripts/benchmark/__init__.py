"""The benchmark: ways from client to server, the load on them, what is measured, and how it is reported."""
