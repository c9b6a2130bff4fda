"""What the agent's root actor receives."""

from typing import TypeAlias

import msgspec

from actors.messages import connection_table as table_messages
from actors.messages import desk as desk_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.messages import steward as steward_messages
from actors.runtime.reference import AskRef
from actors.runtime.supervisor_messages import ChildrenStopped, ChildSettled
from mesh.config.difference import Difference
from mesh.config.schema import Config
from mesh.trust.credentials import Credentials


class CoreEnded(msgspec.Struct, frozen=True):
    """Fact: an actor that all others need has ended; stale if ``generation`` is not the current one."""

    name: str
    generation: int


class RebuildDue(msgspec.Struct, frozen=True):
    """Timer: start all actors anew."""


class GetRefs(msgspec.Struct, frozen=True):
    """Question from outside: the answer is :class:`AgentRefs`, or ``None`` between two builds."""


class AgentRefs(msgspec.Struct, frozen=True):
    """The actors that others ask."""

    route_table: AskRef[route_messages.Inbound]
    connection_table: AskRef[table_messages.Inbound]
    directory: AskRef[directory_messages.Inbound]
    desk: AskRef[desk_messages.Inbound] | None
    """Of diagnostics; ``None`` until it has started."""
    steward: AskRef[steward_messages.Inbound] | None
    """Of calls to other agents; likewise."""


class PartReported(msgspec.Struct, frozen=True):
    """Fact: whether a listener or acceptor has its port, or an endpoint offers its key; the last holds."""

    name: str
    """What the agent calls it, and nothing else: see :mod:`actors.root.setup`."""
    trouble: str | None
    """Why not; ``None`` if so."""


class GetParts(msgspec.Struct, frozen=True):
    """Question from outside: the answer is ``tuple[PartReported, ...]``, one for each that has reported."""


class PartState(msgspec.Struct, frozen=True):
    """What is known of a listener, an acceptor or an endpoint."""

    name: str
    trouble: str | None
    """Why it has no port, or does not offer its key; ``None`` if it has or does."""
    since_s: float
    """Since when there is any trouble, whatever became of it, or none."""


class GetState(msgspec.Struct, frozen=True):
    """Question from outside: the answer is :class:`AgentState`."""


class AgentState(msgspec.Struct, frozen=True):
    """How the agent is; times are those of its dispatcher, in monotonic seconds."""

    now_s: float
    started_s: float
    phase: str
    """The value of one of :class:`actors.root.phases.Phase`, for people."""
    phase_since_s: float
    draining_since_s: float
    """When it has last been told to drain, or not to any more."""
    parts: tuple[PartState, ...]
    """One for each that has reported."""


class Configure(msgspec.Struct, frozen=True):
    """Command: run with this configuration from now on.

    Asked from outside, it answers with a future of :class:`Configured`, when it has been carried out.
    """

    config: Config
    resets: frozenset[str] = frozenset()
    """Names of listeners that it has no more, whose connections are to be reset."""


class Configured(msgspec.Struct, frozen=True):
    """The answer to :class:`Configure`."""

    made: Difference
    """What was different, and has been made so."""
    problems: tuple[str, ...]
    """What could not be done, for people."""


class Drain(msgspec.Struct, frozen=True):
    """Command: have the mesh prefer others from now on, or no longer; everybody is served as before.

    Asked from outside, it answers whether it is so; an agent that is about to leave drains in any case.
    """

    draining: bool


class ChangeCredentials(msgspec.Struct, frozen=True):
    """Command: show others this, and judge them by it, from now on.

    Links and connections stay, except with those who are refused now: they end at once.
    """

    credentials: Credentials
    """Of the same identity."""


class RelayingDue(msgspec.Struct, frozen=True):
    """Timer: others have heard by now what the certificate of this agent lets it do."""


class Leave(msgspec.Struct, frozen=True):
    """Command: have the mesh prefer others, let connections finish for so long, withdraw, stop."""

    drain_timeout_s: float


class PreferenceOver(msgspec.Struct, frozen=True):
    """Timer: the mesh has had the time to prefer others."""


class LastCall(msgspec.Struct, frozen=True):
    """Timer: an agent that leaves lets nobody in from here on."""


class GraceOver(msgspec.Struct, frozen=True):
    """Timer: the mesh has had the time to route around this agent."""


class DrainTimedOut(msgspec.Struct, frozen=True):
    """Timer: connections have had their time to finish."""


class ResetTimedOut(msgspec.Struct, frozen=True):
    """Timer: connections that were reset have had their time to say so."""


class ClosingTimedOut(msgspec.Struct, frozen=True):
    """Timer: links have had their time to close."""


Inbound: TypeAlias = (
    CoreEnded
    | RebuildDue
    | GetRefs
    | PartReported
    | GetParts
    | GetState
    | Configure
    | Drain
    | ChangeCredentials
    | RelayingDue
    | route_messages.CredentialsChanged
    | route_messages.RevocationsChanged
    | Leave
    | PreferenceOver
    | LastCall
    | GraceOver
    | table_messages.ConnectionsGone
    | DrainTimedOut
    | ResetTimedOut
    | route_messages.Withdrawn
    | directory_messages.LinksClosed
    | ClosingTimedOut
    | ChildrenStopped
    | ChildSettled
)
