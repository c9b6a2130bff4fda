"""The control socket in the file system."""

import contextlib
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from mesh.agent.control.socket_file import (
    LOOK_S,
    LOOKS,
    NAME,
    NoSocketError,
    listen_at,
)
from mesh.agent.control.unix_sockets import MAX_PATH_BYTES, connect_to
from mesh.agent.files import AgentFileError
from tests.passed_descriptors import may_pass, needs_refusal


class Directory:
    def __init__(self, path):
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def fileno(self):
        return self.descriptor

    def close(self):
        os.close(self.descriptor)


def test_it_is_its_owners_alone(tmp_path):
    with listen_at(tmp_path / NAME):
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


@needs_refusal
def test_nobody_can_pass_a_descriptor_whose_close_takes_long(tmp_path):
    with listen_at(tmp_path / NAME), connect_to(tmp_path / NAME, 1.0) as client:
        assert not may_pass(client)


def test_what_a_dead_agent_has_left_makes_room(tmp_path):
    listen_at(tmp_path / NAME).close()
    with listen_at(tmp_path / NAME) as listening, connect_to(tmp_path / NAME, 5.0):
        listening.accept()[0].close()


def test_an_agent_that_runs_keeps_it(tmp_path):
    with listen_at(tmp_path / NAME) as listening:
        with pytest.raises(AgentFileError, match="an agent with this data directory runs already"):
            listen_at(tmp_path / NAME)
        listening.accept()[0].close()
        with connect_to(tmp_path / NAME, 5.0):
            listening.accept()[0].close()


def test_of_agents_that_begin_at_the_same_time_one_waits_for_the_other(tmp_path, monkeypatch):
    """Else a socket that is bound and does not listen yet would look like one that was left behind."""
    looks = []

    def is_free():
        with contextlib.closing(Directory(tmp_path)) as another:
            try:
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    class Watched(socket.socket):
        def listen(self, *arguments):
            looks.append(is_free())
            super().listen(*arguments)

    monkeypatch.setattr("mesh.agent.control.socket_file._make_room", lambda *_: looks.append(is_free()))
    monkeypatch.setattr("mesh.agent.control.socket_file.socket.socket", Watched)
    with listen_at(tmp_path / NAME):
        assert looks == [False, False]
        assert is_free()


@pytest.mark.timeout(30)
def test_who_keeps_the_directory_locked_keeps_no_agent_from_its_start(tmp_path, monkeypatch):
    naps = []
    monkeypatch.setattr("mesh.agent.control.socket_file.time.sleep", naps.append)
    with contextlib.closing(Directory(tmp_path)) as hostile:
        fcntl.flock(hostile, fcntl.LOCK_EX)
        listen_at(tmp_path / NAME).close()
    assert sum(naps) == pytest.approx(LOOKS * LOOK_S)


def test_one_that_is_too_busy_to_take_another_client_runs(tmp_path):
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as clients:
        busy.bind(str(tmp_path / NAME))
        busy.listen(0)
        clients.enter_context(connect_to(tmp_path / NAME, 5.0))  # all that there is room for
        with pytest.raises(AgentFileError, match="an agent with this data directory runs already"):
            listen_at(tmp_path / NAME)


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.mkdir()])
def test_what_is_something_else_is_left_alone(tmp_path, make):
    make(tmp_path / NAME)
    with pytest.raises(AgentFileError, match="expected nothing, or a socket"):
        listen_at(tmp_path / NAME)
    assert (tmp_path / NAME).exists()


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(tmp_path):
    folder = tmp_path / ("a" * MAX_PATH_BYTES)
    folder.mkdir()
    open_before = set(Path("/proc/self/fd").iterdir())
    with contextlib.closing(listen_at(folder / NAME)) as listening:
        with connect_to(folder / NAME, 5.0):
            listening.accept()[0].close()
        assert stat.S_ISSOCK((folder / NAME).stat().st_mode)
    assert set(Path("/proc/self/fd").iterdir()) == open_before


def test_a_directory_that_is_missing_is_told(tmp_path):
    with pytest.raises(NoSocketError, match="does the data directory exist"):
        listen_at(tmp_path / "nowhere" / NAME)


def test_where_nobody_listens_nobody_answers(tmp_path):
    with pytest.raises(FileNotFoundError):
        connect_to(tmp_path / NAME, 1.0)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / NAME))
        with pytest.raises(ConnectionRefusedError):
            connect_to(tmp_path / NAME, 1.0)
