"""Fuzzing of everything that reads outside bytes: targets, their first inputs, and how they are run."""
