"""The port for peers, used by others than peers: they are refused, counted and told, and disturb nobody."""

import contextlib
import os
import socket
import time
from collections import deque

import pytest

from mesh.errors import RemoteProtocolError
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until
from tests.system.peer_client import PeerClient
from tests.system.siege import MIB

HANDSHAKE_LIFE_S = 10.0
"""How long an unauthenticated connection may live."""


def dial(relay, source=LOOPBACK):
    """A connection to the relay's acceptor; log lines are sampled by the address they are about."""
    return socket.create_connection((LOOPBACK, relay.accept_port), 20, (source, 0))


def address_of(sock):
    host, port = sock.getsockname()
    return f"{host}:{port}"


def refused(relay):
    return relay.stats()["links_refused_total"]


def is_closed(sock, timeout_s=20):
    """Whether the other end closes or resets in time."""
    sock.settimeout(timeout_s)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            pass
    return True


TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(64))
PREAMBLE = b"MESH\x01\x01"

GARBAGE = {
    "bytes": (b"\x00\xff\xfe garbage \x1b[31m\r\n" * 50, "is no mesh agent"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP client"),
    "TLS": (TLS_HELLO, "speaks TLS"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks SSH"),
    "version": (b"MESH\x09\x01", "versions 9 to 1"),
    "length": (PREAMBLE + b"\xff\xff" + bytes(100), "announces 65535 bytes"),
    "short": (PREAMBLE + b"\x00\x00", "announces 0 bytes"),
    "no MAC": (PREAMBLE + b"\x00\x30" + bytes(48), "shows no authority that this agent trusts"),
    "much": (os.urandom(MIB), "is no mesh agent"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused_told_once_and_counted(relay, kind):
    byte_count, says = GARBAGE[kind]
    before = refused(relay)
    with dial(relay) as stranger:
        address = address_of(stranger)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            stranger.sendall(byte_count)
        assert is_closed(stranger)
    wait_until(lambda: refused(relay) == before + 1, "it is counted")
    (told,) = wait_until(lambda: relay.lines_with(address), "it is told")
    assert "link refused: " in told
    assert says in told
    assert "\x1b" not in told


def test_a_handshake_cut_off_anywhere_is_refused(relay):
    """Whole up to some byte of message 1 or 3, then the end of the stream."""
    before = refused(relay)
    with PeerClient(relay) as model:
        model.shake()
        first = len(PREAMBLE) + 2 + 48
        whole = model.sent
    cuts = [0, 1, 4, 5, 6, 7, 8, 20, first - 1, first, first + 1, first + 2, first + 100, len(whole) - 1]
    addresses = []
    for cut in cuts:
        with PeerClient(relay) as client:
            addresses.append(client.address)
            client.shake(until=cut)
            client.socket.shutdown(socket.SHUT_WR)
            assert client.ends()
    wait_until(lambda: refused(relay) == before + len(cuts), "each is counted")
    for address in addresses:
        assert len(relay.lines_with(address)) <= 1


def test_a_handshake_with_one_bit_wrong_anywhere_is_refused(relay):
    before = refused(relay)
    with PeerClient(relay) as model:
        model.shake()
        length = len(model.sent)
    places = [0, 4, 6, 7, 8, 38, 40, 45, 55, 56, 58, 100, length // 2, length - 1]
    for place in places:
        with PeerClient(relay) as client:
            with contextlib.suppress(EOFError, OSError, RemoteProtocolError):
                client.shake(flip=place)
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_WR)
            assert client.ends()
    wait_until(lambda: refused(relay) == before + len(places), "each is counted")


def test_replayed_bytes_of_a_genuine_handshake_are_refused(relay):
    with PeerClient(relay, name="genuine") as genuine:
        genuine.join()
        byte_count = genuine.sent
    before = refused(relay)
    # From an address of its own: of those above some have been refused for the same reason.
    with dial(relay, "127.0.0.9") as replayer:
        address = address_of(replayer)
        replayer.sendall(byte_count)
        assert is_closed(replayer)
    wait_until(lambda: refused(relay) == before + 1, "it is counted")
    (told,) = wait_until(lambda: relay.lines_with(address), "it is told")
    assert "link refused" in told


def test_the_relays_own_bytes_sent_back_are_refused(relay):
    """A mirror proves nothing."""
    before = refused(relay)
    with PeerClient(relay) as mirror:
        mirror.socket.sendall(mirror.opening())
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while data := mirror.socket.recv(65536):
                mirror.socket.sendall(data)
    wait_until(lambda: refused(relay) == before + 1, "it is counted")


def test_silent_and_slow_connections_live_ten_seconds_at_most(relay):
    """Half-open ones say nothing; slow ones send a byte whenever they are looked at."""
    before = refused(relay)
    data = PREAMBLE + b"\x00\x30" + bytes(48)
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        silent = [stack.enter_context(dial(relay, "127.0.0.10")) for _ in range(5)]
        slow = [stack.enter_context(dial(relay, "127.0.0.10")) for _ in range(5)]
        sent = 0
        for client in (*silent, *slow):
            client.setblocking(False)

        def trickle():
            """Another byte each half second, and whether all have been closed by now."""
            nonlocal sent
            if sent < (time.monotonic() - began) / 0.5 and sent < len(data) - 1:
                for client in slow:
                    with contextlib.suppress(OSError):
                        client.send(data[sent : sent + 1])
                sent += 1
            return all(map(has_ended, (*silent, *slow)))

        wait_until(trickle, "all are closed", HANDSHAKE_LIFE_S + 5)
        assert time.monotonic() - began > HANDSHAKE_LIFE_S - 1
        addresses = [address_of(client) for client in (*silent, *slow)]
    wait_until(lambda: refused(relay) == before + 10, "each is counted")
    relay.wait_for_lines_with("no handshake within 10 s")
    assert all(relay.process.output.count(address) <= 1 for address in addresses)


def has_ended(sock):
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_thousands_of_connections_at_once_are_bounded_and_a_genuine_peer_still_gets_in(relay):
    """They come and stay; others make room. The log has a line for many, not one for each."""
    log_bytes = len(relay.process.output)
    descriptors = len(relay.process.descriptors())
    clients = deque()
    try:
        for number in range(3000):
            clients.append(dial(relay))
            if number % 3 == 0:
                clients[-1].sendall(PREAMBLE)
            if number % 100 == 0:
                assert len(relay.process.descriptors()) - descriptors < 200
            if len(clients) > 500:  # this process has a limit of its own
                clients.popleft().close()
        with PeerClient(relay, name="genuine-in-a-crowd") as genuine:
            genuine.join()
            wait_until(
                lambda: "genuine-in-a-crowd" in [peer["display_name"] for peer in relay.dashboard()["peers"]],
                "the genuine peer is linked",
            )
    finally:
        for client in clients:
            client.close()
    assert len(relay.process.output) - log_bytes < 100_000
    relay.wait_for_lines_with("too many unauthenticated connections")
    wait_until(lambda: len(relay.process.descriptors()) <= descriptors + 10, "descriptors are back")
