"""A tunneled connection: its session, the order of its candidates, and its stream."""
