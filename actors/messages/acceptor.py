"""What an acceptor receives."""

from typing import TypeAlias

import msgspec

from actors.messages.listener import AcceptAgain, BindDue, StopListening


class HandshakeEnded(msgspec.Struct, frozen=True):
    """Fact: an accepted connection has become a link, or is gone."""

    link_urn: str


class LinkAdmitted(msgspec.Struct, frozen=True):
    """Fact: a link that was accepted from this address is up."""

    address: str


class StrangersDue(msgspec.Struct, frozen=True):
    """Timer: look for strangers who have taken too long."""


Inbound: TypeAlias = HandshakeEnded | LinkAdmitted | StrangersDue | BindDue | AcceptAgain | StopListening
