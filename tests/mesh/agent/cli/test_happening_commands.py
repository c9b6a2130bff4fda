"""``mesh events`` and ``mesh connections``: what they print, escaped, and how they end."""

import contextlib
import json

import pytest
from click.testing import CliRunner

from mesh.agent.cli import connection_command, following, main
from mesh.agent.cli.connection_command import byte_count, duration, rate_of
from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.connection.endings import End
from mesh.connection.open_connections import OpenConnections
from mesh.journal import EventKind, Journal, Note
from tests.mesh.agent.control.test_happenings import Connection, view


@pytest.fixture
def agent(request, tmp_path, monkeypatch):
    """What is behind its door, unless that is to be another's matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    monkeypatch.setattr(connection_command, "MEASURED_S", 0.01)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    behind = Behind(None, None, None, Journal(), OpenConnections())
    if not getattr(request, "param", True):
        yield behind
        return
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(behind, lambda environ, start: []))
        yield behind


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def happen(agent, text="link up", kind=EventKind.LINK):
    agent.journal.add(kind, 1_800_000_000.0, Note("info", text, {"peer": "hq"}))


def test_events_are_a_line_each_the_newest_last(agent):
    happen(agent, "link up")
    happen(agent, "\x1b[31mlink lost")
    happen(agent, "closed", EventKind.CONNECTION)
    result = run("events")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.endswith("link          link up")
    assert second.endswith(r"link          \x1b[31mlink lost")


def test_only_some_events_and_json_lines(agent):
    for number in range(5):
        happen(agent, f"event {number}")
    happen(agent, "closed", EventKind.CONNECTION)
    lines = run("events", "--json", "--last", "2", "--kind", "link").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["event 3", "event 4"]
    assert run("events", "--kind", "nonsense").exit_code == 2


def test_following_goes_on_until_it_is_interrupted(agent, monkeypatch):
    happen(agent, "first")
    naps = iter([lambda: happen(agent, "second"), lambda: [happen(agent) for _ in range(5_000)]])

    def nap(seconds):
        step = next(naps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(following.time, "sleep", nap)
    result = run("events", "--follow", "--last", "1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[-1] for line in lines[:2]] == ["first", "second"]
    assert len(lines) == 1_002
    assert "are lost" in result.stderr


@pytest.fixture
def restarts(agent, tmp_path, monkeypatch):
    """Calls its argument at each pause, and opens another run's door in the last; then Ctrl-C."""
    with contextlib.ExitStack() as doors:

        def restart():
            doors.close()
            door = doors.enter_context(contextlib.closing(ControlDoor(ControlSocket(tmp_path))))
            behind = Behind(None, None, None, Journal(), OpenConnections())
            happen(behind, "started")
            door.serve(ControlApp(behind, lambda environ, start: []))

        def take(*steps):
            naps = iter(steps)
            monkeypatch.setattr(following.time, "sleep", lambda seconds: next(naps)())

        take.restart, take.close = restart, doors.close
        restart()
        yield take


def interrupt():
    raise KeyboardInterrupt


def nothing():
    pass


@pytest.mark.parametrize("agent", [False], indirect=True)
def test_following_outlives_a_restart(agent, restarts):
    restarts(restarts.close, nothing, restarts.restart, interrupt)
    result = run("events", "--follow")
    assert (result.exit_code, [line.split()[-1] for line in result.stdout.splitlines()]) == (
        0,
        ["started"] * 2,
    )
    waiting, back, lost = result.stderr.splitlines()
    assert waiting.startswith("no agent answers at ")
    assert waiting.endswith("; waiting for it")
    assert (back, "lost" in lost) == ("it answers again", True)
    restarts(nothing, restarts.close, restarts.restart, interrupt)
    result = run("connections", "--follow")
    assert (result.exit_code, result.stdout) == (0, "no connection is open\n" * 2)
    assert result.stderr.splitlines()[1:] == ["it answers again"]


@pytest.mark.parametrize("agent", [False], indirect=True)
def test_following_does_not_wait_for_ever_nor_for_who_has_not_answered(agent, restarts, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE_S", 0.0)
    restarts(restarts.close)
    result = run("events", "--follow")
    assert (result.exit_code, "no agent answers" in result.stderr, "waiting" in result.stderr) == (
        3,
        True,
        False,
    )
    monkeypatch.setattr(following, "PATIENCE_S", 60.0)
    restarts()
    for absent in (("events", "--follow"), ("connections", "--follow"), ("connections",)):
        assert run(*absent).exit_code == 3


def test_connections_are_a_table(agent):
    assert run("connections").stdout == "no connection is open\n"
    for number in range(1_100):
        connection = Connection(f"{number:012x}")
        agent.open_connections.opened(connection.id, connection)
    lines = run("connections").stdout.splitlines()
    assert len(lines) == 1_101
    assert lines[0].split("  ")[0] == "id"
    assert "branch 1111 - hq 2222" in lines[1]
    assert len(json.loads(run("connections", "--json").stdout)) == 1_100


def test_closing_one(agent):
    connection = Connection("a" * 12)
    agent.open_connections.opened(connection.id, connection)
    assert run("connections", "--close", "a" * 12).stdout == f"connection {'a' * 12}: closed\n"
    assert len(connection.told) == 1
    missing = run("connections", "--close", "b" * 12)
    assert (missing.exit_code, missing.stderr) == (1, "no connection with this ID is open here\n")
    for wrong in ("", "a" * 11, "A" * 12, "../../reload"):
        assert run("connections", "--close", wrong).exit_code == 2
    assert len(connection.told) == 1


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2_340_000, "2.3 MB"), (5e15, "5000 TB")],
)
def test_bytes_for_people(amount, shown):
    assert byte_count(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.24, "1.2 s"), (306, "5 min 6 s"), (7_260, "2 h 1 min"), (273_600, "3 d 4 h")]
)
def test_times_for_people(seconds, shown):
    assert duration(seconds) == shown


def test_the_rate_of_one_that_is_new_counts_from_its_beginning():
    one = view("a" * 12)
    totals = {(one.id, End.INGRESS): 3_000}
    assert rate_of(one, totals, {}, 10.0) == 1_500  # it is 2 s old
    assert rate_of(one, totals, {(one.id, End.INGRESS): 1_000}, 10.0) == 200
    assert rate_of(one, totals, {(one.id, End.INGRESS): 9_000}, 10.0) == 0
