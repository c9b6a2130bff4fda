"""The exit end of a connection, as far as it knows whom it serves and tells the target who connects."""

import logging
from collections import deque
from typing import Generic, TypeVar

import msgspec

from actors.connections.connection_end import ConnectionEnd
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.runtime.seam import SocketOptions
from mesh.addresses import SocketAddress
from mesh.connection.party import Party
from mesh.connection.preface import Preface, PrefaceReader
from mesh.connection.proxy_protocol import proxy_header
from mesh.connection.reserved import ReservedKey
from mesh.connection.source_address import source_address
from mesh.connection.stream import Effects, ResetCode
from mesh.errors import RemoteProtocolError
from mesh.routing.records import Record
from mesh.trust.naming import named

log = logging.getLogger("mesh.connections")

M = TypeVar("M")


class IntroducingEnd(ConnectionEnd[M], Generic[M]):
    """Has the record of its ingress's agent."""

    __slots__ = ("_client", "_party", "_preface", "_record_of_ingress", "_target")

    _party: Party
    _record_of_ingress: Record

    def _know(self, party: Party, record: Record) -> None:
        """This is the ingress; before anything else."""
        self._party = party
        self._record_of_ingress = record
        self._target: SocketAddress | ReservedKey | None = None
        """What the endpoint has said."""
        self._client = ""
        """Address of the client, if the ingress was asked for it."""
        self._preface: PrefaceReader | None = None
        """While the target is still to be told who connects, and the ingress has not said it."""

    # -- what the target is told -----------------------------------------------------------------------------

    def _wants_client(self, *, tells_client: bool) -> bool:
        """Whether the ingress is to say whose bytes follow: it can, and the target wants to know."""
        if not self._settings.config_of(self._key).proxy_protocol:
            return False
        if tells_client:
            self._preface = PrefaceReader()
        else:  # an agent of an earlier version: who it is is known
            self._introduce(Preface())
        return tells_client

    def _options_towards_target(self) -> SocketOptions:
        """How to connect to it: it may know agents by the addresses that they come from."""
        subnet = self._settings.config_of(self._key).source_address
        if subnet is None:
            return CONNECTION_SOCKET_OPTIONS
        own = source_address(subnet, self._party.id, self._settings.source_secret)
        return msgspec.structs.replace(CONNECTION_SOCKET_OPTIONS, local_host=own)

    def _apply(self, effects: Effects) -> None:
        if self._preface is not None and effects.delivered:
            self._take_preface(self._preface, effects)
        super()._apply(effects)

    def _take_preface(self, reader: PrefaceReader, effects: Effects) -> None:
        """Take out of ``effects`` what is not for the target, and tell the target what it says."""
        data, effects.delivered = b"".join(effects.delivered), []
        try:
            found = reader.take(data)
        except RemoteProtocolError as error:
            log.debug("%s reset: %s", self, error)
            self._local_reset([], ResetCode.PROTOCOL_ERROR)
            return
        if found is None or self._stream is None:
            return
        preface, rest = found
        self._preface = None
        self._client = preface.client
        self._introduce(preface)
        more = self._stream.delivered(reader.byte_count, self.now())
        effects.frames += more.frames
        effects.done = effects.done or more.done
        if rest:
            effects.delivered.append(rest)

    def _introduce(self, preface: Preface) -> None:
        """Send the header: nothing has been sent before it, so there is room for it."""
        header = proxy_header(preface, self._record_of_ingress.certificate)
        try:
            sent = 0 if self._socket is None else self._socket.send(deque((header,)))
        except OSError:
            sent = 0  # a target that is gone is found out by reading
        if self._socket is not None and sent < len(header):
            self._lose("the target did not take the PROXY header")

    # -- names -----------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return named(self._record_of_ingress.name, self._party.id)

    def _other_name(self) -> str:
        return self._name()

    def _client_name(self) -> str:
        return self._client

    def _target_name(self) -> str:
        return "" if self._target is None else str(self._target)
