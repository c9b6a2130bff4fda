"""Trials of a mesh of real processes: what its users notice while agents and services fail."""
