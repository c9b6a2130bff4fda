"""The actors' runtime: dispatchers, the base actor, the supervisor, and the seam to the outside world."""
