"""Who sees and changes the bytes between two agents, without a certificate."""

import contextlib
import socket
import time

import pytest

from mesh.link.frames import SEALED_HEADER_BYTES, TAG_BYTES
from scripts.lab.clients import connect, read_exactly
from scripts.lab.meshes import Mesh, complaints
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until
from tests.security.chains import SAYING, Chain, dial_at
from tests.security.taps import Tap

KEYS = ("db", "payroll-main", "hr-confidential-records")
SEGMENT = b"y" * 1000
SEGMENT_BYTES = SEALED_HEADER_BYTES + len(SEGMENT) + TAG_BYTES


@pytest.fixture(scope="module")
def on_the_wire(tmp_path_factory):
    """A chain with somebody on the wire from hq to its relay, and a listener for each of ``KEYS``."""
    chain = Chain(Mesh(tmp_path_factory.mktemp("wire")))
    with Tap(chain.relay.accept_port) as tap:
        try:
            dial_at(chain.hq, tap.port)
            for key in KEYS:
                chain.hq.offer(key, chain.service.port)
            ports = {key: chain.branch.listen(key) for key in KEYS}
            yield chain.start(), tap, ports
        finally:
            chain.close()


@pytest.fixture
def tapped(on_the_wire):
    chain, tap, _ = on_the_wire
    tap.change = None
    chain.branch.wait_for_route(KEYS[0])
    yield chain, tap
    tap.change = None
    assert complaints(chain.mesh) == []


def test_sizes_do_not_tell_which_service_a_connection_is_for_nor_bytes_what_it_says(tapped, on_the_wire):
    chain, tap, ports = on_the_wire
    for key in KEYS:
        chain.branch.wait_for_route(key)
        assert chain.answers(port=ports[key]) is not None  # from now on a connection stands by
    largest = {}
    for key in KEYS:
        for _ in range(3):
            time.sleep(0.2)
            mark = len(tap.down)
            assert chain.answers(port=ports[key]) is not None
            time.sleep(0.2)
            largest.setdefault(key, set()).add(max(map(len, tap.down[mark:])))
    # Towards hq that is an OPEN, of this client or for the next; an acknowledgement may go with it.
    assert largest[KEYS[0]] & largest[KEYS[1]] & largest[KEYS[2]], largest
    wire = b"".join(tap.up) + b"".join(tap.down)
    instances = [bytes.fromhex(agent.dashboard()["agent"]["instance"]) for agent in chain.agents]
    assert not [text for text in (SAYING, *map(str.encode, KEYS[1:]), *instances) if text in wire]


def test_a_body_that_was_changed_is_not_delivered_but_counted_and_told(tapped):
    """One bit of a segment's body, which the link does not seal."""
    chain, tap = tapped
    flipped = []

    def flip(piece):
        if not flipped and len(piece) >= SEGMENT_BYTES and len(piece) < SEGMENT_BYTES + 200:
            changed = bytearray(piece)
            changed[-20] ^= 1
            flipped.append(len(piece))
            return bytes(changed)
        return piece

    with connect(chain.port) as client:
        client.sendall(SAYING)
        assert read_exactly(client, len(SAYING)) == SAYING
        before = {agent.name: agent.stats()["frames_forged_total"] for agent in chain.agents}
        tap.change = flip  # of what hq sends: the echo, at branch
        client.sendall(SEGMENT)
        assert read_exactly(client, len(SEGMENT)) == SEGMENT
    assert flipped
    wait_until(
        lambda: chain.branch.stats()["frames_forged_total"] > before["branch"], "it is counted at branch", 5
    )
    chain.branch.wait_for_lines_with("forged bodies")


@pytest.mark.parametrize("what", ["a bit", "more bytes", "bytes again", "bytes left out"])
def test_a_link_whose_bytes_are_changed_breaks_and_nothing_wrong_is_delivered(tapped, what):
    chain, tap = tapped
    done = []

    def change(piece):
        if done:
            return piece
        done.append(what)
        match what:
            case "a bit":
                return bytes([piece[0] ^ 1]) + piece[1:]
            case "more bytes":
                return b"x" * 72 + piece
            case "bytes again":
                return piece + piece
            case _:
                return piece[1:]

    with connect(chain.port) as client:
        client.sendall(SAYING)
        assert read_exactly(client, len(SAYING)) == SAYING
        broken = chain.relay.stats()["links_broken_total"]
        tap.change = change
        client.sendall(SEGMENT)
        assert read_exactly(client, len(SEGMENT)) == SEGMENT
    assert done
    assert chain.relay.stats()["links_broken_total"] == broken + 1
    chain.relay.wait_for_lines_with("link broken")


def test_a_link_that_was_recorded_cannot_be_played_again(tapped):
    chain, tap = tapped
    before = chain.relay.stats()["links_refused_total"]
    recorded = b"".join(tap.up)
    with (
        socket.create_connection((LOOPBACK, chain.relay.accept_port), timeout=15) as replayer,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
    ):
        replayer.sendall(recorded)
        while replayer.recv(65536):
            pass
    wait_until(lambda: chain.relay.stats()["links_refused_total"] > before, "it is refused and counted")
    assert chain.slowest_newcomer(1) < 1.0
