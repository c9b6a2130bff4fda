"""``localhost`` on the real kernel: two sockets that are one, and machines that have but one family."""

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.real import binding, listening
from mesh.addresses import TcpAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Driver, refusal


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def without(family: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel have no loopback address of ``family``."""
    original = listening._bound

    def bound(wanted: int, *arguments: Any, **settings: Any) -> Any:
        if wanted == family:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return original(wanted, *arguments, **settings)

    monkeypatch.setattr(listening, "_bound", bound)


@pytest.mark.interpreted
@pytest.mark.parametrize(("missing_host", "there"), [("::1", LOCAL), (LOCAL, "::1")])
def test_localhost_is_the_one_family_that_there_is_and_that_is_said_once(
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    missing_host: str,
    there: str,
):
    without(socket.AF_INET6 if ":" in missing_host else socket.AF_INET, monkeypatch)
    with caplog.at_level("INFO"):
        first, second = (driver.bind(TcpAddress("localhost", 0)) for _ in range(2))
    assert [refusal(bound.port, there) for bound in (first, second)] == [0, 0]
    assert first.local_name == str(TcpAddress(there, first.port))
    told = [record.getMessage() for record in caplog.records if "this machine has no" in record.getMessage()]
    assert len(told) == 1
    assert f"this machine has no {missing_host} (Cannot assign requested address)" in told[0]


@pytest.mark.interpreted
def test_localhost_of_which_nothing_is_there_is_an_error(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    without(socket.AF_INET, monkeypatch)
    without(socket.AF_INET6, monkeypatch)
    with pytest.raises(OSError, match="Cannot assign"):
        driver.bind(TcpAddress("localhost", 0))


@pytest.mark.interpreted
@pytest.mark.parametrize("refusals", [1, binding.PORT_ATTEMPTS - 1])
def test_a_chosen_port_that_the_other_family_has_taken_is_chosen_anew(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, refusals: int
):
    original = listening._bound
    left = refusals

    def bound(family: int, *arguments: Any, **settings: Any) -> Any:
        nonlocal left
        if family == socket.AF_INET6 and left:
            left -= 1
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return original(family, *arguments, **settings)

    monkeypatch.setattr(listening, "_bound", bound)
    before = open_descriptors()
    listener = driver.bind(TcpAddress("localhost", 0))
    assert refusal(listener.port, LOCAL) == refusal(listener.port, "::1") == 0
    assert open_descriptors() - before == 2
    left = binding.PORT_ATTEMPTS
    with pytest.raises(OSError, match="in use"):
        driver.bind(TcpAddress("localhost", 0))
    assert open_descriptors() - before == 2


def test_clients_of_one_family_do_not_hold_up_those_of_the_other(driver: Driver):
    listener = driver.bind(TcpAddress("localhost", 0))
    many = [socket.create_connection((LOCAL, listener.port), LIMIT_S) for _ in range(5)]
    one = socket.create_connection(("::1", listener.port), LIMIT_S)
    peers = []
    for _ in range(2):
        accepted = driver.accept(listener)
        peers.append(accepted.peer_name)
    assert any(peer.startswith("[::1]") for peer in peers)
    for client in (*many, one):
        client.close()


@pytest.mark.interpreted
def test_localhost_listens_at_both_or_at_none(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    listener = driver.bind(TcpAddress("localhost", 0), listen=False)
    last = listener._parts[-1]
    original = listening.LoopListeningSocket._start_listening

    def start(part: Any) -> None:
        if part is last:
            raise OSError(errno.EADDRINUSE, "in use")
        original(part)

    monkeypatch.setattr(listening.LoopListeningSocket, "_start_listening", start)
    with pytest.raises(OSError, match="in use"):
        driver.do(lambda _: listener.listen())
    assert refusal(listener.port, LOCAL) == refusal(listener.port, "::1") == errno.ECONNREFUSED
    monkeypatch.undo()
    driver.do(lambda _: listener.listen())
    assert refusal(listener.port, LOCAL) == refusal(listener.port, "::1") == 0
