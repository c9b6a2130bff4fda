"""What goes into an agent's audit log, and the one call by which it gets there."""

import enum
from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from mesh.journal import Fact

AuditFact: TypeAlias = Fact | tuple[str, ...]


class AuditKind(enum.Enum):
    """What an entry is about; the names are those in the files and of ``mesh audit list --kind``."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    FILE = "file"
    """A file begins; it says which hash it goes on from."""
    LOST = "lost"
    """Entries that could not be written down: how many."""
    STARTED = "started"
    """The agent has started."""
    STOPPED = "stopped"
    """The agent has ended in order."""
    REQUEST = "request"
    """Somebody had the agent change something, or wanted to, by one of the API's doors."""
    GUESS = "guess"
    """Somebody has shown a token that is not good for what they asked."""
    CONFIGURATION = "configuration"
    """What the agent runs with has changed, or a configuration was refused."""
    CONNECTION = "connection"
    """A connection has ended at this agent, or was refused."""
    RENEWED = "renewed"
    """An agent has a new certificate."""
    INVITED = "invited"
    """Somebody has had this agent invite another one."""
    JOINED = "joined"
    """An agent has joined by an invitation of this one."""
    ISSUED = "issued"
    """An agent has had its certificate renewed by this one."""
    REVOKED = "revoked"
    """This agent has come to know that an agent is revoked."""
    LIFTED = "lifted"
    """This agent has come to know that an agent is revoked no more."""
    NOT_ISSUED = "not-issued"
    """An agent has asked this one for a certificate and got none."""


class Auditing(Protocol):
    """Takes what is to be written down; any thread may call, and none is held up."""

    def note(self, kind: AuditKind, facts: Mapping[str, AuditFact]) -> None:
        """Write down that this has happened now.

        Args:
            kind: what it is about.
            facts: the particulars by name; names as in the log (``agent``, ``id``, ``key``, ``reason``).
                Texts may hold anything.
        """
        ...


class NotAuditing:
    """Of an agent that writes nothing down."""

    def note(self, kind: AuditKind, facts: Mapping[str, AuditFact]) -> None:
        """Forget it."""


NOT_AUDITING: Final = NotAuditing()
