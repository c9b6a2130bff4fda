"""A member that does as it likes: the pure parts of the wire, with nothing of an agent's manners.

:class:`Wire` is the link without a socket, :class:`Member` has it on a real one. What a frame, a handshake or
a record looks like on the wire is the product's own code; what is said and when is the attacker's.
"""

import contextlib
import os
import socket
import threading
import time

import msgspec
from msgspec.structs import replace

from mesh.connection.opening_payloads import OpenRequest
from mesh.connection.party import Party
from mesh.connection.session_handshake import SessionInitiator
from mesh.link import bodies
from mesh.link.bodies import Records, WireRecord
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.handshake import LinkHandshake
from mesh.routing.records import Neighbour, RecordBody, decode_body
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import (
    INSTANCE_BYTES,
    RECORD_CONTEXT,
    SEED_BYTES,
    Identity,
    Instance,
    agent_id_of,
)
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until

DAY_S = 86_400
HOPS = 16
CREDIT_BYTES = 65_536


def signed(identity, body):
    """A record that says ``body``, also where an honest agent would not sign it."""
    data = msgspec.msgpack.encode(body)
    return WireRecord(data, identity.sign(RECORD_CONTEXT, data), 0)


class Credentials:
    """Who an attacker is: what its certificate grants is nothing unless it is named.

    Args:
        authority: signs the certificate.
        identity: another's where that was stolen.
        instance: likewise; every record shows it.
        now: Unix seconds; of the clock unless given.
        trusts: whose certificates it takes, if not those of ``authority``.
        certificate: its wire bytes, in the place of one of ``authority``.
    """

    def __init__(
        self,
        authority,
        name="mallory",
        *,
        identity=None,
        instance=None,
        register=(),
        use=(),
        relay=False,
        now=None,
        trusts=None,
        certificate=b"",
    ):
        now = int(time.time() if now is None else now)
        self.trusts = trusts or authority
        self.name = name
        self.identity = identity or Identity(os.urandom(SEED_BYTES))
        self.id = self.identity.id
        self.instance = Instance(instance or os.urandom(INSTANCE_BYTES))
        self.session = key_pair(os.urandom(32))
        self.shared = SharedSecrets(self.session)
        self.static = key_pair(os.urandom(32))
        self.epoch = now * 1000
        self.sequence = 0
        self.certificate = certificate or issue_certificate(
            authority,
            subject=self.identity.public_key,
            name=name,
            not_before=now - DAY_S,
            not_after=now + DAY_S,
            may_register=register,
            may_use=use,
            may_relay=relay,
        )

    @property
    def party(self):
        return Party(self.id, self.instance, self.session.public)

    def body(self, *peers, **changes):
        """Its next record's body: it is linked with ``peers``."""
        self.sequence += 1
        body = RecordBody(
            public_key=self.identity.public_key,
            epoch=self.epoch,
            sequence=self.sequence,
            instance=self.instance,
            session_key=self.session.public,
            certificate=self.certificate,
            relays=True,
            draining=False,
            withdrawn=False,
            neighbours=tuple(Neighbour(peer, 0) for peer in peers),
        )
        return replace(body, **changes)

    def record(self, *peers, **changes):
        return signed(self.identity, self.body(*peers, **changes))

    def opening(self, exit_, number, key, credit=CREDIT_BYTES):
        """A genuine OPEN to another agent, by its record's body; and who reads the answer."""
        remote = Party(agent_id_of(exit_.public_key), exit_.instance, exit_.session_key)
        initiator = SessionInitiator(
            local=self.party,
            remote=remote,
            connection=number,
            static=self.session,
            ephemeral=key_pair(os.urandom(32)),
            shared=self.shared,
        )
        return initiator, initiator.open_frame(OpenRequest(key, credit))


class Wire:
    """The link of a hostile member: it answers pings and challenges, keeps records, and sends anything."""

    def __init__(self, credentials, *, initiator=True):
        self.credentials = credentials
        self._handshake = LinkHandshake(
            initiator=initiator,
            identity=credentials.identity,
            certificate=credentials.certificate,
            instance=credentials.instance,
            static=credentials.static,
            ephemeral=key_pair(os.urandom(32)),
            trust=TrustStore([credentials.trusts.public_key]),
            expected=None,
        )
        self._writer = self._reader = None
        self.peer_id = None
        self.records = {}
        """The newest record of each agent, by its ID: its body and its wire form."""
        self.frames = []
        """Those of connections."""
        self.counts = {}
        self.reason = None
        """Why the peer has ended the link, if it said so."""

    @property
    def is_up(self):
        return self._reader is not None

    def start(self):
        return self._handshake.start()

    def receive(self, data, unix_now):
        """Take bytes; the bytes to send at once, and the frames of connections that came."""
        out = b""
        if self._reader is None:
            progress = self._handshake.receive(data, unix_now)
            out = progress.to_send
            link = progress.established
            if link is None:
                return out, []
            self.peer_id = link.peer_id
            self._writer, self._reader = FrameWriter(link.send_key), FrameReader(link.receive_key)
            data = link.surplus
        passed = []
        for frame in self._reader.feed(memoryview(data)):
            self.counts[frame.type] = self.counts.get(frame.type, 0) + 1
            if frame.type >= FrameType.OPEN:
                passed.append(frame)
            else:
                out += self._answer(frame)
        return out, passed

    def _answer(self, frame):
        if frame.type == FrameType.PING:
            return self.seal(link_frame(FrameType.PONG, frame.body))
        if frame.type == FrameType.CHALLENGE:
            return self.seal(link_frame(FrameType.CHALLENGE_ANSWER, frame.body))
        if frame.type == FrameType.CLOSE:
            self.reason = bodies.decode_close(frame.body)
        elif frame.type == FrameType.RECORDS:
            for wire in bodies.decode_records(frame.body):
                body = decode_body(wire.signed)
                known = self.records.get(agent_id_of(body.public_key))
                if known is None or known[0].freshness <= body.freshness:
                    self.records[agent_id_of(body.public_key)] = body, wire
        return b""

    def seal(self, *frames):
        return b"".join(b"".join(self._writer.seal(frame)) for frame in frames)


def digest_frame():
    """It asks the peer for every record."""
    return link_frame(FrameType.DIGEST, bodies.encode_digest(bodies.batch_digest([])[0]))


def records_frame(*wires):
    return link_frame(FrameType.RECORDS, bodies.encode_records(Records(wires)))


class Member(Wire):
    """A hostile member, linked to a real agent; a thread of its own reads.

    Args:
        on_frame: takes each frame of a connection; else they gather in ``frames``.
        rtt_s: waits so long in the handshake, as if the peer were far.
        listening: accept the link there instead of dialing one.
    """

    def __init__(self, agent, credentials, *, on_frame=None, rtt_s=0.0, port=None, listening=None):
        super().__init__(credentials, initiator=listening is None)
        self._on_frame = on_frame
        self._lock = threading.Lock()
        self._rtt_s = rtt_s
        if listening is None:
            self._socket = socket.create_connection((LOOPBACK, port or agent.accept_port), timeout=10)
        else:
            listening.settimeout(10)
            self._socket, _ = listening.accept()
            self._socket.settimeout(10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended = threading.Event()
        try:
            self._socket.sendall(self.start())
            while not self.is_up:
                time.sleep(self._rtt_s)
                self._take()
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def is_alive(self):
        """Whether the agent has kept the link."""
        return not self._ended.is_set()

    def _take(self):
        data = self._socket.recv(262_144)
        if not data:
            raise EOFError("the agent has closed")
        with self._lock:
            out, frames = self.receive(data, time.time())
            if out:
                self._socket.sendall(out)
        for frame in frames:
            if self._on_frame is not None:
                self._on_frame(self, frame)
            else:
                self.frames.append(frame)

    def _read(self):
        try:
            while True:
                self._take()
        except (OSError, EOFError):
            self._ended.set()

    def send(self, *frames):
        with self._lock:
            self._socket.sendall(self.seal(*frames))

    def try_to_send(self, *frames):
        """Send; whether the link was still there."""
        try:
            self.send(*frames)
        except OSError:
            return False
        return True

    def tell(self, *wires):
        self.send(records_frame(*wires))

    def advertise(self, **changes):
        """Tell of itself; the record."""
        wire = self.credentials.record(self.peer_id, **changes)
        self.tell(wire)
        return wire

    def know(self, agent):
        """The body of the newest record of an agent."""
        self.send(digest_frame())
        return wait_until(lambda: self.records.get(agent.identity.id), f"a record of {agent.name}")[0]

    def open(self, exit_, number, key, credit=CREDIT_BYTES):
        """Open a connection in its own name; the reply, and the session if it was accepted."""
        initiator, frame = self.credentials.opening(exit_, number, key, credit)

        def answer():
            for each in tuple(self.frames):
                if each.connection == number and each.type in (FrameType.ACCEPT, FrameType.REJECT):
                    return each
            return None

        with Repeating(0.3, lambda _: self.send(frame)):  # as agents do: the exit may not know this one yet
            return initiator.read_reply(wait_until(answer, f"an answer to OPEN {number}", 5))

    def ends(self, timeout_s=5.0):
        """Whether the agent ends the link in time."""
        return self._ended.wait(timeout_s)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Repeating:
    """Calls ``step(number)`` each ``every_s`` seconds on its own thread, until it fails or is left."""

    def __init__(self, every_s, step):
        self._every_s, self._step = every_s, step
        self._stop = threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                self._step(self.count)
                self.count += 1
                due += self._every_s
                self._stop.wait(max(0.0, due - time.monotonic()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(10)


def junk(kind, source, destination, connection, body=b"", *, number=0, from_exit=False):
    """A frame of a connection that says whatever one likes."""
    return Frame(kind, from_exit, source, destination, connection, number, body, HOPS)
