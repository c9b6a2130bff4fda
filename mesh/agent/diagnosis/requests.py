"""What the API takes of those that want a diagnosis."""

from typing import Annotated, Final

import msgspec

from mesh.diagnostics.serving import BENCH_MAX_S
from mesh.diagnostics.tasks import TIMEOUT_S

MAX_TO_CHARACTERS: Final = 255

To = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TO_CHARACTERS)]
Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=60.0)]


class PingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/pings``."""

    to: To
    """A key, or an agent by its name, its ID or the first 8 digits of that."""
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 5
    """0 is until somebody ends it."""
    interval_s: Seconds = 1.0
    timeout_s: Seconds = TIMEOUT_S


class TraceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/traces``."""

    to: To
    """As for a ping."""
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Pings to each agent on the way."""
    timeout_s: Seconds = TIMEOUT_S


class BenchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/benches``."""

    key: To
    seconds: Annotated[float, msgspec.Meta(ge=0.1, le=BENCH_MAX_S)] = 3.0
    """Each way."""
