"""The seam over a virtual clock and an in-memory network."""
