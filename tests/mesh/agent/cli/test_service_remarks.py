"""What commands that add a service tell a person beside the answer."""

import contextlib

import pytest

from mesh.agent.cli.asking import Agent
from mesh.agent.cli.service_remarks import remark_on_endpoint
from mesh.agent.control.api import ControlApp
from mesh.agent.control.client import AgentClient
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.outcome import Added
from mesh.trust.identity import display_id
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.control.test_reading import HQ

ADDED = Added("endpoint web", "localhost:80", None)


@pytest.fixture
def agent(tmp_path):
    """An agent that knows branch, relay and hq."""
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(Asked().behind(), None))
        yield Agent(AgentClient(tmp_path / NAME), as_json=False)


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (["hq", "group:dba", display_id(HQ.agent_id)], []),
        (["rely"], ["--allow rely: no agent of that name is in the mesh now; did you mean relay?"]),
        (["laptop"], ["--allow laptop: no agent of that name is in the mesh now"]),
    ],
)
def test_whom_nobody_knows_is_told_with_who_may_be_meant(agent, capsys, monkeypatch, allowed, said):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    remark_on_endpoint(agent, {"key": "web", "target": "localhost:80", "allow": allowed}, ADDED)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "web is localhost:80; at another agent: mesh listen web"
    assert others == said
