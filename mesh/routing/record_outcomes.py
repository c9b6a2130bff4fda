"""What becomes of a record that is offered to the database, and how often each of it has."""

import enum
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from mesh.errors import RemoteProtocolError
from mesh.link.bodies import WireRecord
from mesh.routing.records import Freshness, Record
from mesh.trust.identity import AgentId, Instance


class Stored(msgspec.Struct, frozen=True):
    """It is the newest that is known; pass it on."""

    record: Record
    changed: bool
    """Whether more than its freshness is new."""
    came_back_after: Instance | None = None
    """The instance that was taken for the agent's present one meanwhile: two run at once."""


class Stale(msgspec.Struct, frozen=True):
    """Nothing new: a copy of what is known, or of what is too old to be let in."""

    same_as: AgentId | None = None
    """Whose record it is, where the peer need not be told of it: it holds the same as is known here."""


class Twin(msgspec.Struct, frozen=True):
    """Of another running agent with the same identity; the record of the one that was known first stays."""

    record: Record
    held: Instance
    """The instance of the one that was known first."""
    wire: WireRecord
    """To pass on, so that everybody hears of it."""


class Newer(msgspec.Struct, frozen=True):
    """A newer one is known here, and whoever offered the old one should learn of it."""

    agent_id: AgentId


class OwnIsNewer(msgspec.Struct, frozen=True):
    """This agent's own record, newer than its newest: of a run before, or of another agent with its key."""

    freshness: Freshness
    withdrawn: bool = False
    """Whether it is the last one of its run."""


class Early(msgspec.Struct, frozen=True):
    """News, but its agent has said too much of late: offer it again a little later (``early_records.py``)."""

    agent_id: AgentId


class Refusal(enum.Enum):
    """Why a record is refused."""

    OFFENCE = "offence"
    """No agent that keeps to the protocol passes this on."""
    CERTIFICATE = "certificate"
    """Its agent may not take part; who passed it on may see that otherwise, by its clock or its
    authorities."""
    CLOCK = "clock"
    """It is of a time to come; who passed it on may see that otherwise, by its clock."""
    FULL = "full"
    """There is no room."""


class Refused(msgspec.Struct, frozen=True):
    """It is not let in."""

    refusal: Refusal
    reason: RemoteProtocolError
    agent_id: AgentId | None
    """Whose it claims to be, where it can be read."""


Outcome: TypeAlias = Stored | Stale | Twin | Early | Newer | OwnIsNewer | Refused


@dataclass(slots=True)
class RecordCounts:
    """What became of the records that arrived; each counter only rises."""

    stored: int = 0
    duplicate: int = 0
    """The same again: flooding brings each record over every link."""
    older: int = 0
    aged: int = 0
    """Older than records live, where the agent is unknown here, or than they are remembered."""
    early: int = 0
    """Held back, for their agents say more than they need to."""
    early_dropped: int = 0
    """Of these, dropped for there was no room to hold them."""
    twin: int = 0
    """Of another running agent with the identity of one that is known."""
    refused_offence: int = 0
    refused_certificate: int = 0
    refused_clock: int = 0
    refused_full: int = 0
    expired: int = 0
