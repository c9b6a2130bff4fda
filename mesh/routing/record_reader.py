"""Reads records that others sent: judges their form, and then who says so."""

from mesh.errors import RemoteProtocolError
from mesh.link.bodies import WireRecord
from mesh.routing.records import Record, RecordBody, decode_body, trusted_record
from mesh.trust.certificates import TrustStore
from mesh.trust.extensions import check_extensions
from mesh.trust.identity import RECORD_CONTEXT, SignatureCheck, agent_id_of, short_id, verify_signature


def verify_record(
    wire: WireRecord, body: RecordBody, trust: TrustStore, check: SignatureCheck, unix_now: float
) -> Record:
    """The record in ``wire``, whose body is ``body``, once certificate and signature have been judged.

    Args:
        wire: as it arrived.
        body: what :func:`decode_body` made of it.
        trust: who may take part.
        check: :func:`mesh.trust.identity.verify_signature`, or one that remembers.
        unix_now: Unix seconds.

    Raises:
        TrustError: the certificate admits nobody, or a critical extension is unknown.
        RemoteProtocolError: the certificate is somebody else's.
        AuthenticationError: the signature is not the agent's.
    """
    certificate = trust.admit(body.certificate, unix_now)
    if certificate.subject != body.public_key:
        raise RemoteProtocolError(
            f"a record of {short_id(agent_id_of(body.public_key))} carries the certificate of "
            f"{certificate.name!r} ({short_id(certificate.agent_id)})"
        )
    if body.extensions:
        check_extensions(body.extensions, f"the record of {certificate.name!r}")
    check(body.public_key, RECORD_CONTEXT, wire.signed, wire.signature)
    return trusted_record(body, certificate)


class RecordReader:
    """Reads and verifies records; a simulation may pass one whose agents share what came of it.

    Args:
        check: verifies a signature.
    """

    def __init__(self, check: SignatureCheck = verify_signature) -> None:
        self.check = check

    def read(self, signed: bytes) -> RecordBody:
        """:func:`decode_body`."""
        return decode_body(signed)

    def verify(
        self, wire: WireRecord, body: RecordBody, trust: TrustStore, unix_now: float
    ) -> tuple[Record, WireRecord]:
        """:func:`verify_record`, and the bytes to keep, whose age says nothing."""
        return verify_record(wire, body, trust, self.check, unix_now), wire
