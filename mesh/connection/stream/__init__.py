"""The reliable, sealed, credit-controlled byte stream between the two ends of a connection."""

from mesh.connection.stream.budget import StreamBudget
from mesh.connection.stream.control import ResetCode
from mesh.connection.stream.effects import NOTHING, Effects, PathVerdict
from mesh.connection.stream.sealing import SegmentSealer
from mesh.connection.stream.stream import Stream
from mesh.connection.stream.window import INITIAL_WINDOW_BYTES, WindowLimits

__all__ = [
    "INITIAL_WINDOW_BYTES",
    "NOTHING",
    "Effects",
    "PathVerdict",
    "ResetCode",
    "SegmentSealer",
    "Stream",
    "StreamBudget",
    "WindowLimits",
]
