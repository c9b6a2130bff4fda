"""Joining by a token, as section 8 of docs/PROTOCOL.md has it under ``mesh:enrol``."""

import asyncio
import base64
import hashlib
import os

import msgspec

from tests.second.agent import Agent
from tests.second.link import Party
from tests.second.wire import (
    Grants,
    Identity,
    ProtocolError,
    admitted,
    agent_id,
    certificate_body,
    decode,
    encode,
)

PREFIX = "meshjoin_"
CHECKSUM_BYTES = 4
ENROL = "mesh:enrol"
PATIENCE_S = 15.0
POLL_S = 0.02


class Token(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What people bring to a new machine."""

    addresses: tuple[str, ...]
    authorities: tuple[bytes, ...]
    seed: bytes
    certificate: bytes


class Question(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    public_key: bytes
    proof: bytes


class Given(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    certificate: bytes
    why_not: str


def read_token(text: str) -> Token:
    body = text.strip().removeprefix(PREFIX)
    octets = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    end = 2 + int.from_bytes(octets[:2], "big")
    array, checksum = octets[2:end], octets[end:]
    if checksum != hashlib.blake2b(array, digest_size=CHECKSUM_BYTES).digest():
        raise ProtocolError("a token that is damaged")
    return decode(array, Token)


def question(identity: Identity, issuer_id: bytes, ingress_id: bytes) -> bytes:
    """Who asks for a certificate shows that the key is its own."""
    proof = identity.sign("mesh enrolment v1", issuer_id + ingress_id)
    return encode(Question(identity.public_key, proof))


async def join(text: str, identity: Identity, now_s: float) -> Party:
    """Who this agent is from now on, by the certificate that the issuer gives for its key.

    Raises:
        ProtocolError: the issuer gives none.
    """
    token = read_token(text)
    invitation, authorities = Identity(token.seed), frozenset(token.authorities)
    issuer_id = agent_id(
        decode(certificate_body(admitted(token.certificate, authorities, now_s).issuer), Grants).subject
    )
    own = Party(invitation, token.certificate, os.urandom(16), os.urandom(32), authorities)
    host, _, port = token.addresses[0].rpartition(":")
    async with Agent(own, {}) as guest:
        await guest.dial(host, int(port))
        async with asyncio.timeout(PATIENCE_S):
            while issuer_id not in guest.records.paths():  # noqa: ASYNC110 -- polling is good enough here
                await asyncio.sleep(POLL_S)
            answer = await _ask(guest, issuer_id, question(identity, issuer_id, invitation.id))
    given = decode(answer, Given)
    if not given.certificate:
        raise ProtocolError(given.why_not)
    admitted(given.certificate, authorities, now_s)
    return Party(identity, given.certificate, os.urandom(16), os.urandom(32), authorities)


async def _ask(guest: Agent, issuer_id: bytes, asked: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", await guest.listen(ENROL, issuer_id))
    writer.write(asked)
    writer.write_eof()
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer
