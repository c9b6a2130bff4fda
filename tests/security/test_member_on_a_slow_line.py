"""A member that begins to flood a slow line which a transfer crosses already, in real processes."""

import contextlib
import logging
import threading
import time

import pytest

from scripts.lab.clients import CHUNK_BYTES, connect
from scripts.lab.services import Service
from scripts.lab.waiting import wait_until
from tests.security.floods import FLOODS
from tests.security.hostile import Credentials, Member, Repeating
from tests.system.slow_link import SlowLink

log = logging.getLogger(__name__)

KEY = "bulk"
LINE_BYTES_PER_S = 1.25e6
BUFFER_BYTES = 256 * 1024
"""Of each socket of the line: several times the window of a transfer that has it alone."""
FLOOD_BYTES_PER_S = 2e6
FLOOD_EVERY_S = 0.02
ALONE_S = 3.0
NOTICED_S = 1.0
FLOODED_S = 4.0
TIMES = 5
"""A machine that is busy elsewhere may take all but one of them."""
SHARE = 0.4
KINDS = [
    "short data of made-up connections",
    "200 flows",
    "one flow that ignores marks",
    "acknowledgements",
]


class Sink:
    """A service that reads all and counts."""

    def __init__(self):
        self.byte_count = 0
        self.service = Service(self.read)

    def read(self, client):
        with contextlib.suppress(ConnectionResetError):  # whoever sends leaves in the middle
            while data := client.recv(CHUNK_BYTES):
                self.byte_count += len(data)

    def rate(self, seconds):
        """Bytes a second from now on."""
        before, start = self.byte_count, time.monotonic()
        time.sleep(seconds)
        return (self.byte_count - before) / (time.monotonic() - start)


@contextlib.contextmanager
def uploading(port):
    """A client that sends all the while."""
    with connect(port, timeout_s=60) as client:

        def send():
            with contextlib.suppress(OSError):
                while True:
                    client.sendall(bytes(CHUNK_BYTES))

        threading.Thread(target=send, daemon=True).start()
        yield


def flood(member, hq, make):
    """Sends all that the relay takes, up to ``FLOOD_BYTES_PER_S``."""
    owed = 0.0

    def some(_):
        nonlocal owed
        owed += FLOOD_BYTES_PER_S * FLOOD_EVERY_S
        frames = []
        while owed > 0:
            frames.append(make(member.credentials.id, hq.identity.id))
            owed -= len(frames[-1].body) + 72
        member.send(*frames)

    return Repeating(FLOOD_EVERY_S, some)


@pytest.mark.parametrize("kind", KINDS)
def test_a_transfer_that_was_there_before_a_flood_keeps_its_share(mesh, kind):
    make, _ = FLOODS[kind]
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    sink = Sink()
    with (
        SlowLink(relay.accept_port, LINE_BYTES_PER_S, BUFFER_BYTES) as line,
        contextlib.closing(sink.service),
    ):
        hq.config["peers"] = [{"address": f"127.0.0.1:{line.port}"}]
        hq.offer(KEY, sink.service.port)
        port = branch.listen(KEY)
        mesh.start()
        branch.wait_for_route(KEY)
        with Member(relay, Credentials(mesh.authority)) as hostile, uploading(port):
            wait_until(lambda: sink.byte_count > LINE_BYTES_PER_S, "the transfer is under way")
            alone = sink.rate(ALONE_S)
            with flood(hostile, hq, make):
                time.sleep(NOTICED_S)
                beside, times = 0.0, 0
                while times < TIMES and beside <= SHARE * alone:
                    beside, times = max(beside, sink.rate(FLOODED_S)), times + 1
            log.info("%s: %.2f MB/s, then %.2f of it", kind, alone / 1e6, beside / alone)
            assert beside > SHARE * alone
