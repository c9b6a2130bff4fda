"""A second agent of the mesh, written from docs/PROTOCOL.md alone, on another Noise library and asyncio."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.second.frames import Frame, Type
from tests.second.link import Link, Party, accept, dial
from tests.second.openings import Address, Exit, Ingress, Local, Table
from tests.second.records import Records, of_copies, to_body
from tests.second.revocations import Revocations, asked, numbered, of_body
from tests.second.revocations import to_body as to_lists_body
from tests.second.stream import HOP_LIMIT
from tests.second.wire import (
    Grants,
    NotAdmittedError,
    ProtocolError,
    Record,
    Statement,
    agent_id,
    certificate_body,
    decode,
    encode,
    read_statement,
)

PING_S: Final = 1.0
SILENCE_S: Final = 20.0
HANDSHAKE_S: Final = 10.0
ENDS: Final = (ProtocolError, asyncio.IncompleteReadError, ConnectionError)
"""How links end."""
ANSWERED_WITH_UNKNOWN: Final = {Type.ACCEPT, Type.DATA, Type.FIN, Type.ACK, Type.RESET, Type.PROBE}
"""Where the connection is not known."""


class Token(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    value: int


class TurnedAwayError(Exception):
    """The peer has closed the link, for the reason that the text has."""


class Agent:
    """Dials peers or is dialed, tells of its endpoints, serves and opens connections; ``close`` ends it all.

    Args:
        endpoints: routing keys, and the addresses of their targets.
    """

    def __init__(self, own: Party, endpoints: dict[str, Address]) -> None:
        loop = asyncio.get_running_loop()
        self._own = own
        self._endpoints = endpoints
        self._session_key = os.urandom(32)
        self.revocations = Revocations(own.authorities)
        self.records = Records(own.identity, own.authorities, self.revocations.refuses, loop.time)
        self._known_to: dict[bytes, dict[bytes, int]] = {}
        self.links: dict[bytes, Link] = {}
        self.pongs = 0
        self._table: Table = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        local = Local(
            own.identity.id,
            own.instance,
            self._session_key,
            self.records,
            self.transmit,
            loop.time,
            self._start,
            self._table,
        )
        self._exit, self._ingress = Exit(local, endpoints), Ingress(local)

    @property
    def shorts(self) -> tuple[int, int]:
        """Connections that were opened under pair sessions: to others, and to this agent."""
        return self._ingress.shorts, self._exit.shorts

    @property
    def grants(self) -> Grants:
        return decode(certificate_body(self._own.certificate), Grants)

    async def dial(self, host: str, port: int) -> None:
        """Link with the agent that accepts there.

        Raises:
            TurnedAwayError: it does not want the link. If this agent was revoked, the list has been taken.
        """
        link = await dial(self._own, host, port)
        frames = [await link.receive()]
        if frames[0].type == Type.REVOCATIONS:
            frames.append(await link.receive())
        if frames[-1].type == Type.CLOSE or not self._admits(link):
            await link.close()
            for proof in frames[:-1]:
                for octets in of_body(proof.body):
                    self.revoke(octets)
            raise TurnedAwayError(frames[-1].body)
        self._up(link)
        for frame in frames:
            self._take(link, frame)

    async def accept(self) -> int:
        """The port of loopback at which others may dial this agent."""

        def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._start(self._answer(reader, writer))

        return await self._serve(arrived)

    async def listen(self, key: str, *exits: bytes) -> int:
        """The port of loopback at which clients are served, by these exits or by all that offer the key."""

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tried = exits or self.records.candidates(key)
            self._start(self._ingress.serve(key, tried, reader, writer))

        return await self._serve(serve)

    async def _serve(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave in order: withdraw, say so, and end."""
        for server in self._servers:
            server.close()
        self._speak(is_withdrawn=True)
        for link in list(self.links.values()):
            link.send(Frame(Type.CLOSE, encode(("the second agent leaves",))))
            await link.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for sockets that were reset

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- links -----------------------------------------------------------------------------------------------

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whoever has dialed."""
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                link = await accept(self._own, reader, writer)
        except (*ENDS, TimeoutError):
            writer.close()
            return
        if self._admits(link):
            self._up(link)
        else:
            link.send(Frame(Type.CLOSE, encode(("this agent does not want the link",))))
            await link.close()

    def _admits(self, link: Link) -> bool:
        """Whether a link is wanted; in the place of another one only by the rules that both ends follow."""
        if self.revocations.refuses(link.peer.grants):
            return False
        there_is = self.links.get(link.peer.id)
        if there_is is None:
            return True
        own_is_lower = self._own.identity.id < link.peer.id
        is_better = link.is_dialed in {there_is.is_dialed, own_is_lower}
        return there_is.peer.instance == link.peer.instance and is_better

    def _up(self, link: Link) -> None:
        replaced = self.links.get(link.peer.id)
        self.links[link.peer.id] = link
        if replaced is not None:
            self._start(replaced.close())
        link.send(Frame(Type.PING, encode((0,))))
        link.send(Frame(Type.WANT_REVOCATIONS, self.revocations.wanted()))
        self._speak()
        link.send(Frame(Type.DIGEST, self.records.digest()))
        self._start(self._receive(link))
        self._start(self._ping(link))

    async def _receive(self, link: Link) -> None:
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    frame = await link.receive()
                self._take(link, frame)
        except (*ENDS, TimeoutError):
            await link.close()
            if self.links.get(link.peer.id) is link:
                del self.links[link.peer.id]
                self._speak()

    async def _ping(self, link: Link) -> None:
        token = 1
        while self.links.get(link.peer.id) is link:
            await asyncio.sleep(PING_S)
            link.send(Frame(Type.PING, encode((token,))))
            token += 1

    def _take(self, link: Link, frame: Frame) -> None:
        match frame.type:
            case Type.PING:
                link.send(Frame(Type.PONG, encode(decode(frame.body, Token))))
            case Type.PONG:
                self.pongs += 1
            case Type.RECORDS:
                for copy in of_copies(frame.body):
                    self._record(link, *copy)
            case Type.DIGEST:
                self._tell(link, self.records.owed(frame.body))
            case Type.WANT_REVOCATIONS:
                self._known_to[link.peer.id] = asked(frame.body)
                self._tell_of_revoked(link)
            case Type.REVOCATIONS:
                known = self._known_to.setdefault(link.peer.id, {})
                for octets in of_body(frame.body):
                    known |= numbered(octets)
                    self.revoke(octets)
            case Type.CHALLENGE:
                link.send(Frame(Type.CHALLENGE_ANSWER, frame.body))
            case Type.CLOSE:
                raise ProtocolError("the peer closes the link")
            case _ if not frame.is_links_own:
                self._carry(link, frame)

    # -- records ---------------------------------------------------------------------------------------------

    def _speak(self, *, is_withdrawn: bool = False) -> None:
        """Sign a record of what is so now, and flood it."""
        own = self._own
        session_public = (
            X25519PrivateKey.from_private_bytes(self._session_key).public_key().public_bytes_raw()
        )
        neighbours = () if is_withdrawn else tuple((each, 0) for each in self.links)
        endpoints = () if is_withdrawn else tuple((key, None) for key in self._endpoints)

        def statement(epoch: int, sequence: int) -> Statement:
            return Statement(
                own.identity.public_key,
                epoch,
                sequence,
                own.instance,
                session_public,
                own.certificate,
                relays=False,
                is_draining=is_withdrawn,
                is_withdrawn=is_withdrawn,
                neighbours=neighbours,
                endpoints=endpoints,
            )

        self._flood(self.records.speak(statement))

    def _record(self, link: Link, signed: bytes, signature: bytes, age_ms: int) -> None:
        try:
            record, is_news = self.records.take(signed, signature, age_ms)
        except NotAdmittedError:
            if agent_id(read_statement(signed).public_key) == link.peer.id:
                raise
            return
        if record is None:
            return
        if record.id == self._own.identity.id and is_news:
            self._speak()
        elif is_news:
            self._flood(record, link)
        else:
            self._tell(link, [record])

    def _flood(self, record: Record, source: Link | None = None) -> None:
        for link in self.links.values():
            if link is not source:
                self._tell(link, [record])

    def _tell(self, link: Link, records: list[Record]) -> None:
        for record in records:
            link.send(Frame(Type.RECORDS, to_body([self.records.copy(record)])))

    # -- revocations -----------------------------------------------------------------------------------------

    def revoke(self, octets: bytes) -> None:
        """Take a list, pass it on, and end what it forbids."""
        if not self.revocations.take(octets, time.time()):
            return
        for link in list(self.links.values()):
            self._tell_of_revoked(link)
            if self.revocations.refuses(link.peer.grants):
                link.send(Frame(Type.CLOSE, encode(("the certificate is revoked",))))
                self._start(link.close())

    def _tell_of_revoked(self, link: Link) -> None:
        """What the peer lacks by what it has asked for, if it has asked yet."""
        if lists := self.revocations.owed(self._known_to.get(link.peer.id, {})):
            link.send(Frame(Type.REVOCATIONS, to_lists_body(lists)))

    # -- connections -----------------------------------------------------------------------------------------

    def transmit(self, frame: Frame) -> None:
        """Send a frame towards its destination, if a path leads there."""
        path = self.records.paths().get(frame.destination)
        link = self.links.get(path.agents[1]) if path and path.links else None
        if link is not None:
            link.send(frame)

    def _carry(self, link: Link, frame: Frame) -> None:
        """A frame of a connection; this agent relays none."""
        if frame.source != link.peer.id and not link.peer.grants.may_relay:
            raise ProtocolError("a peer that may not relay speaks for another agent")
        if frame.destination != self._own.identity.id or frame.source == self._own.identity.id:
            return
        ends = (frame.destination, frame.source) if frame.from_exit else (frame.source, frame.destination)
        connection = self._table.get((*ends, frame.connection))
        if frame.type == Type.OPEN:
            self._exit.open_arrived(frame)
        elif frame.from_exit and self._ingress.has_asked(frame.connection):
            self._ingress.answer_arrived(frame)
        elif connection is not None:
            connection.receive(frame)
        elif frame.type in ANSWERED_WITH_UNKNOWN:
            back = Frame(Type.UNKNOWN, b"", frame.destination, frame.source, frame.connection)
            self.transmit(replace(back, from_exit=not frame.from_exit, hop_limit=HOP_LIMIT))
