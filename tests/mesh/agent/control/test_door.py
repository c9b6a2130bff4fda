"""The control socket of an agent that runs, where somebody removes its file."""

import contextlib
from types import SimpleNamespace

import pytest

from mesh.agent.control import door as door_module
from mesh.agent.control.client import AgentClient, NotRunning
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import LOOK_S, ControlDoor
from mesh.agent.control.socket_file import NAME, listen_at


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(s=0.0, monotonic=lambda: clock.s)
    monkeypatch.setattr(door_module, "time", clock)
    return clock


@pytest.fixture
def door(tmp_path, clock):
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(answer)
        yield door


def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"at": "home"}']


def look(door, clock, times=1):
    for _ in range(times):
        clock.s += LOOK_S
        door.look()


def test_it_is_made_anew_and_said_once(tmp_path, door, clock, caplog):
    (tmp_path / NAME).unlink()
    door.look()  # it is not time yet
    with pytest.raises(NotRunning):
        AgentClient(tmp_path / NAME).get("/ready", dict)
    look(door, clock, 3)
    assert AgentClient(tmp_path / NAME, 10.0).get("/ready", dict) == {"at": "home"}
    assert caplog.text.count("the control socket was removed, and is there again") == 1
    door.close()
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_left_alone(tmp_path, door, clock, caplog):
    place = (tmp_path / NAME).stat().st_ino
    look(door, clock, 3)
    assert (tmp_path / NAME).stat().st_ino == place
    assert caplog.text == ""
    assert door.wait_s() == LOOK_S


def test_that_of_an_agent_that_starts_while_this_one_ends_stays(tmp_path):
    ending = ControlSocket(tmp_path)
    ControlDoor(ending).close()
    with contextlib.closing(ControlSocket(tmp_path)):
        ending.close()
        assert (tmp_path / NAME).exists()


def test_another_agents_socket_in_its_place_stays_and_is_told_of_once(tmp_path, door, clock, caplog):
    (tmp_path / NAME).unlink()
    with listen_at(tmp_path / NAME):
        look(door, clock, 3)
    assert caplog.text.count("an agent with this data directory runs already") == 1
    look(door, clock)  # that one was killed
    assert AgentClient(tmp_path / NAME, 10.0).get("/ready", dict) == {"at": "home"}


def test_a_directory_that_is_gone_is_told_of_once(tmp_path, clock, caplog):
    folder = tmp_path / "data"
    folder.mkdir()
    with contextlib.closing(ControlDoor(ControlSocket(folder))) as door:
        door.serve(answer)
        (folder / NAME).unlink()
        folder.rmdir()
        look(door, clock, 3)
    assert caplog.text.count("the control socket was removed: ") == 1


def test_where_there_never_was_one_nothing_is_looked_at(tmp_path, clock):
    for folder in (None, tmp_path / "missing"):
        with contextlib.closing(ControlDoor(ControlSocket(folder))) as door:
            door.serve(answer)
            look(door, clock)
            assert door.wait_s() == float("inf")
