"""What work a mesh does, counted: turns, messages, calls on sockets, sealed bytes. No clock is read."""

import collections
import contextlib
import functools
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import nacl.bindings

import mesh.connection.session
import mesh.link.frame_sealing
import mesh.trust.noise.symmetric
from actors.runtime.virtual.dispatcher import VirtualDispatcher
from actors.runtime.virtual.listening import VirtualListeningSocket
from actors.runtime.virtual.streams import VirtualStreamSocket

Counts = dict[tuple[str, str], float]
"""``(agent, what)`` to how often; what concerns no agent in particular is counted for ``all``."""

ALL = "all"
ROOT = Path(__file__).resolve().parents[2]

SOCKET_CALLS = ("recv_into", "send", "hung_up", "shutdown_write", "close", "abort")
"""Each is one system call, or few, on a real socket."""

WATCH_CALLS = ("watch_read", "watch_write")
"""Each is a system call where it changes something."""


class Counter:
    """Counts what agents do; other hosts of the simulated world are left out."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self._agents = frozenset(agents) | {ALL}
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()

    def add(self, host: str, what: str, count: int = 1) -> None:
        if host in self._agents:
            self.counts[host, what] += count

    def hear(self, line: str) -> None:
        """One line of the world's trace."""
        words = line.split()
        if words[1] == "turn":
            self.add(words[2], "turns")
            if words[-1] != "socket":
                self.add(words[2], "messages", int(words[-1]))

    @contextlib.contextmanager
    def window(self, per: float) -> Iterator[Counts]:
        """Filled at its end with what was counted in it, for each of ``per``."""
        before, found = dict(self.counts), {}
        yield found
        found.update({key: (count - before.get(key, 0)) / per for key, count in sorted(self.counts.items())})


@contextlib.contextmanager
def counting_seam(counter: Counter) -> Iterator[None]:
    """Count what actors do at the seam of the virtual dispatcher."""
    with contextlib.ExitStack() as stack:
        for name in SOCKET_CALLS:
            _wrap(
                stack,
                VirtualStreamSocket,
                name,
                lambda socket, *_: counter.add(socket._host.name, "socket calls"),
            )
        _wrap(
            stack,
            VirtualStreamSocket,
            "send",
            after=lambda taken, socket: counter.add(socket._host.name, "bytes sent", taken),
        )
        for name in WATCH_CALLS:
            _wrap(
                stack,
                VirtualStreamSocket,
                name,
                functools.partial(_watched, counter, f"_{name.split('_')[1]}_watch"),
            )
        _wrap(
            stack,
            VirtualListeningSocket,
            "accept",
            lambda socket, *_: counter.add(socket._host.name, "socket calls"),
        )
        for name, what in (("connect", "socket calls"), ("schedule", "timers")):
            _wrap(stack, VirtualDispatcher, name, lambda one, *_, what=what: counter.add(one.host_name, what))
        yield


def _watched(counter: Counter, watch: str, socket: VirtualStreamSocket, enabled: bool) -> None:
    if getattr(socket, watch).enabled != enabled:
        counter.add(socket._host.name, "watch changes")


def _wrap(
    stack: contextlib.ExitStack,
    owner: type,
    name: str,
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def counted(self, *arguments, **named):
        if before is not None:
            before(self, *arguments)
        result = inner(self, *arguments, **named)
        if after is not None:
            after(result, self)
        return result

    stack.enter_context(mock.patch.object(owner, name, counted))


@contextlib.contextmanager
def counting_ciphers(counter: Counter) -> Iterator[None]:
    """Count for ``all`` what is sealed, opened and agreed from now on; agents must start inside."""

    def counting(real: type) -> type:
        class Cipher:
            def __init__(self, key: bytes) -> None:
                self._inner = real(key)

            def encrypt(self, nonce, data, covered):
                counter.add(ALL, "seals and openings")
                counter.add(ALL, "bytes sealed and opened", len(data))
                return self._inner.encrypt(nonce, data, covered)

            def decrypt(self, nonce, data, covered):
                counter.add(ALL, "seals and openings")
                counter.add(ALL, "bytes sealed and opened", len(data))
                return self._inner.decrypt(nonce, data, covered)

        return Cipher

    def multiplying(real):
        def multiply(*arguments):
            counter.add(ALL, "X25519 operations")
            return real(*arguments)

        return multiply

    with contextlib.ExitStack() as stack:
        for module in (mesh.link.frame_sealing, mesh.connection.session, mesh.trust.noise.symmetric):
            cipher = counting(module.ChaCha20Poly1305)
            stack.enter_context(mock.patch.object(module, "ChaCha20Poly1305", cipher))
        for name in ("crypto_scalarmult", "crypto_scalarmult_base"):
            real = getattr(nacl.bindings, name)
            stack.enter_context(mock.patch.object(nacl.bindings, name, multiplying(real)))
        yield


@contextlib.contextmanager
def held_by_the_product() -> Iterator[dict[str, int]]:
    """Filled at its end: what the product has allocated in it and still holds, in bytes and blocks."""
    found = {"bytes": 0, "blocks": 0}
    gc.collect()
    tracemalloc.start()
    try:
        yield found
        gc.collect()
        statistics = tracemalloc.take_snapshot().statistics("filename")
    finally:
        tracemalloc.stop()
    for statistic in statistics:
        path = Path(statistic.traceback[0].filename)
        ours = path.is_relative_to(ROOT / "mesh") or path.is_relative_to(ROOT / "actors")
        if ours and path.parent.name != "virtual":  # that is the simulated world's share
            found["bytes"] += statistic.size
            found["blocks"] += statistic.count
