"""What existing dashboards ask for, in the shapes that they know."""

from types import SimpleNamespace

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.dashboard.single_flight import Answer
from mesh.remote.wire import Answered
from tests.mesh.agent.control.test_reading import BRANCH, HQ, RELAY, Steered, snapshot

BRANCH_ID, RELAY_ID, HQ_ID = (each.agent_id.hex()[:8] for each in (BRANCH, RELAY, HQ))


class Managed(Steered):
    def advertise(self):
        self.done.append("advertise")


@pytest.fixture
def steered():
    return Managed()


@pytest.fixture
def app(steered):
    shown = snapshot()
    return falcon.testing.TestClient(ControlApp(Behind(steered, lambda: Answer(shown, 0.0, 0.0), None), None))


def test_a_map_has_agents_and_links_by_short_ids(app):
    shown = app.simulate_get("/api/topology").json
    assert shown["local_agent"] == shown["agents"][0]
    assert (shown["local_agent"]["short_id"], shown["local_agent"]["is_local"]) == (BRANCH_ID, True)
    assert shown["local_agent"]["hostname"]
    assert shown["local_agent"]["forward_listeners"] == [{"key": "api", "address": "127.0.0.1:8001"}]
    roles = {each["display_name"]: each["roles"] for each in shown["agents"]}
    assert roles == {"branch": ["ingress", "transit"], "relay": ["transit"], "hq": ["transit", "exit"]}
    links = {(each["from_agent"], each["to_agent"]): each for each in shown["connections"]}
    direct = links.pop((BRANCH_ID, RELAY_ID))
    (((ends, other)),) = links.items()
    assert set(ends) == {RELAY_ID, HQ_ID}
    assert (direct["is_direct"], direct["transport"], direct["rtt_ms"]) == (True, "tcp", 2.0)
    assert (other["is_direct"], other["rtt_ms"]) == (False, 1.0)
    nodes = app.simulate_get("/api/nodes").json["nodes"]
    for each in (*nodes, *shown["agents"]):
        del each["uptime_hours"]  # time passes between the two
    assert nodes == shown["agents"]


def test_listeners_are_added_removed_and_listed(app, steered):
    ask = {"action": "add", "key": "db", "address": "127.0.0.1:5432", "max_connections": 7}
    added = app.simulate_post("/forward/manage", json=ask)
    assert (added.status_code, added.json["status"]) == (200, "ok")
    rows = {each["key"]: each for each in added.json["listeners"]}
    assert rows["db"] == {key: value for key, value in ask.items() if key != "action"} | {"dynamic": True}
    assert rows["web"]["dynamic"] is False
    app.simulate_post("/forward/manage", json={"action": "remove", "key": "db"})
    assert steered.done[-1] == ("listeners", "db", None)
    listed = app.simulate_post("/forward/manage", json={"action": "list"})
    assert len(listed.json["listeners"]) == 3


@pytest.mark.parametrize(
    "ask",
    [
        {"action": "add", "key": "db"},
        {"action": "add", "key": "", "address": ":1"},
        {"action": "add", "key": "db", "address": ":1", "max_connections": -1},
        {"action": "change"},
        {},
    ],
)
def test_what_is_wrong_is_told_and_nothing_done(app, steered, ask):
    assert app.simulate_post("/forward/manage", json=ask).status_code == 400
    assert steered.done == []


def test_an_agent_is_changed_by_its_own_id_and_no_other_without_a_way_to_it(app, steered):
    for own in (BRANCH_ID, BRANCH.agent_id.hex(), BRANCH_ID.upper()):
        assert app.simulate_post(f"/agents/{own}/forward/manage", json={"action": "list"}).status_code == 200
    other = app.simulate_post(f"/agents/{HQ_ID}/forward/manage", json={"action": "remove", "key": "api"})
    assert other.status_code == 403
    assert steered.done == []


def problem(status, **more):
    body = msgspec.json.encode({"title": "x", "status": status, "detail": "no", **more})
    return Answered(status, PROBLEM_TYPE, body=body)


@pytest.mark.parametrize(
    ("answered", "status", "told"),
    [
        (problem(400, place="body.key", problems=["a", "b"]), 400, ("no", "body.key", ["a", "b"])),
        (problem(409), 409, ("no", None, None)),
        (problem(418, problems=["teapot"]), 502, ("no", None, ["teapot"])),
        (Answered(500, "text/html", body=b"<p>"), 502, ("the agent answers with status 500", None, None)),
    ],
)
def test_all_that_another_agent_says_is_wrong_is_told(steered, answered, status, told):
    shown, calling = snapshot(), SimpleNamespace(call=lambda to, asked: answered)
    behind = Behind(steered, lambda: Answer(shown, 0.0, 0.0), None, calling=calling)
    app = falcon.testing.TestClient(ControlApp(behind, None))
    answer = app.simulate_post(f"/agents/{HQ_ID}/forward/manage", json={"action": "list"})
    assert answer.status_code == status
    assert tuple(map(answer.json.get, ("detail", "place", "problems"))) == told


def test_routes_are_advertised(app, steered):
    assert app.simulate_post("/routes/advertise").json["status"] == "ok"
    assert steered.done == ["advertise"]
