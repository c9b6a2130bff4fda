"""``/api/v1/access`` and the commands that ask it."""

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.api import ControlApp
from mesh.agent.control.requests import ACCESS
from mesh.agent.layers import Layers
from mesh.trust.identity import display_id
from tests.mesh.agent.cli.asked import FILE, Asked
from tests.mesh.agent.control.test_reading import BRANCH, HQ


@pytest.fixture
def asked():
    return Asked()


def ask(asked, **parameters):
    app = falcon.testing.TestClient(ControlApp(asked.behind(), None))
    return app.simulate_get(ACCESS, params=parameters)


def test_who_may_use_a_key_is_told_of_every_agent(asked):
    page = ask(asked, key="api").json
    assert [(row["agent"], row["exit"], row["may"]) for row in page["rows"]] == [
        ("branch", "hq", "depends"),
        ("hq", "hq", "depends"),
        ("relay", "hq", "depends"),
    ]
    first = page["rows"][0]
    gates = [(gate["gate"], gate["is_open"]) for gate in first["gates"]]
    assert gates == [
        (gate, True) for gate in ("validity", "use", "allow", "validity", "register", "agents", "relay")
    ]
    assert first["path"] == ["branch", "relay", "hq"]
    assert first["sentence"].startswith("branch may use api at hq, if ")


def test_the_agents_own_lists_are_known(asked):
    endpoint, *others = FILE.forward.endpoints
    named = msgspec.structs.replace(endpoint, allow=("relay",))
    forward = msgspec.structs.replace(FILE.forward, endpoints=(named, *others))
    asked.layers = Layers(msgspec.structs.replace(FILE, forward=forward), ())
    rows = ask(asked, key="own").json["rows"]
    assert {row["agent"]: row["may"] for row in rows} == {"branch": "no", "hq": "no", "relay": "yes"}


def test_what_an_agent_may_do_comes_with_its_rights_first(asked):
    rows = ask(asked, agent="hq").json["rows"]
    assert [(row["right"], row["key"]) for row in rows] == [
        ("relay", None),
        ("manage", None),
        ("offer", "api"),
        ("offer", "db"),
        ("use", "api"),
        ("use", "db"),
        ("use", "own"),
        ("use", "ssh"),  # withdrawn, as its target is down; but the agent that answers has it
    ]
    assert ask(asked, agent=display_id(HQ.agent_id)).json["rows"] == rows


def test_lists_come_in_pages(asked):
    whole = ask(asked, agent="hq").json
    page = ask(asked, agent="hq", limit=2, offset=3).json
    assert (page["total"], page["next_offset"]) == (whole["total"], 5)
    assert page["rows"] == whole["rows"][3:5]


def test_a_key_that_nobody_offers_is_judged_by_certificates(asked):
    (row,) = ask(asked, key="new", agent="branch").json["rows"]
    assert (row["may"], row["exit"]) == ("yes", None)
    assert "which nobody offers" in row["sentence"]


def test_of_a_reserved_key_no_pattern_decides(asked):
    answer = ask(asked, key="mesh:control", agent="branch")
    assert answer.status_code == 400
    assert "ask without a key" in answer.json["detail"]


def test_what_is_asked_must_be_said_and_known(asked):
    assert ask(asked).status_code == 400
    assert ask(asked, agent="nobody").status_code == 404
    assert BRANCH.name == "branch"
