"""An endpoint: a service near this agent, offered to the mesh under a routing key."""

import logging
from typing import Any, assert_never

from actors.messages import connection as connection_messages
from actors.messages import endpoint as messages
from actors.messages import route_table as route_table_messages
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, Ref
from mesh.addresses import SocketAddress
from mesh.records import EndpointEntry

log = logging.getLogger("mesh.forward")


class Endpoint(Actor[messages.Inbound]):
    """Offers one key, and lets its connections in."""

    def __init__(
        self, dispatcher: Dispatcher, *, key: str, target: SocketAddress, route_table: Ref[Any]
    ) -> None:
        super().__init__(dispatcher)
        self._key = key
        self._target = target
        self._route_table = route_table
        self._connections: set[str] = set()
        self._offering = True

    def on_start(self) -> None:
        """Offer the key."""
        log.info("endpoint %s is %s", self._key, self._target)
        self._advertise(EndpointEntry(key=self._key, target=str(self._target)))

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.AdmitConnection(connection=connection):
                self._admit(connection)
            case messages.ConnectionLeft(connection_urn=urn):
                self._connections.discard(urn)
            case messages.StopOffering():
                self._offering = False
                self._advertise(None)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Withdraw the key."""
        self._advertise(None)
        super().release()

    def _advertise(self, entry: EndpointEntry | None) -> None:
        self.tell(self._route_table, route_table_messages.AdvertiseEndpoint(self.actor_urn, entry))

    def _admit(self, connection: Ref[Any]) -> None:
        if not self._offering:
            denied = connection_messages.TargetDenied("unavailable", "the endpoint is being withdrawn")
            self.tell(connection, denied)
        elif self.tell(connection, connection_messages.TargetGranted(self._target)):
            self._connections.add(connection.actor_urn)

    def __str__(self) -> str:
        """Name key and target, for logs and dumps."""
        return f"Endpoint({self._key}, {self._target}, {len(self._connections)} connections)"
