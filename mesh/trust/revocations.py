"""Who takes part no more: signed lists of revoked agents, and what all of them together say.

Wire form of a list, at most 49,152 bytes:

    signature   64 bytes   Ed25519, by the signer, over the body with REVOCATIONS_CONTEXT
    body        the rest   MessagePack array of the fields of :class:`RevocationList`, in their order

Of each signer the list with the highest number counts, and nothing else that it has ever said: so a list
names all who are revoked, and one who is missing from the next is revoked no more. Numbers are Unix
milliseconds, so that nobody who had a signer's key for a moment can use up all that will ever come.

An agent is revoked by its ID, which is that of its key: no other certificate helps who has stolen it. The
list of an authority revokes any agent, that of an issuer those whose certificates the issuer has signed.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import can_be_seen
from mesh.trust.identity import (
    AGENT_ID_BYTES,
    PUBLIC_KEY_BYTES,
    REVOCATIONS_CONTEXT,
    SIGNATURE_BYTES,
    AgentId,
    Identity,
    SignatureCheck,
    agent_id_of,
    encode_public_key,
    short_id,
)
from mesh.trust.issuing import MAX_ISSUER_BYTES
from mesh.trust.moments import in_words

MAX_LIST_BYTES: Final = 49_152
"""Of one list: it fits into a frame, with some 600 agents, their names and reasons; twice as many without."""

MAX_NUMBER: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

NUMBER_AHEAD_S: Final = 86_400.0
"""A list whose number is further ahead of the clock is refused, as an epoch of a record is: else one
signature, by somebody who had the signer's key for a moment, would bury all lists to come."""

MAX_REVOKED_NAME_CHARACTERS: Final = 64
MAX_REVOCATION_REASON_CHARACTERS: Final = 128

FOR_EVER: Final = 253_402_300_799
"""The last second of the year 9999: an entry until then is never left out."""

BEGIN_REVOCATIONS: Final = "-----BEGIN MESH REVOCATIONS-----"
"""The line before a list in a file."""
END_REVOCATIONS: Final = "-----END MESH REVOCATIONS-----"
_LINE_CHARACTERS: Final = 64
"""As RFC 7468 has it."""

_UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=FOR_EVER)]
_Signer = Annotated[
    bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES, description="Ed25519")
]
_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]


class Revocation(msgspec.Struct, frozen=True, array_like=True):
    """One agent that takes part no more; elements that a later version adds are ignored."""

    agent_id: Annotated[AgentId, msgspec.Meta(min_length=AGENT_ID_BYTES, max_length=AGENT_ID_BYTES)]
    revoked_at: _UnixSeconds
    """When, for people."""
    until: _UnixSeconds = FOR_EVER
    """Every certificate of the agent has ended by then, and the signer leaves the entry out afterwards."""
    name: Annotated[str, msgspec.Meta(max_length=MAX_REVOKED_NAME_CHARACTERS)] = ""
    """As its certificate had it, for people; may be empty."""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REVOCATION_REASON_CHARACTERS)] = ""
    """For people; may be empty."""


_Issuer = Annotated[bytes, msgspec.Meta(max_length=MAX_ISSUER_BYTES)]


class RevocationList(msgspec.Struct, frozen=True, array_like=True):
    """What a signer says of all whom it has revoked; elements that a later version adds are ignored."""

    signer: _Signer
    """Its public key."""
    number: _Number
    """Unix milliseconds when it was signed, or more; a later list of the signer has a higher one."""
    revoked: tuple[Revocation, ...]
    """No agent twice."""
    issuer: _Issuer = b""
    """The wire bytes of the signer's certificate if it is an issuer; empty if it is an authority."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The parts of a list by which it is judged first."""

    signer: _Signer
    number: _Number
    revoked: msgspec.Raw
    """Not read yet."""
    issuer: _Issuer = b""


class SignedList(msgspec.Struct, frozen=True):
    """A list, and its bytes, whose signature has been checked."""

    wire: bytes
    read: RevocationList
    authority: bytes
    """That has signed, or has certified the issuer that did."""


class Revoked(msgspec.Struct, frozen=True):
    """An agent's revocation, and who signed it."""

    revocation: Revocation
    signer: bytes
    by_issuer: bool

    @property
    def agent_id(self) -> AgentId:
        """Whose it is."""
        return self.revocation.agent_id

    @property
    def by(self) -> str:
        """Who signed, for people."""
        return _named(self.signer, by_issuer=self.by_issuer)

    def __str__(self) -> str:
        """What has happened, to stand behind the agent's name."""
        said = self.revocation
        reason = f": {said.reason}" if said.reason else ""
        return f"was revoked on {in_words(said.revoked_at)} by {self.by}{reason}"


class Revocations:
    """The newest list of each signer; never changes.

    Args:
        lists: of any signers; of two of one signer the one with the higher number counts.
    """

    def __init__(self, lists: Iterable[SignedList] = ()) -> None:
        newest: dict[bytes, SignedList] = {}
        for each in lists:
            held = newest.get(each.read.signer)
            if held is None or is_newer(each, held):
                newest[each.read.signer] = each
        self.lists: Final[Mapping[bytes, SignedList]] = MappingProxyType(newest)
        """By signer."""
        self._revoked: dict[AgentId, Revoked] = {}
        """By authorities."""
        self._issued: dict[tuple[AgentId, bytes], Revoked] = {}
        """By issuers: with the signer, which revokes what it has issued itself and nothing else."""
        for each in newest.values():
            signer, by_issuer = each.read.signer, bool(each.read.issuer)
            for entry in each.read.revoked:
                revoked = Revoked(entry, signer, by_issuer)
                if by_issuer:
                    self._issued[entry.agent_id, signer] = revoked
                else:
                    self._revoked.setdefault(entry.agent_id, revoked)

    def __len__(self) -> int:
        """How many revocations there are, each agent's by all authorities counted as one."""
        return len(self._revoked) + len(self._issued)

    def __iter__(self) -> Iterator[Revoked]:
        """All of these."""
        yield from self._revoked.values()
        yield from self._issued.values()

    def of(self, agent_id: AgentId, issuer: bytes = b"") -> Revoked | None:
        """The revocation of an agent, or of its issuer, if one of the two is revoked.

        Args:
            agent_id: whose.
            issuer: the public key of who issued its certificate, if no authority has.
        """
        revoked = self._revoked.get(agent_id)
        if revoked is not None or not issuer:
            return revoked
        return self._issued.get((agent_id, issuer)) or self._revoked.get(agent_id_of(issuer))

    def has(self, revoked: Revoked) -> bool:
        """Whether an agent is revoked here likewise: by an authority, or by the same issuer."""
        if revoked.by_issuer:
            return (revoked.agent_id, revoked.signer) in self._issued
        return revoked.agent_id in self._revoked

    def under(self, authorities: Iterable[bytes]) -> "Revocations":
        """The lists of these authorities and their issuers only; the very same where it has no others."""
        kept = frozenset(authorities)
        if all(each.authority in kept for each in self.lists.values()):
            return self
        return Revocations(each for each in self.lists.values() if each.authority in kept)

    def joined(self, other: "Revocations") -> "Revocations":
        """The newest lists of both; the very same where ``other`` has nothing newer."""
        if all(self.holds(each) for each in other.lists.values()):
            return self
        return Revocations((*self.lists.values(), *other.lists.values()))

    def holds(self, one: SignedList) -> bool:
        """Whether this has a list of its signer that is as new."""
        held = self.lists.get(one.read.signer)
        return held is not None and not is_newer(one, held)


NOBODY_REVOKED: Final = Revocations()


def is_newer(one: SignedList, other: SignedList) -> bool:
    """Whether a list takes the place of another one of the same signer, who uses no number twice."""
    return one.read.number > other.read.number


def sign_list(signer: Identity, number: int, revoked: Iterable[Revocation], *, issuer: bytes = b"") -> bytes:
    """The wire bytes of a list.

    Args:
        signer: an authority, or an issuer.
        number: higher than that of each list it has signed before; see :func:`next_number`.
        revoked: all whom it revokes.
        issuer: the signer's certificate, if it is an issuer.

    Raises:
        ValueError: a field is out of its range, an agent is there twice, or the list is too long.
    """
    body = _ENCODER.encode(RevocationList(signer.public_key, number, tuple(revoked), issuer))
    wire = signer.sign(REVOCATIONS_CONTEXT, body) + body
    try:
        _read(wire)
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None
    return wire


def next_number(held: int, unix_now: float) -> int:
    """The number of the list that follows one with the number ``held``, or 0 if there is none."""
    return max(held + 1, int(unix_now * 1000))


def is_ahead(number: int, unix_now: float) -> bool:
    """Whether a list with this number is of a time to come; see :data:`NUMBER_AHEAD_S`."""
    return number > (unix_now + NUMBER_AHEAD_S) * 1000


def head_of(wire: bytes) -> Head:
    """Whose list ``wire`` claims to be, and its number: to judge before anything costly is done.

    Raises:
        RemoteProtocolError: it is no list.
    """
    if len(wire) > MAX_LIST_BYTES:
        raise RemoteProtocolError(
            f"a revocation list of {len(wire):,} bytes; at most {MAX_LIST_BYTES:,} are allowed"
        )
    try:
        return _HEADS.decode(wire[SIGNATURE_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a revocation list that cannot be read: {error}") from None


def verified_list(wire: bytes, authority: bytes, check: SignatureCheck) -> SignedList:
    """The list in ``wire``, if the signer that it names has signed it.

    Args:
        wire: as it arrived.
        authority: that is this signer, or has certified it as an issuer: whoever asks has seen to that.
        check: :func:`mesh.trust.identity.verify_signature`, or one that remembers.

    Raises:
        AuthenticationError: the signer has not.
        RemoteProtocolError: it is no list.
    """
    signer = head_of(wire).signer
    try:
        check(signer, REVOCATIONS_CONTEXT, wire[SIGNATURE_BYTES:], wire[:SIGNATURE_BYTES])
    except AuthenticationError:
        who = short_signer(signer)
        raise AuthenticationError(f"a revocation list of {who} has a bad signature") from None
    return SignedList(wire, _read(wire), authority)


def lists_to_text(lists: Iterable[bytes]) -> str:
    """Lists as text for a file: each as base64 between two marker lines, as in RFC 7468."""
    return "".join(
        f"{BEGIN_REVOCATIONS}\n{_lines(base64.b64encode(wire).decode())}\n{END_REVOCATIONS}\n"
        for wire in lists
    )


def lists_from_text(text: str) -> tuple[bytes, ...]:
    """The wire bytes of the lists in ``text``, none of them judged; what stands around them is ignored.

    Raises:
        ValueError: a list is damaged or cut off.
    """
    found: list[bytes] = []
    begun: list[str] | None = None
    for number, line in enumerate((each.strip() for each in text.splitlines()), 1):
        if line == BEGIN_REVOCATIONS:
            if begun is not None:
                raise ValueError(f"line {number}: a list begins within another; expected {END_REVOCATIONS}")
            begun = []
        elif line == END_REVOCATIONS:
            if begun is None:
                raise ValueError(f"line {number}: a list ends that has not begun")
            found.append(_from_base64("".join(begun), number))
            begun = None
        elif begun is not None:
            begun.append(line)
    if begun is not None:
        raise ValueError(f"the list is cut off: expected a line {END_REVOCATIONS!r}")
    return tuple(found)


def signer_of(read: RevocationList) -> str:
    """Who has signed a list, for people."""
    return _named(read.signer, by_issuer=bool(read.issuer))


def _named(signer: bytes, *, by_issuer: bool) -> str:
    return f"the {signer_in_words(signer, by_issuer=by_issuer)}"


def signer_in_words(signer: bytes, *, by_issuer: bool) -> str:
    """An issuer by its ID, as the mesh lists agents; an authority by its key, as configurations name it."""
    if by_issuer:
        return f"issuer {short_id(agent_id_of(signer))}"
    return f"authority {short_signer(signer)}"


def short_signer(signer: bytes) -> str:
    """The first 8 characters of a public key, for people: enough to tell authorities apart."""
    return encode_public_key(signer)[:8]


def _from_base64(content: str, number: int) -> bytes:
    try:
        return binascii.a2b_base64(content, strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        raise ValueError(
            f"the list that ends at line {number} is damaged: between its markers stands something but base64"
        ) from None


def _lines(text: str) -> str:
    starts = range(0, len(text), _LINE_CHARACTERS)  # textwrap takes a tenth of a second for a long list
    return "\n".join(text[start : start + _LINE_CHARACTERS] for start in starts)


def _read(wire: bytes) -> RevocationList:
    head_of(wire)
    try:
        read = _LISTS.decode(wire[SIGNATURE_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a revocation list that cannot be read: {error}") from None
    if len({entry.agent_id for entry in read.revoked}) < len(read.revoked):
        raise RemoteProtocolError("a revocation list that names an agent twice")
    if not all(can_be_seen(entry.name) and can_be_seen(entry.reason) for entry in read.revoked):
        raise RemoteProtocolError("a revocation list with characters that cannot be printed")
    return read


_ENCODER: Final = msgspec.msgpack.Encoder()
_HEADS: Final = msgspec.msgpack.Decoder(Head)
_LISTS: Final = msgspec.msgpack.Decoder(RevocationList)
