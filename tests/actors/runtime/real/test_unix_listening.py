"""Files of listening unix sockets: whose they are, who may connect, and what is left behind."""

import errno
import os
import socket
import stat

import pytest

from actors.runtime.real import unix_listening
from mesh.addresses import UnixAddress
from scripts.lab.waiting import wait_until
from tests.actors.runtime.real.driver import LIMIT_S, Driver
from tests.passed_descriptors import may_pass, needs_refusal


def refusal(path):
    """What the kernel says to a client; 0 if it is let in."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        return client.connect_ex(str(path))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.sock"


def test_only_its_user_may_connect_and_nothing_is_left(driver: Driver, path, monkeypatch):
    def followed(*_, **__):
        raise AssertionError("a mode was set by name: whoever may write there can put a link in its place")

    monkeypatch.setattr(os, "chmod", followed)
    before = os.umask(0)
    try:
        listener = driver.bind(UnixAddress(str(path)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for action in (listener.park, listener.listen):
        driver.do(lambda _, action=action: action())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert refusal(path) == (errno.ECONNREFUSED if action == listener.park else 0)
    driver.do(lambda _: listener.close())
    assert not path.exists()


@needs_refusal
def test_who_comes_can_pass_no_descriptor_whose_close_takes_long(driver: Driver, path):
    """Not while the client waits either."""
    listener = driver.bind(UnixAddress(str(path)))
    driver.do(lambda _: listener.listen())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert not may_pass(client)


def test_a_file_that_a_process_has_left_behind_is_replaced(driver: Driver, path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    driver.bind(UnixAddress(str(path)))
    assert refusal(path) == 0


@pytest.mark.parametrize("listens", [True, False])
def test_a_file_that_a_living_process_has_is_not(driver: Driver, path, listens):
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        if listens:
            living.listen()
        with pytest.raises(OSError, match="in use") as raised:
            driver.bind(UnixAddress(str(path)))
    assert raised.value.errno == errno.EADDRINUSE
    assert path.exists()


def test_a_file_that_is_no_socket_is_not_replaced_and_neither_is_a_link(driver: Driver, path, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    path.symlink_to(tmp_path / "dead")
    for _ in range(2):
        with pytest.raises(OSError, match="in use"):
            driver.bind(UnixAddress(str(path)))
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"


def test_what_another_has_put_there_meanwhile_stays(driver: Driver, path):
    listener = driver.bind(UnixAddress(str(path)))
    path.unlink()
    path.write_text("precious")
    driver.do(lambda _: listener.close())
    assert path.read_text() == "precious"


@pytest.mark.parametrize("listens", [True, False])
def test_a_file_that_is_removed_is_there_again(driver: Driver, path, monkeypatch, listens, caplog):
    monkeypatch.setattr(unix_listening, "LOOK_S", 0.01)
    listener = driver.bind(UnixAddress(str(path)), listen=listens)
    for _ in range(2):
        path.unlink()
        wait_until(path.exists, "the file is there")
        wait_until(
            lambda: refusal(path) == (0 if listens else errno.ECONNREFUSED), "it listens, or is parked"
        )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert caplog.text.count("was removed, and is there again") == 2
    if listens:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            driver.do(lambda _: listener.watch_read(True))
            assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)
    driver.do(lambda _: listener.close())
    assert not path.exists()


def test_a_folder_that_is_removed_is_told_of_once_and_a_socket_watched_in_the_next(
    driver: Driver, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(unix_listening, "LOOK_S", 0.01)
    folder = tmp_path / "run"
    folder.mkdir()
    listener = driver.bind(UnixAddress(str(folder / "app.sock")))
    driver.do(lambda _: listener.watch_read(True))
    (folder / "app.sock").unlink()
    folder.rmdir()
    wait_until(lambda: "was removed: " in caplog.text, "it is told")
    folder.mkdir()
    wait_until((folder / "app.sock").exists, "the file is there")
    with socket.socket(socket.AF_UNIX) as client:
        wait_until(lambda: client.connect_ex(str(folder / "app.sock")) == 0, "it listens")
        assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)
    assert caplog.text.count("was removed: ") == 1


def test_a_path_that_is_too_long_is_told(driver: Driver, tmp_path):
    with pytest.raises(OSError, match="at most 107 bytes") as raised:
        driver.bind(UnixAddress(str(tmp_path / ("x" * 108))))
    assert raised.value.errno == errno.ENAMETOOLONG
