"""Reads what other agents show to this one only: their sealed blocks that have a slot for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.routing.graph import STEP_AGENTS, Steps
from mesh.routing.pages import with_shown
from mesh.routing.records import (
    NOTHING_SHOWN,
    EndpointEntry,
    ListenerEntry,
    Record,
    Shown,
    judge_entries,
)
from mesh.routing.sealed_blocks import MAX_BLOCKS, SealedBlock, open_block
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import SharedSecrets

MAX_SHOWN: Final = 1_024
"""Endpoints and listeners that one agent shows to this one only; what is beyond is not looked at."""


@dataclass(slots=True)
class _Seen:
    record: Record
    """The newest of its agent, as it came."""
    opened: Record
    """With what it shows to this agent."""
    contents: dict[SealedBlock, Shown]
    """Of all its blocks; nothing of those that are not for this agent."""


class GrantedReader:
    """Remembers what it has read: a block costs something once, and an agent one Diffie-Hellman.

    Args:
        shared: what this agent's session key shares with others'.
    """

    def __init__(self, shared: SharedSecrets) -> None:
        self._shared = shared
        self._seen: dict[AgentId, _Seen] = {}
        self._unreadable: list[tuple[Record, str]] = []

    def opening(self, records: dict[AgentId, Record], own_id: AgentId) -> Steps[None]:
        """Put what is shown to this agent into ``records``, the newest of all agents, step by step.

        Args:
            records: with their pages.
            own_id: this agent's ID; its record has all of its own already.
        """
        before, self._seen = self._seen, {}
        for number, (agent_id, record) in enumerate(list(records.items()), 1):
            if not number % STEP_AGENTS:
                yield
            if agent_id == own_id or not (record.body.sealed or (record.pages and record.sealed)):
                continue
            seen = before.get(agent_id)
            if seen is None or seen.record is not record:
                seen = self._open(record, {} if seen is None else seen.contents)
                yield
            self._seen[agent_id] = seen
            records[agent_id] = seen.opened

    def unreadable(self) -> Iterator[tuple[Record, str]]:
        """Whose blocks could not be read though they are for this agent, and why; each is told once."""
        found, self._unreadable = self._unreadable, []
        return iter(found)

    def _open(self, record: Record, before: dict[SealedBlock, Shown]) -> _Seen:
        contents: dict[SealedBlock, Shown] = {}
        endpoints: list[EndpointEntry] = []
        listeners: list[ListenerEntry] = []
        sealed = record.sealed  # each page may have as many as the record
        if len(sealed) > MAX_BLOCKS:
            self._unreadable.append((record, f"more than {MAX_BLOCKS} sealed blocks"))
        for block in sealed[:MAX_BLOCKS]:
            body = before.get(block)
            if body is None:
                body = self._read(block, record)
            contents[block] = body
            if len(endpoints) + len(listeners) + len(body) > MAX_SHOWN:
                self._unreadable.append(
                    (record, f"more than {MAX_SHOWN:,} endpoints and listeners in sealed blocks")
                )
                break
            endpoints += body.endpoints
            listeners += body.listeners
        shown = Shown(tuple(endpoints), tuple(listeners))
        return _Seen(record, with_shown(record, shown) if shown else record, contents)

    def _read(self, block: SealedBlock, record: Record) -> Shown:
        try:
            content = open_block(block, record.agent_id, self._shared.with_owner_of(record.session_key))
            if content is None:
                return NOTHING_SHOWN
            body = _DECODER.decode(content)
            judge_entries(body.endpoints, body.listeners)
        except AuthenticationError:
            return NOTHING_SHOWN  # its session key is none: nobody can connect to it, either
        except (RemoteProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._unreadable.append((record, str(error)))
            return NOTHING_SHOWN
        return body


_DECODER: Final = msgspec.msgpack.Decoder(Shown)
