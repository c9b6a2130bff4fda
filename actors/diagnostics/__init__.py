"""The actors of diagnostics."""
