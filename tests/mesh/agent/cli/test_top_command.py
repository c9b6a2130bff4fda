"""``mesh top``: what is on the screen, that it fits, and that it needs a terminal."""

import io

import falcon.testing
import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from mesh.agent.cli import main
from mesh.agent.cli.top_command import by_agent, rated_of, screen
from mesh.agent.control.api import ControlApp
from mesh.agent.control.own_rows import PeerRow, Status
from mesh.agent.control.page_rows import Page
from mesh.agent.control.requests import PEERS, STATUS
from mesh.connection.endings import End
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.control.test_happenings import view


def connections(count):
    return [
        msgspec.structs.replace(
            view(f"{number:012x}"), to_client_bytes=1_000 * number, exit=f"hq{number % 3}"
        )
        for number in range(count)
    ]


def shown(rated, height):
    out = io.StringIO()
    client = falcon.testing.TestClient(ControlApp(Asked().behind(), None))
    status = msgspec.json.decode(client.simulate_get(STATUS).content, type=Status)
    peers = msgspec.json.decode(client.simulate_get(PEERS).content, type=Page[PeerRow]).rows
    Console(file=out, width=120, height=height).print(screen(status, peers, rated, height))
    return out.getvalue().splitlines()


def test_the_busiest_come_first_whatever_they_have_transferred_before():
    views = connections(4)
    before = {(each.id, each.end): each.to_service_bytes + each.to_client_bytes for each in views}
    before[views[1].id, End.INGRESS] -= 500
    rated = rated_of(views, before, 2.0)
    assert [rate for _, rate in rated] == [250, 0, 0, 0]
    assert rated[0][0] is views[1]
    assert rated[1][0] is views[3]


def test_agents_at_either_end_are_summed_up():
    here = view("a" * 12)
    there = msgspec.structs.replace(here, end=End.EXIT)
    assert by_agent([(here, 10.0), (here, 20.0), (there, 5.0)]) == [
        ("hq 2222", "2", "30 B/s"),
        ("branch 1111", "1", "5 B/s"),
    ]


@pytest.mark.parametrize(("count", "height"), [(0, 24), (5_000, 24), (5_000, 60), (3, 60)])
def test_it_fits_the_screen(count, height):
    lines = shown(rated_of(connections(count), {}, 0.0), height)
    assert len(lines) <= height
    assert f"{count} connections" in lines[0]
    assert any("relay" in line for line in lines)


def test_what_others_chose_is_shown_as_text():
    strange = msgspec.structs.replace(view("a" * 12), key="\x1b[2J[bold]key")
    text = "\n".join(shown([(strange, 1.0)], 40))
    assert "\x1b" not in text
    assert "[bold]key" in text


def test_without_a_terminal_it_says_what_else_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for more in ((), ("--json",)):
        result = CliRunner().invoke(main, ["top", "--socket", "nowhere.sock", *more])
        assert result.exit_code == 2
        assert "mesh connections --json" in result.stderr
    assert "--json" not in CliRunner().invoke(main, ["top", "--help"]).stdout
