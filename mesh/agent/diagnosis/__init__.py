"""Diagnoses for people and programs: from what they ask for to jobs of the actors, and back."""
