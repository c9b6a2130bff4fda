"""A hostile member in the simulated world: it has a link of its own, and sends as fast as it is told to."""

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from mesh.addresses import TcpAddress
from mesh.link import bodies
from mesh.link.frames import FrameType, link_frame
from scripts.simulation.world import PEER_PORT
from tests.security.hostile import Credentials, Wire, records_frame

TICK_S = 0.01
MOST_UNSENT_BYTES = 256 * 1024


class SimulatedMember(Actor):
    """Linked to ``peer``; while ``step`` is set it is called each tick for frames to send.

    Args:
        rate: bytes of frames a second.
    """

    def __init__(self, dispatcher, *, peer, authority, **granted):
        super().__init__(dispatcher)
        self.credentials = Credentials(authority, **({"now": dispatcher.unix_time()} | granted))
        self.wire = Wire(self.credentials)
        self.peer = peer
        self.step = None
        self.rate = 0.0
        self.owed_bytes = 0.0
        self.unsent = b""
        self.is_over = False

    def on_start(self):
        self.dispatcher.connect(self.ref, TcpAddress(self.peer, PEER_PORT), 1, SocketOptions())

    def on_receive(self, message):
        if isinstance(message, Connected):
            self.socket = self.own(message.socket)
            self.socket.watch_read(True)
            self.unsent += self.wire.start()
            self.pump()
            self.schedule(TICK_S, "tick")
        elif message == "tick" and not self.is_over:
            if self.wire.is_up and self.step is not None:
                self.flood()
            self.schedule(TICK_S, "tick")

    def flood(self):
        self.owed_bytes = min(self.owed_bytes + self.rate * TICK_S, MOST_UNSENT_BYTES)
        while self.owed_bytes > 0 and len(self.unsent) < MOST_UNSENT_BYTES:
            data = self.wire.seal(self.step())
            self.owed_bytes -= len(data)
            self.unsent += data
        self.pump()

    def tell(self, **changes):
        """Sign a new record, and say it."""
        if self.wire.is_up and not self.is_over:
            record = self.credentials.record(self.wire.peer_id, **changes)
            self.unsent += self.wire.seal(records_frame(record))
            self.pump()

    def on_readable(self, socket):
        buffer = self.dispatcher.read_buffer
        try:
            count = socket.recv_into(buffer)
        except OSError:
            count = 0
        if not count:
            self.over()
            return
        out, frames = self.wire.receive(bytes(buffer[:count]), self.dispatcher.unix_time())
        self.wire.frames += frames
        self.unsent += out
        self.pump()

    def on_writable(self, socket):
        self.pump()

    def pump(self):
        if self.is_over:
            return
        try:
            while self.unsent:
                sent = self.socket.send([self.unsent])
                self.unsent = self.unsent[sent:]
        except BlockingIOError:
            self.socket.watch_write(True)
            return
        except OSError:
            self.over()
            return
        self.socket.watch_write(False)

    def over(self):
        """The peer has ended the link."""
        if not self.is_over:
            self.is_over = True
            self.socket.close()
            self.disown(self.socket)


def say_lists(mesh, member, *lists):
    """Pass these revocation lists on, and let them be judged."""
    for each in lists:
        if member.is_over:
            break
        frame = link_frame(FrameType.REVOCATIONS, bodies.encode_revocations((each,)))
        member.unsent += member.wire.seal(frame)
        member.pump()
        mesh.run(0.01)
    mesh.run(1.0)
