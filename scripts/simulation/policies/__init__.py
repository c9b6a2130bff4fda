"""A simulated mesh whose policies change all the time, and what must be so whatever they come to."""
