"""Diagnostics of the mesh: what is asked of an agent, what it answers, and what follows from it."""
