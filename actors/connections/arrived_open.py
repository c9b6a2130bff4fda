"""An OPEN that has passed every check that takes no cryptography, with what is known of who sent it."""

from typing import NamedTuple, TypeAlias

from mesh.connection.party import Party
from mesh.link.frames import Frame
from mesh.routing.records import Record

PairKeys: TypeAlias = tuple[bytes, bytes] | None
"""Of a connection that opens under a pair session: of what its ingress sends, and its exit. None of a full
OPEN, which brings its own."""


class ArrivedOpen(NamedTuple):
    """What an exit connection is started for."""

    frame: Frame
    party: Party
    """The ingress."""
    record: Record
    """The ingress's."""
    pair_keys: PairKeys
