"""The actors: each turns messages and socket readiness into calls on the pure core in ``mesh``."""
