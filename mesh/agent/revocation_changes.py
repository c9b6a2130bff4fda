"""The next list of a signer: the newest that is known, with agents added to it or left out of it."""

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from mesh.errors import RemoteProtocolError
from mesh.escaping import escaped
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId, Identity, display_id
from mesh.trust.list_reader import read_revocations
from mesh.trust.moments import in_words
from mesh.trust.naming import called, is_id, named
from mesh.trust.revocations import (
    FOR_EVER,
    Revocation,
    Revocations,
    SignedList,
    is_ahead,
    next_number,
    sign_list,
)


class NotSignedError(Exception):
    """There is no next list; the text says why, for people."""


class Wish(msgspec.Struct, frozen=True):
    """What is to be different."""

    agents: tuple[str, ...]
    """By name or ID."""
    reason: str = ""
    for_s: int | None = None
    """After this time an agent is left out; ``None``: never."""
    undo: bool = False
    """They are revoked no more."""
    dry_run: bool = False
    """Only say what would be."""


class Became(enum.StrEnum):
    """What has become of an agent that a wish names."""

    REVOKED = "revoked"
    AGAIN = "revoked-before"
    LIFTED = "lifted"


class Change(msgspec.Struct, frozen=True):
    """One agent that a wish names."""

    agent_id: AgentId
    name: str
    """May be empty."""
    became: Became


class Held(NamedTuple):
    """The newest list of a signer that is known; what is over is left out."""

    number: int = 0
    """0 if there is none."""
    entries: Mapping[AgentId, Revocation] = MappingProxyType({})


class NextList(NamedTuple):
    """A list that was signed."""

    wire: bytes
    follows: int
    """The number of the one before it; 0 if none is known."""
    revoked: int
    """How many agents are in it."""
    changes: tuple[Change, ...]


def newest_of(signer: Identity, lists: Iterable[bytes], now_unix_s: float) -> Held:
    """The newest of the lists that this authority has signed; others' are passed over.

    Raises:
        NotSignedError: it is of a time to come. One that follows would be, too, and no agent takes such a
            list: whoever has had the key for a moment could have the last number used up.
    """
    store = TrustStore([signer.public_key])
    own: list[SignedList] = []
    for wire in lists:
        with suppress(RemoteProtocolError):
            own.append(read_revocations(wire, store))
    held = held_by(Revocations(own).lists.get(signer.public_key), now_unix_s)
    if is_ahead(held.number, now_unix_s):
        raise NotSignedError(
            f"the newest list of this authority is of {in_words(held.number // 1000)}, and this machine's "
            f"clock shows {in_words(int(now_unix_s))}: set that. If it is right, somebody else has had the "
            "key: replace the authority; until then, go by the list beside the key alone (--offline)"
        )
    return held


def held_by(newest: SignedList | None, now_unix_s: float) -> Held:
    """What is in a list."""
    if newest is None:
        return Held()
    kept = {entry.agent_id: entry for entry in newest.read.revoked if entry.until > now_unix_s}
    return Held(newest.read.number, kept)


def meant(texts: Sequence[str], names: Mapping[AgentId, str], held: Held) -> Iterator[tuple[AgentId, str]]:
    """Each agent that is meant, with its name, or nothing if none is known.

    Raises:
        NotSignedError: a name is that of none, or of several.
    """
    known = {**{each.agent_id: each.name for each in held.entries.values()}, **names}
    for text in dict.fromkeys(texts):
        if is_id(text):
            agent_id = AgentId(bytes.fromhex(text))
            yield agent_id, known.get(agent_id, "")
            continue
        found = called(known.items(), text)
        if not found:
            raise NotSignedError(
                f"no agent here is called {escaped(text)!r}: name it by its ID, which its certificate tells "
                "(mesh certificate show), and the issuer that has let it in (mesh audit list --kind joined)"
            )
        if len(found) > 1:
            ids = ", ".join(
                f"{display_id(each)}{' (revoked already)' if each in held.entries else ''}" for each in found
            )
            raise NotSignedError(f"{escaped(text)!r} may be any of these agents: {ids}; name one by its ID")
        yield found[0], known[found[0]]


def in_full(name: str, agent_id: AgentId) -> str:
    """An agent for people, with its whole ID."""
    return f"{named(name, agent_id)} ({display_id(agent_id)})"


def next_list(
    signer: Identity,
    held: Held,
    wish: Wish,
    agents: Iterable[tuple[AgentId, str]],
    now_unix_s: float,
    *,
    issuer: bytes = b"",
) -> NextList:
    """The list of ``signer`` that follows ``held``.

    Args:
        signer: an authority, or an issuer.
        held: what it has signed last.
        wish: what is to be different.
        agents: those that it names.
        now_unix_s: the clock.
        issuer: the signer's certificate, if it is an issuer.

    Raises:
        NotSignedError: an agent to be let in again is not in the list, or the list cannot be signed.
    """
    entries, changes, now = dict(held.entries), [], int(now_unix_s)
    for agent_id, name in agents:
        before = entries.pop(agent_id, None)
        became = Became.REVOKED if before is None else Became.AGAIN
        if wish.undo:
            if before is None:
                whose = "issuer" if issuer else "authority"
                raise NotSignedError(f"{in_full(name, agent_id)} is not in the list of this {whose}")
            became = Became.LIFTED
        else:
            until = FOR_EVER if wish.for_s is None else min(now + wish.for_s, FOR_EVER)
            since, why = (now, "") if before is None else (before.revoked_at, before.reason)
            entries[agent_id] = Revocation(agent_id, since, until, name, wish.reason or why)
        changes.append(Change(agent_id, name, became))
    try:
        wire = sign_list(signer, next_number(held.number, now_unix_s), entries.values(), issuer=issuer)
    except ValueError as error:
        raise NotSignedError(f"cannot sign: {error}") from None
    return NextList(wire, held.number, len(entries), tuple(changes))
