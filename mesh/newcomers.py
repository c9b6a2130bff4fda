"""How long one learns who offers a key before newcomers are told of, and how many are remembered."""

from typing import Final

SETTLING_S: Final = 60.0
"""For so long after its start whoever looks for newcomers learns who offers a key, as all is new to it."""

MAX_KNOWN: Final = 256
"""Agents that are remembered for a key; beyond it the oldest are told again if they come back."""
