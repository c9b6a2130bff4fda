"""Tunneled connections: listeners, endpoints, both ends, and the table of all of them."""
