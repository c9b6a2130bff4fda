"""What an agent may: the gates that a connection passes, each of them decided here and nowhere else.

Who enforces a gate asks for it here, and so does who explains to people why something is allowed or not. A
certificate grants; the configuration of an exit or a listener narrows that, and never widens it.
"""

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from mesh.trust.certificates import Certificate
from mesh.trust.naming import listing
from mesh.trust.patterns import granting

NOBODY_NAMED: Final[frozenset[str]] = frozenset()
"""A list that is not there: it narrows nothing."""


class Gate(enum.Enum):
    """What decides whether a connection may be."""

    USE = "use"
    """The ingress's certificate lets it use the key."""
    ALLOW = "allow"
    """The endpoint's ``allow:`` names the ingress."""
    REGISTER = "register"
    """The exit's certificate lets it offer the key."""
    AGENTS = "agents"
    """The listener's ``agents:`` names the exit."""
    VALIDITY = "validity"
    """An agent's certificate has not ended."""
    RELAY = "relay"
    """Agents that relay, and may, lead from the ingress to the exit."""


class Finding(NamedTuple):
    """How one gate stands for one agent."""

    gate: Gate
    is_open: bool
    by: str = ""
    """What opens it: the pattern in the certificate, or the entry in the list, empty without a list. Of
    ``VALIDITY``, whose certificate it is."""


class Policy(msgspec.Struct, frozen=True):
    """What an agent's configuration narrows: lists of names, IDs and groups, where there are any."""

    allowed: Mapping[str, frozenset[str]]
    """Who may use an endpoint, by its key."""
    believed: Mapping[str, frozenset[str]]
    """Whose offers a listener believes, by the listener's name within the agent."""
    granted: frozenset[str] = NOBODY_NAMED
    """Keys of the endpoints that are shown to those only that may use them."""


def at_exit(ingress: Certificate, key: str, allowed: Collection[str]) -> Iterator[Finding]:
    """The gates that an exit keeps: whether ``ingress`` may use its endpoint of ``key``.

    Args:
        ingress: the certificate of the agent that asks; that it is valid is another matter.
        key: the routing key.
        allowed: the endpoint's ``allow:``; empty if there is none.
    """
    pattern = granting(ingress.may_use, key)
    yield Finding(Gate.USE, bool(pattern), pattern)
    yield listed(Gate.ALLOW, allowed, ingress)


def at_ingress(exit_: Certificate, key: str, believed: Collection[str]) -> Iterator[Finding]:
    """The gates that an ingress keeps: whether it may be served by ``exit_``.

    Args:
        exit_: the certificate of the agent that offers the key.
        key: the routing key.
        believed: the listener's ``agents:``; empty if there is none.
    """
    pattern = granting(exit_.may_register, key)
    yield Finding(Gate.REGISTER, bool(pattern), pattern)
    yield listed(Gate.AGENTS, believed, exit_)


def is_valid(certificate: Certificate, unix_now: float) -> bool:
    """Whether a certificate that was admitted is valid still; ``unix_now`` is Unix seconds."""
    return unix_now < certificate.not_after


def shut(findings: Iterable[Finding]) -> Finding | None:
    """The first gate that is not open, if there is one."""
    return next((finding for finding in findings if not finding.is_open), None)


def listed(gate: Gate, entries: Collection[str], certificate: Certificate) -> Finding:
    """Whether a list in the configuration names the agent of ``certificate``; if there is one."""
    if not entries:
        return Finding(gate, is_open=True)
    by = listing(entries, certificate.name, certificate.agent_id, certificate.groups)
    return Finding(gate, bool(by), by)
