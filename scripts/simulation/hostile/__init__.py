"""A member of a simulated mesh that does whatever its wire allows, and what must be so in spite of it."""
