"""What the agents of one simulated process do once for all of them: read and verify the same bytes."""

from typing import Final

from mesh.errors import AuthenticationError
from mesh.link.bodies import WireRecord
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import Record, RecordBody
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import verify_signature

MAX_REMEMBERED: Final = 50_000

_checked: dict[tuple[bytes, bytes, bytes, bytes], bool] = {}


def remembered_check(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """``verify_signature``, which costs most of a simulation, once for each signature in the process."""
    key = (public_key, context, message, signature)
    if key not in _checked:
        if len(_checked) > MAX_REMEMBERED:
            _checked.clear()
        try:
            verify_signature(*key)
        except AuthenticationError:
            _checked[key] = False
        else:
            _checked[key] = True
    if not _checked[key]:
        raise AuthenticationError("the signature does not verify")


class SharedReader(RecordReader):
    """Reads and verifies each record once for all agents of a mesh, which then hold the same objects.

    Certificates are judged each time: agents differ in their authorities and clocks.
    """

    def __init__(self) -> None:
        super().__init__(remembered_check)
        self._bodies: dict[bytes, RecordBody] = {}
        self._verified: dict[tuple[bytes, bytes], tuple[Record, WireRecord]] = {}

    def read(self, signed: bytes) -> RecordBody:
        """As any reader does it; what cannot be read is read again."""
        body = self._bodies.get(signed)
        if body is None:
            if len(self._bodies) >= MAX_REMEMBERED:
                self._bodies.clear()
            body = self._bodies[signed] = super().read(signed)
        return body

    def verify(
        self, wire: WireRecord, body: RecordBody, trust: TrustStore, unix_now: float
    ) -> tuple[Record, WireRecord]:
        """As any reader does it; what does not verify is verified again."""
        trust.admit(body.certificate, unix_now)
        key = (wire.signed, wire.signature)
        verified = self._verified.get(key)
        if verified is None:
            if len(self._verified) >= MAX_REMEMBERED:
                self._verified.clear()
            verified = self._verified[key] = super().verify(wire, body, trust, unix_now)
        return verified
