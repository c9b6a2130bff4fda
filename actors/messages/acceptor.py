"""What an acceptor receives."""

from typing import TypeAlias

import msgspec

from actors.messages.listener import AcceptAgain, BindDue, StopListening
from mesh.link.futile import Payer
from mesh.trust.identity import AgentId


class HandshakeEnded(msgspec.Struct, frozen=True):
    """Fact: an accepted connection has become a link, or is gone."""

    link_urn: str


class LinkAdmitted(msgspec.Struct, frozen=True):
    """Fact: a link that was accepted is up."""

    paid_by: Payer
    """Who has paid for its handshake."""
    peer_id: AgentId
    ticket: bytes
    """By which the peer shows itself when it dials again."""


class StrangersDue(msgspec.Struct, frozen=True):
    """Timer: look for strangers who have taken too long."""


class ChangePlaces(msgspec.Struct, frozen=True):
    """Command: so many strangers are let in at one time from now on, and as many links of such."""

    max_unauthenticated: int


Inbound: TypeAlias = (
    HandshakeEnded | LinkAdmitted | StrangersDue | BindDue | AcceptAgain | ChangePlaces | StopListening
)
