"""A client whose host has lost its network is noticed: by keepalive, also when nobody reads its socket."""

import os
import queue
import shutil
import socket
import subprocess
import threading

import pytest

from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import HangUp, KeepAlive, SocketOptions
from mesh.addresses import TcpAddress
from scripts.lab.ports import LOOPBACK
from tests.actors.runtime.socket_contract import Do, Program

HERE, THERE = "198.18.77.1", "198.18.77.2"  # RFC 2544: for tests of networks
SHORT = SocketOptions(keep_alive=KeepAlive(idle_s=1, interval_s=1, probes=2))
LIMIT_S = 30.0


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True, timeout=LIMIT_S)


@pytest.fixture
def far_host():
    """A network namespace at the other end of a cable; its name, which is the beginning of its devices'."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2")
    name = f"mesh{os.getpid() % 100_000}"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "set", f"{name}b", "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "address", "add", f"{THERE}/30", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        yield name
    finally:
        # The cable by itself: a socket that is left keeps the namespace, and what is in it.
        for remains in (["link", "delete", f"{name}a"], ["netns", "delete", name]):
            subprocess.run(["ip", *remains], capture_output=True, check=False, timeout=LIMIT_S)


def connect_from(namespace, address, found):
    """Connect on a thread that lives in the namespace; its sockets stay there."""

    def run():
        descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            set_namespace(descriptor)
            found.put(socket.create_connection(address, LIMIT_S))
        finally:
            os.close(descriptor)

    threading.Thread(target=run).start()
    return found.get(timeout=LIMIT_S)


def set_namespace(descriptor):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class Server:
    """A listening socket with short intervals, and what it has accepted."""

    def __init__(self, dispatcher, host):
        self._heard = queue.SimpleQueue()
        self._actor = Program.start(dispatcher, self._heard)

        def listen(program):
            listener = program.own(program.dispatcher.bind(TcpAddress(host, 0), SHORT))
            listener.listen()
            listener.watch_read(True)
            return listener

        self._listener = self._do(listen)
        self.address = (host, self._listener.port)
        self._accepted = None

    def _do(self, action):
        return self._actor.ask(Do(action), timeout=LIMIT_S)

    def accept(self):
        assert self._heard.get(timeout=LIMIT_S)[0] == "readable"
        self._accepted = self._do(lambda program: program.own(self._listener.accept()))

    def sees(self, hang_up):
        """Wait until that is seen of the client, without reading."""
        self._do(lambda program: program.poll(lambda: self._accepted.hung_up() is hang_up))
        return self._heard.get(timeout=LIMIT_S) == "holds"


@pytest.fixture
def dispatcher():
    dispatcher = LoopDispatcher()
    dispatcher.start()
    yield dispatcher
    assert dispatcher.stop(LIMIT_S)


@pytest.mark.parametrize("state", ["open", "half-closed"])
def test_an_end_that_vanishes_is_noticed_on_an_unread_socket(far_host, dispatcher, state):
    server = Server(dispatcher, HERE)
    with connect_from(far_host, server.address, queue.SimpleQueue()) as client:
        server.accept()
        if state == "half-closed":
            client.shutdown(socket.SHUT_WR)
            assert server.sees(HangUp.HALF_CLOSED)
        ip("link", "set", f"{far_host}a", "down")
        assert server.sees(HangUp.GONE)


def test_a_client_that_has_closed_is_told_from_one_that_only_finished(dispatcher):
    """Its kernel answers for it until its own patience is over; then a probe meets nobody."""
    server = Server(dispatcher, LOOPBACK)
    with socket.create_connection(server.address, LIMIT_S) as client:
        server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
    assert server.sees(HangUp.HALF_CLOSED)
    assert server.sees(HangUp.GONE)
