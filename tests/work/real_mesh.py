"""Three real agents in one process, each on a dispatcher of its own; every system call on sockets is counted.

A call counts for the agent on whose thread it is made. How the loop waits (``epoll_wait``) is left out: how
often it wakes depends on the machine.
"""

import collections
import contextlib
import os
import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from unittest import mock

from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.runtime.real.loop import LoopDispatcher
from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
)
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import SEED_BYTES, Identity
from scripts.lab.ports import LOOPBACK, Ports
from scripts.lab.waiting import PATIENCE_S, POLL_S

AGENTS = ("branch", "relay", "hq")
KEY = "echo"
DAY_S = 86_400
CALLS = ("_accept", "connect_ex", "recv_into", "send", "sendmsg", "shutdown", "close")
CALLS += ("setblocking", "setsockopt", "getsockopt", "getsockname", "getpeername")
SELECTOR_CALLS = ("register", "modify", "unregister")


class SystemCalls:
    """Calls by agent and name."""

    def __init__(self) -> None:
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()

    def add(self, call: str) -> None:
        name = threading.current_thread().name
        if name in AGENTS:
            self.counts[name, call] += 1


@contextlib.contextmanager
def counting_sockets() -> Iterator[SystemCalls]:
    """Count the calls on sockets that are made from now on."""
    calls = SystemCalls()

    def counted(owner: type, call: str, shown: str):
        inner = getattr(owner, call)

        def wrapper(self, *arguments, **named):
            calls.add(shown)
            return inner(self, *arguments, **named)

        return wrapper

    made = {call: counted(socket.socket, call, call) for call in CALLS}
    counting = type("CountingSocket", (socket.socket,), {"__slots__": (), **made})
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(socket, "socket", counting))
        for call in SELECTOR_CALLS:
            wrapper = counted(selectors.EpollSelector, call, "epoll_ctl")
            stack.enter_context(mock.patch.object(selectors.EpollSelector, call, wrapper))
        yield calls


class Echo:
    """A service on a thread of its own; it sends back what comes."""

    def __init__(self) -> None:
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="echo")
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                while byte_count := client.recv(65_536):
                    client.sendall(byte_count)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE_S)


@contextlib.contextmanager
def real_mesh() -> Iterator[int]:
    """Branch - relay - hq and a service behind hq; the port of branch's listener, once it serves."""
    authority = Identity(os.urandom(SEED_BYTES))
    ports = Ports()
    with contextlib.ExitStack() as stack:
        stack.callback(ports.close)
        echo = Echo()
        stack.callback(echo.close)
        relay_port, port = ports.reserve(), ports.reserve()
        for name in ("relay", "hq", "branch"):
            dispatcher = LoopDispatcher(name)
            stack.callback(dispatcher.stop, PATIENCE_S)
            dispatcher.start()
            setup = _setup(
                name,
                authority,
                _config(name, relay_port=relay_port, echo_port=echo.port, port=port),
            )
            budget = StreamBudget(setup.config.limits.stream_buffer_bytes)
            Agent.start(
                dispatcher,
                setup=setup,
                meters=Meters(),
                budget=budget,
                relay_budget=RelayBudget(setup.config.limits.relay_buffer_bytes),
                on_left=lambda: None,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not _serves(port):
            assert time.monotonic() < deadline, "the mesh does not serve"
            time.sleep(POLL_S)
        yield port


def _config(name: str, *, relay_port: int, echo_port: int, port: int) -> Config:
    relay = TcpAddress(LOOPBACK, relay_port)
    match name:
        case "relay":
            return Config(accept=(AcceptSection(address=relay),))
        case "hq":
            endpoint = EndpointSection(key=KEY, target=TcpAddress(LOOPBACK, echo_port))
            forward = ForwardSection(endpoints=(endpoint,))
        case _:
            listener = ListenerSection(key=KEY, address=TcpAddress(LOOPBACK, port))
            forward = ForwardSection(listeners=(listener,))
    return Config(peers=(PeerSection(address=relay),), forward=forward)


def _setup(name: str, authority: Identity, config: Config) -> AgentSetup:
    identity = Identity(os.urandom(SEED_BYTES))
    now = int(time.time())
    wire = issue_certificate(
        authority,
        subject=identity.public_key,
        name=name,
        not_before=now - DAY_S,
        not_after=now + DAY_S,
        may_register=["*"],
        may_use=["*"],
        may_relay=True,
    )
    trust = TrustStore([authority.public_key])
    return AgentSetup(
        identity=identity,
        certificate=trust.admit(wire, now),
        certificate_wire=wire,
        trust=trust,
        config=config,
        descriptor_limit=resource.RLIM_INFINITY,
    )


def _serves(port: int) -> bool:
    try:
        converse(port)
    except OSError:
        return False
    return True


def converse(port: int) -> None:
    """One connection: 64 bytes there and back, and its end."""
    message = os.urandom(64)
    with socket.create_connection((LOOPBACK, port), PATIENCE_S) as client:
        client.sendall(message)
        answer = b""
        while len(answer) < len(message):
            data = client.recv(len(message))
            if not data:
                raise ConnectionResetError
            answer += data
        assert answer == message
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
