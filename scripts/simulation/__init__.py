"""A mesh of real agents in a simulated world or on loopback: scenarios, faults, invariants, reports."""
