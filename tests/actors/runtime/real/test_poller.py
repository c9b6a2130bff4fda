"""Who hears of which readiness, and what of it the kernel is asked."""

import socket
from collections.abc import Callable, Iterator

import pytest

from actors.runtime.real.poller import READ, WRITE, Poller, Watcher

pytestmark = pytest.mark.interpreted  # no watcher of a test's own derives from a compiled one


class Listens(Watcher):
    """Notes what it hears."""

    def __init__(self, fd: int, act: Callable[[], object] = lambda: None) -> None:
        super().__init__(fd)
        self.events: list[int] = []
        self._act = act

    def heard(self, events: int) -> None:
        self.events.append(events)
        self._act()


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def look(poller: Poller) -> int:
    """How many reports the kernel has now; their watchers have heard of them."""
    reports = poller.wait(0.0)
    poller.tell(reports)
    return len(reports)


def test_a_watcher_hears_again_and_again_of_what_it_wants_and_of_nothing_else(poller, ends):
    near, far = ends
    watcher = Listens(near.fileno())
    poller.want(watcher, READ)
    assert look(poller) == 0
    far.send(b"x")
    look(poller)
    look(poller)
    assert watcher.events == [READ, READ]
    poller.want(watcher, READ | WRITE)
    look(poller)
    assert watcher.events[2:] == [READ | WRITE]
    poller.want(watcher, WRITE)
    look(poller)
    assert watcher.events[3:] == [WRITE]


def test_who_pauses_hears_nothing_and_is_reported_once(poller, ends):
    near, far = ends
    watcher = Listens(near.fileno())
    poller.want(watcher, READ)
    poller.want(watcher, 0)
    far.send(b"x")
    assert [look(poller), look(poller)] == [1, 0]
    assert watcher.events == []
    poller.want(watcher, READ)
    look(poller)
    assert watcher.events == [READ]


def test_room_that_nobody_wants_is_not_reported(poller, ends):
    watcher = Listens(ends[0].fileno())
    poller.want(watcher, READ | WRITE)
    poller.want(watcher, READ)
    assert look(poller) == 0


@pytest.mark.parametrize("wanted", [READ, WRITE, READ | WRITE])
def test_a_stream_that_is_over_can_be_read_and_written(poller, wanted):
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        watcher = Listens(near.fileno())
        poller.want(watcher, READ)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()  # resets
        poller.want(watcher, wanted)
        look(poller)
        look(poller)
        assert watcher.events == [wanted, wanted]
        poller.want(watcher, 0)
        look(poller)  # an error is reported whether it is wanted or not
        assert look(poller) == 0


def test_a_report_is_not_taken_for_that_of_a_descriptor_that_got_the_number_meanwhile(poller):
    pairs = [socket.socketpair() for _ in range(2)]
    later: list[Listens] = []
    fresh: list[socket.socket] = []

    def replace_the_other() -> None:
        """Close the socket whose report comes next; another one gets its number."""
        (other,) = [each for each in watchers if not each.events]
        near = next(near for near, _ in pairs if near.fileno() == other.fd)
        poller.forget(other)
        near.close()
        fresh.extend(socket.socketpair())
        (twin,) = [each for each in fresh if each.fileno() == other.fd]
        later.append(Listens(twin.fileno()))
        poller.want(later[0], READ)

    watchers = [Listens(near.fileno(), replace_the_other) for near, _ in pairs]
    for watcher, (_, far) in zip(watchers, pairs, strict=True):
        poller.want(watcher, READ)
        far.send(b"x")
    assert look(poller) == 2
    assert sorted(each.events for each in watchers) == [[], [READ]]
    assert later[0].events == []
    for each in (*fresh, *(end for pair in pairs for end in pair)):
        each.close()


def test_a_watcher_may_forget_another_that_is_reported_with_it(poller):
    pairs = [socket.socketpair() for _ in range(2)]
    watchers: list[Listens] = []

    def forget_both() -> None:
        for watcher in watchers:
            poller.forget(watcher)

    watchers += [Listens(near.fileno(), forget_both) for near, _ in pairs]
    for watcher, (_, far) in zip(watchers, pairs, strict=True):
        poller.want(watcher, READ)
        far.send(b"x")
    look(poller)
    assert sum(len(each.events) for each in watchers) == 1
    assert look(poller) == 0
    for each in (end for pair in pairs for end in pair):
        each.close()


def test_who_is_forgotten_after_the_end_is_no_error(ends):
    poller = Poller()
    watcher = Listens(ends[0].fileno())
    poller.want(watcher, READ)
    poller.close()
    poller.forget(watcher)
