"""Letting agents in: what an issuer signs for whom, and how agents ask for it."""
