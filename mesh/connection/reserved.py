"""Reserved keys: what an agent serves by itself, to whoever opens a connection to it by its ID.

``mesh:SERVICE`` is for every member, or for those that the service lets in; ``mesh:SERVICE:KEY`` is for those
that may use ``KEY``, which an endpoint of that agent has.
"""

from typing import Final, NamedTuple

from mesh.routing_keys import MAX_KEY_BYTES, RESERVED_PREFIX
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId

ECHO: Final = "echo"
"""Gives back what it gets."""
BENCH: Final = "bench"
"""Takes as much as it gets, or gives as much as it can, for a while."""

CONTROL: Final = "control"
"""The agent's API, for those whose certificates let them manage others."""

CONTROL_KEY: Final = f"{RESERVED_PREFIX}{CONTROL}"
"""By which it is asked."""

ENROL: Final = "enrol"
"""Certificates of an issuer, for those whom it has invited, and for agents that renew theirs."""

ENROL_KEY: Final = f"{RESERVED_PREFIX}{ENROL}"
"""By which it is asked for them."""

MAX_SERVICE_CHARACTERS: Final = 10
"""Of a service's name; so a reserved key fits into an OPEN, whatever key it speaks of."""

MAX_RESERVED_CHARACTERS: Final = len(RESERVED_PREFIX) + MAX_SERVICE_CHARACTERS + 1 + MAX_KEY_BYTES


class ReservedKey(NamedTuple):
    """A reserved key, taken apart."""

    service: str
    subject: str = ""
    """The key of an endpoint; empty where none is meant."""

    def __str__(self) -> str:
        return f"{RESERVED_PREFIX}{self.service}" + (f":{self.subject}" if self.subject else "")


class Caller(NamedTuple):
    """The agent that opens a connection to a reserved key, as its certificate has it."""

    id: AgentId
    certificate: Certificate

    @property
    def name(self) -> str:
        """Its display name."""
        return self.certificate.name


def is_reserved(key: str) -> bool:
    """Whether no endpoint has ``key``."""
    return key.startswith(RESERVED_PREFIX)


def read_reserved(key: str) -> ReservedKey:
    """A reserved key, taken apart; whether there is such a service is not looked at."""
    service, _, subject = key.removeprefix(RESERVED_PREFIX).partition(":")
    return ReservedKey(service, subject)
