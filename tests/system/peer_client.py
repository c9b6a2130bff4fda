"""A peer that does what it likes: the pure parts of the link protocol on a blocking socket."""

import os
import socket
import time

from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import FrameType, link_frame, nonce
from mesh.link.handshake import LinkHandshake
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import INSTANCE_BYTES, SEED_BYTES, Identity
from mesh.trust.noise.primitives import key_pair
from scripts.lab.agents import DAY_S
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import PATIENCE_S

READ_BYTES = 64 * 1024


def sealed_by(writer, piece):
    """Anything, sealed and counted as the protocol does it."""
    sealed = writer._encrypt(nonce(0, writer._sealed), piece, None)
    writer._sealed += 1
    return sealed


class PeerClient:
    """Dials an agent; it has a certificate of the mesh's authority unless another is given.

    Times are seconds from now. Nothing is sent before ``shake``.
    """

    def __init__(
        self,
        agent,
        *,
        name="client",
        identity=None,
        authority=None,
        not_before=-DAY_S,
        not_after=DAY_S,
        instance=None,
        source=LOOPBACK,
    ):
        now = int(time.time())
        self.identity = identity or Identity(os.urandom(SEED_BYTES))
        self.certificate = issue_certificate(
            authority or agent.authority,
            subject=self.identity.public_key,
            name=name,
            not_before=now + not_before,
            not_after=now + not_after,
            may_register=("*",),
            may_use=("*",),
            may_relay=True,
        )
        self.instance = instance or os.urandom(INSTANCE_BYTES)
        self._handshake = LinkHandshake(
            initiator=True,
            identity=self.identity,
            certificate=self.certificate,
            instance=self.instance,
            static=key_pair(os.urandom(32)),
            ephemeral=key_pair(os.urandom(32)),
            trust=TrustStore([agent.authority.public_key]),
            expected=None,
        )
        self.socket = socket.create_connection((LOOPBACK, agent.accept_port), PATIENCE_S, (source, 0))
        host, port = self.socket.getsockname()
        self.address = f"{host}:{port}"
        self.sent = b""
        """What this end has sent of the handshake."""
        self._frames = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def shake(self, *, flip=None, until=None):
        """Do the handshake as an agent does; the peer may still refuse afterwards.

        Args:
            flip: the place of a byte, of all that this end sends, to change a bit of.
            until: how many bytes to send; what follows is kept back, and so is what depends on it.
        """
        self._send(self._handshake.start(), flip, until)
        established = None
        while established is None:
            if until is not None and len(self.sent) >= until:
                return self
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise EOFError("refused during the handshake")
            progress = self._handshake.receive(data, time.time())
            self._send(progress.to_send, flip, until)
            established = progress.established
        self._sealer = FrameWriter(established.send_key)
        self._reader = FrameReader(established.receive_key)
        self._frames = self._reader.feed(memoryview(established.surplus))
        return self

    def _send(self, data, flip, until):
        whole = bytearray(self.sent + data)
        if flip is not None and len(self.sent) <= flip < len(whole):
            whole[flip] ^= 1
        data = bytes(whole[len(self.sent) : until])
        self.sent += data
        self.socket.sendall(data)

    def opening(self):
        """The first bytes of the handshake."""
        return self._handshake.start()

    def join(self):
        """Do the handshake and wait for the first frame, which says that the agent has let this peer in."""
        self.shake()
        self.next_frame()
        return self

    # -- frames ----------------------------------------------------------------------------------------------

    def send_sealed(self, *pieces):
        """Send bytes of any kind, each piece sealed as the next; what is well sealed need not make sense."""
        self.socket.sendall(b"".join(sealed_by(self._sealer, piece) for piece in pieces))

    def sealed(self, frame):
        """A frame as it goes over the wire next."""
        return b"".join(self._sealer.seal(frame))

    def send(self, *frames):
        self.socket.sendall(b"".join(self.sealed(frame) for frame in frames))

    def send_own(self, frame_type, body):
        """Send a frame of the link's own."""
        self.send(link_frame(frame_type, body))

    def next_frame(self):
        """The next frame that the agent sends; EOFError where it has closed."""
        while not self._frames:
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise EOFError("the agent has closed the link")
            self._frames = self._reader.feed(memoryview(data))
        return self._frames.pop(0)

    def wait_for(self, frame_type):
        """The next frame of a type."""
        while (frame := self.next_frame()).type != frame_type:
            pass
        return frame

    def last_words(self):
        """The body of the CLOSE that the agent ends the link with; ``None`` where it has nothing to say."""
        try:
            return self.wait_for(FrameType.CLOSE).body
        except (EOFError, ConnectionResetError):
            return None

    def ends(self, timeout_s=PATIENCE_S):
        """Whether the agent ends the connection in time, whatever it sends before."""
        self.socket.settimeout(timeout_s)
        try:
            while self.socket.recv(READ_BYTES):
                pass
        except ConnectionResetError:
            pass
        return True
