"""What there is to find out of one agent: which connection to open to it, and what to ask by it."""

import enum
from typing import Final

import msgspec

from mesh.connection.reserved import BENCH, ECHO, ReservedKey
from mesh.diagnostics.asking import Downloading, Opening, Pinging, Question, Uploading
from mesh.trust.identity import AgentId

PING_BYTES: Final = 64
"""Of a ping: as ping(8) sends."""

TIMEOUT_S: Final = 2.0
"""For the answer to a ping: ten times what light takes round the earth, and what is lost has been repeated
several times by then."""


class What(enum.Enum):
    """What is asked."""

    PING = "ping"
    """The agent's echo answers."""
    OPEN = "open"
    """The service behind a key accepts a connection, which is closed at once."""
    UPLOAD = "upload"
    DOWNLOAD = "download"
    """As much as can be carried for a while, without a service."""


class Task(msgspec.Struct, frozen=True):
    """One thing to find out."""

    what: What
    agent_id: AgentId
    agent_name: str
    hop_count: int
    """Links to the agent; -1 if it is out of reach."""
    key: str = ""
    """The key that the caller uses there; empty if it is the agent that counts."""
    problem: str = ""
    """Why it need not be tried, for people."""
    count: int = 1
    """Pings; 0 is until the end of the job."""
    interval_s: float = 1.0
    """Between two pings."""
    timeout_s: float = TIMEOUT_S
    """For the answer to a ping."""
    seconds: float = 0.0
    """How long a bench carries."""

    @property
    def routing_key(self) -> str:
        """What the connection is opened to."""
        match self.what:
            case What.PING:
                return str(ReservedKey(ECHO, self.key))
            case What.OPEN:
                return self.key
            case What.UPLOAD | What.DOWNLOAD:
                return str(ReservedKey(BENCH, self.key))

    def question(self) -> Question:
        """What is said there."""
        match self.what:
            case What.PING:
                return Pinging(
                    count=self.count, interval_s=self.interval_s, timeout_s=self.timeout_s, size=PING_BYTES
                )
            case What.OPEN:
                return Opening()
            case What.UPLOAD:
                return Uploading(self.seconds)
            case What.DOWNLOAD:
                return Downloading(self.seconds)
