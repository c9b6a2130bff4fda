"""How many links a path has at most, and a frame may cross."""

from typing import Final

DEFAULT_MAX_HOPS: Final = 16
"""Unless ``routing.max_hops`` says otherwise: what a routing loop can cost."""
