"""Who may add services at unix sockets: whoever uses the control socket, and nobody from elsewhere."""

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.admission import ByHttpAddress
from mesh.agent.control.api import ApiApp, ControlApp, MeshApp, all_routes
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.behind import Behind
from mesh.agent.control.in_process import answer_of
from mesh.agent.control.requests import ENDPOINTS, FORWARDS, LISTENERS, PLANS
from mesh.agent.control.tokens import Tokens, token_hash
from mesh.agent.dashboard.single_flight import Answer
from mesh.agent.saved_services import read_service, written
from mesh.config.schema import TokenSection
from mesh.remote.wire import Asked
from tests.mesh.agent.control.test_reading import SAVED, Steered, snapshot

ENGINE = {"key": "engine", "target": "unix:/run/docker.sock"}
SOCKET = {"key": "api", "address": "/srv/app/app.sock"}
TOKENS = Tokens((TokenSection(name="control socket", hash=token_hash("secret")),))

WISHES = [
    (ENDPOINTS, {"service": ENGINE}),
    (ENDPOINTS, {"service": ENGINE, "save": True}),
    (LISTENERS, {"service": SOCKET}),
    (LISTENERS, {"service": {**SOCKET, "address": "unix:/srv/app/app.sock"}, "save": True}),
    (PLANS, {"forward": {"endpoints": [ENGINE]}}),
    (PLANS, {"forward": {"endpoints": [], "listeners": [{"key": "web", "address": ":1"}, SOCKET]}}),
    (f"{PLANS}?dry_run=true", {"forward": {"listeners": [SOCKET]}}),
    (FORWARDS, {"action": "add", **SOCKET}),
]


@pytest.fixture
def steered():
    return Steered()


@pytest.fixture
def behind(steered):
    shown = snapshot()
    return Behind(steered, lambda: Answer(shown, 0.0, 0.0), None)


def by_token(behind, place, wish):
    api = falcon.testing.TestClient(ApiApp(all_routes(behind), (ByHttpAddress(Bearers(TOKENS)),)))
    answer = api.simulate_post(place, json=wish, headers={"Authorization": "Bearer secret"})
    return answer.status_code, answer.content


def through_mesh(behind, place, wish):
    body = msgspec.json.encode(wish)
    asked = Asked("POST", place, "application/json", asker="control socket", body=body)
    answered = answer_of(MeshApp(behind, None), asked, "hq 1234abcd")
    return answered.status, answered.body


@pytest.mark.parametrize("ask", [by_token, through_mesh])
@pytest.mark.parametrize(("place", "wish"), WISHES)
def test_nobody_from_elsewhere_adds_a_service_at_a_path(steered, behind, ask, place, wish):
    status, body = ask(behind, place, wish)
    assert status == 403
    assert b"control socket" in body
    assert msgspec.json.decode(body)["place"] in ("body.service", "body.forward", "body.address")
    assert steered.done == []


@pytest.mark.parametrize(("place", "wish"), [each for each in WISHES if each[0] != FORWARDS])
def test_whoever_uses_the_control_socket_does(steered, behind, place, wish):
    wish = {**wish, "save": True} if "service" in wish else wish
    assert (
        falcon.testing.TestClient(ControlApp(behind, None)).simulate_post(place, json=wish).status_code < 300
    )
    assert len(steered.done) == 1


@pytest.mark.parametrize("ask", [by_token, through_mesh])
def test_a_plan_may_keep_what_was_saved_with_a_path(steered, behind, ask):
    steered.layers.saved = (SAVED, read_service("endpoints", ENGINE))
    steered.layers.show()
    wish = {"forward": {"endpoints": [ENGINE], "listeners": [written(SAVED)]}}
    assert ask(behind, PLANS, wish)[0] == 200
    assert len(steered.done) == 1
    wider = {"forward": {"endpoints": [{**ENGINE, "max_connections": 5}]}}
    assert ask(behind, PLANS, wider)[0] == 403
