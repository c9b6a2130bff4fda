"""Bodies of the link's own frames: what two peers tell each other, as msgpack arrays.

=================  =====================================================================
frame type         body
=================  =====================================================================
PING, PONG         ``[token]``; a PONG repeats the token of the PING that it answers
RECORDS            ``[[[signed, signature, age_ms], ...]]``
DIGEST             ``[[[agent id, epoch, sequence, instance], ...], first, last]``
CLOSE              ``[reason]``, for people
CHALLENGE          ``[nonce]``
CHALLENGE_ANSWER   ``[nonce]``, that of the CHALLENGE
WANT_PAGES         ``[[[agent id, [digest, ...]], ...]]``
PAGES              ``[[[agent id, page], ...]]``
RETIRE             ``[reason]``, for people
REVOCATIONS        ``[[list, ...]]``
WANT_REVOCATIONS   ``[[[signer, number], ...]]``
REKEY              ``[message]``, the first of a Noise exchange
NEW_KEY            ``[message]``, the second, or empty
=================  =====================================================================

Elements of records, digests, pages and what is wanted beyond those known here are ignored, so that a later
agent may add some.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link.frames import MAX_CONTROL_BODY_BYTES, TAG_BYTES
from mesh.trust.identity import (
    AGENT_ID_BYTES,
    INSTANCE_BYTES,
    NO_AGENT,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    AgentId,
    Instance,
)

MAX_BODY_PLAINTEXT_BYTES: Final = MAX_CONTROL_BODY_BYTES - TAG_BYTES
MAX_REASON_CHARACTERS: Final = 256
"""The reason of a CLOSE or RETIRE is one log line."""
CHALLENGE_BYTES: Final = 16
"""Random bytes in a challenge: beyond guessing."""
MAX_WANTED_AGENTS: Final = 64
MAX_WANTED_PAGES: Final = 16
"""Agents in one WANT_PAGES, and pages of each: what one answer is asked for is looked up in a turn."""
MAX_WANTED_SIGNERS: Final = 256
"""In one WANT_REVOCATIONS: far more than the authorities of a mesh and all that may revoke beside them."""
MAX_REKEY_BYTES: Final = 48
"""Of a message of Noise KK with an empty payload."""
HIGHEST_AGENT_ID: Final = AgentId(b"\xff" * AGENT_ID_BYTES)
_ALL_IDS: Final = 1 << 8 * AGENT_ID_BYTES

_ENVELOPE_BYTES: Final = 64
"""More than msgpack spends around the entries of a RECORDS or DIGEST: array heads and the two bounds."""

Unsigned: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
"""A u64; msgpack has no larger integer."""
WireAgentId: TypeAlias = Annotated[
    AgentId, msgspec.Meta(min_length=AGENT_ID_BYTES, max_length=AGENT_ID_BYTES)
]
WireInstance: TypeAlias = Annotated[
    Instance, msgspec.Meta(min_length=INSTANCE_BYTES, max_length=INSTANCE_BYTES)
]
Nonce: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]
Signature: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
PageDigest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class WireRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record as it travels: what its agent signed, the signature, and how old it is."""

    signed: bytes
    signature: Signature
    age_ms: Unsigned
    """Not signed: those who forward a record only raise it."""


class Records(msgspec.Struct, frozen=True, array_like=True):
    """Records for the peer to judge."""

    records: tuple[WireRecord, ...]


class DigestEntry(msgspec.Struct, frozen=True, array_like=True):
    """Which record of an agent the sender holds."""

    agent_id: WireAgentId
    epoch: Unsigned
    sequence: Unsigned
    instance: WireInstance


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """What the sender holds of the agents from ``first`` to ``last`` (both included).

    An agent in that range without an entry is one whose record the sender lacks. One digest speaks for the
    whole range of IDs by default; a mesh too large for one body takes several.
    """

    entries: tuple[DigestEntry, ...]
    first: WireAgentId = NO_AGENT
    last: WireAgentId = HIGHEST_AGENT_ID

    def covers(self, agent_id: AgentId) -> bool:
        """Whether the absence of an entry for this agent says that its record is lacking."""
        return self.first <= agent_id <= self.last

    @property
    def share(self) -> float:
        """How much of all IDs it speaks for, from 0 to 1: those of one link come to 1 together."""
        return max(0, int.from_bytes(self.last) - int.from_bytes(self.first)) / _ALL_IDS


class WantedPages(msgspec.Struct, frozen=True, array_like=True):
    """Pages of an agent that the sender lacks."""

    agent_id: WireAgentId
    digests: Annotated[tuple[PageDigest, ...], msgspec.Meta(max_length=MAX_WANTED_PAGES)]


class WirePage(msgspec.Struct, frozen=True, array_like=True):
    """A page as it travels; what makes it the agent's is that its record names it."""

    agent_id: WireAgentId
    data: bytes


class WantedList(msgspec.Struct, frozen=True, array_like=True):
    """A revocation list of this signer is wanted, if it is newer than what the sender holds."""

    signer: Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
    number: Unsigned
    """Of the list that the sender holds; 0 if there is none."""


def encode_ping(token: int) -> bytes:
    """The body of a PING with a u64 token."""
    return _encode((token,))


def decode_ping(body: bytes) -> int:
    """The token of a PING.

    Raises:
        RemoteProtocolError: the body is not a PING's; so do all that follow.
    """
    return _decode(_TOKEN, body, "PING")[0]


def encode_pong(token: int) -> bytes:
    """The body of the PONG that answers a PING with this token."""
    return _encode((token,))


def decode_pong(body: bytes) -> int:
    """The token of a PONG."""
    return _decode(_TOKEN, body, "PONG")[0]


def encode_records(records: Records) -> bytes:
    """The body of a RECORDS; see :func:`batch_records`."""
    return _encode(records)


def decode_records(body: bytes) -> tuple[WireRecord, ...]:
    """The records of a RECORDS, none of them judged."""
    return _decode(_RECORDS, body, "RECORDS").records


def encode_digest(digest: Digest) -> bytes:
    """The body of a DIGEST; see :func:`batch_digest`."""
    return _encode(digest)


def decode_digest(body: bytes) -> Digest:
    """The digest of a DIGEST."""
    return _decode(_DIGEST, body, "DIGEST")


def encode_want_pages(wanted: tuple[WantedPages, ...]) -> bytes:
    """The body of a WANT_PAGES, for at most ``MAX_WANTED_AGENTS`` agents."""
    return _encode((wanted,))


def decode_want_pages(body: bytes) -> tuple[WantedPages, ...]:
    """What a WANT_PAGES asks for."""
    return _decode(_WANTED, body, "WANT_PAGES")[0]


def encode_pages(pages: tuple[WirePage, ...]) -> bytes:
    """The body of a PAGES; see :func:`batch_pages`."""
    return _encode((pages,))


def decode_pages(body: bytes) -> tuple[WirePage, ...]:
    """The pages of a PAGES, none of them judged."""
    return _decode(_PAGES, body, "PAGES")[0]


def encode_revocations(lists: tuple[bytes, ...]) -> bytes:
    """The body of a REVOCATIONS; see :func:`batch_revocations`."""
    return _encode((lists,))


def decode_revocations(body: bytes) -> tuple[bytes, ...]:
    """The revocation lists of a REVOCATIONS, none of them judged."""
    return _decode(_REVOCATIONS, body, "REVOCATIONS")[0]


def encode_want_revocations(wanted: tuple[WantedList, ...]) -> bytes:
    """The body of a WANT_REVOCATIONS, for at most ``MAX_WANTED_SIGNERS``."""
    return _encode((wanted,))


def decode_want_revocations(body: bytes) -> tuple[WantedList, ...]:
    """What a WANT_REVOCATIONS asks for."""
    return _decode(_WANTED_LISTS, body, "WANT_REVOCATIONS")[0]


HAS_LEFT: Final = "the agent has left"
"""The reason of a CLOSE of an agent that leaves in order."""


def encode_close(reason: str) -> bytes:
    """The body of a CLOSE; a reason that is too long is cut, as it is for people."""
    return _encode((reason[:MAX_REASON_CHARACTERS],))


def decode_close(body: bytes) -> str:
    """The reason of a CLOSE, as the peer wrote it: escape it before it reaches a log."""
    return _decode(_REASON, body, "CLOSE")[0]


def encode_retire(reason: str) -> bytes:
    """The body of a RETIRE; a reason that is too long is cut, as it is for people."""
    return encode_close(reason)


def decode_retire(body: bytes) -> str:
    """The reason of a RETIRE, as the peer wrote it: escape it before it reaches a log."""
    return _decode(_REASON, body, "RETIRE")[0]


def encode_challenge(nonce: bytes) -> bytes:
    """The body of a CHALLENGE, and of the CHALLENGE_ANSWER to it, with a nonce of 16 bytes."""
    if len(nonce) != CHALLENGE_BYTES:
        raise LocalProtocolError(f"expected a challenge of {CHALLENGE_BYTES} bytes, found {len(nonce)}")
    return _encode((nonce,))


def decode_challenge(body: bytes) -> bytes:
    """The nonce of a CHALLENGE or CHALLENGE_ANSWER."""
    return _decode(_NONCE, body, "CHALLENGE")[0]


def encode_rekey(message: bytes) -> bytes:
    """The body of a REKEY or NEW_KEY, with a Noise message or nothing."""
    return _encode((message,))


def decode_rekey(body: bytes) -> bytes:
    """The Noise message of a REKEY or NEW_KEY, of at most 48 bytes."""
    return _decode(_REKEY, body, "REKEY or NEW_KEY")[0]


_ENCODER: Final = msgspec.msgpack.Encoder()
_TOKEN: Final = msgspec.msgpack.Decoder(tuple[Unsigned])
_REASON: Final = msgspec.msgpack.Decoder(
    tuple[Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS)]]
)
_REKEY: Final = msgspec.msgpack.Decoder(tuple[Annotated[bytes, msgspec.Meta(max_length=MAX_REKEY_BYTES)]])
_NONCE: Final = msgspec.msgpack.Decoder(tuple[Nonce])
_RECORDS: Final = msgspec.msgpack.Decoder(Records)
_WANTED: Final = msgspec.msgpack.Decoder(
    tuple[Annotated[tuple[WantedPages, ...], msgspec.Meta(max_length=MAX_WANTED_AGENTS)]]
)
_PAGES: Final = msgspec.msgpack.Decoder(tuple[tuple[WirePage, ...]])
_REVOCATIONS: Final = msgspec.msgpack.Decoder(tuple[tuple[bytes, ...]])
_WANTED_LISTS: Final = msgspec.msgpack.Decoder(
    tuple[Annotated[tuple[WantedList, ...], msgspec.Meta(max_length=MAX_WANTED_SIGNERS)]]
)
_DIGEST: Final = msgspec.msgpack.Decoder(Digest)

_Body = TypeVar("_Body")


def _encode(body: object) -> bytes:
    data = _ENCODER.encode(body)
    if len(data) > MAX_BODY_PLAINTEXT_BYTES:
        raise LocalProtocolError(f"a body of {len(data)} bytes does not fit into a frame")
    return data


def _decode(decoder: msgspec.msgpack.Decoder[_Body], body: bytes, name: str) -> _Body:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"{name} that cannot be read: {error}") from error


def batch_records(records: Iterable[WireRecord]) -> list[Records]:
    """``records`` in their order, in as few bodies as fit into frames.

    Raises:
        LocalProtocolError: one record alone is too large for a frame.
    """
    return [Records(batch) for batch in _batches(records)]


def batch_pages(pages: Iterable[WirePage]) -> list[tuple[WirePage, ...]]:
    """``pages`` in their order, in as few bodies as fit into frames.

    Raises:
        LocalProtocolError: one page alone is too large for a frame.
    """
    return list(_batches(pages))


def batch_revocations(lists: Iterable[bytes]) -> list[tuple[bytes, ...]]:
    """Revocation lists in their order, in as few bodies as fit into frames.

    Raises:
        LocalProtocolError: one list alone is too large for a frame.
    """
    return list(_batches(lists))


def batch_digest(entries: Iterable[DigestEntry]) -> list[Digest]:
    """Digests that together speak for every agent ID, in as few bodies as fit into frames.

    Without entries there is one empty digest: it asks for everything.
    """
    batches: Sequence[tuple[DigestEntry, ...]]
    batches = list(_batches(sorted(entries, key=lambda entry: entry.agent_id))) or [()]
    starts = [NO_AGENT, *(batch[0].agent_id for batch in batches[1:])]
    ends = [*(_id_before(start) for start in starts[1:]), HIGHEST_AGENT_ID]
    return [Digest(*part) for part in zip(batches, starts, ends, strict=True)]


_Entry = TypeVar("_Entry", WireRecord, DigestEntry, WirePage, bytes)


def _batches(entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, ...]]:
    batch: list[_Entry] = []
    room = MAX_BODY_PLAINTEXT_BYTES - _ENVELOPE_BYTES
    for entry in entries:
        byte_count = len(_ENCODER.encode(entry))
        if byte_count > MAX_BODY_PLAINTEXT_BYTES - _ENVELOPE_BYTES:
            raise LocalProtocolError(f"an entry of {byte_count} bytes does not fit into a frame")
        if byte_count > room:
            yield tuple(batch)
            batch, room = [], MAX_BODY_PLAINTEXT_BYTES - _ENVELOPE_BYTES
        batch.append(entry)
        room -= byte_count
    if batch:
        yield tuple(batch)


def _id_before(agent_id: AgentId) -> AgentId:
    return AgentId((int.from_bytes(agent_id, "big") - 1).to_bytes(AGENT_ID_BYTES, "big"))
