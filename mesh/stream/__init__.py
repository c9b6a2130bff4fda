"""The reliable, sealed, credit-controlled byte stream between the two ends of a connection."""

from mesh.stream.budget import StreamBudget
from mesh.stream.control import ResetCode
from mesh.stream.effects import Effects
from mesh.stream.sealing import SegmentSealer
from mesh.stream.stream import Stream
from mesh.stream.window import INITIAL_WINDOW_OCTETS, WindowLimits

__all__ = [
    "INITIAL_WINDOW_OCTETS",
    "Effects",
    "ResetCode",
    "SegmentSealer",
    "Stream",
    "StreamBudget",
    "WindowLimits",
]
