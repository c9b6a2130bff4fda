"""``/api/v1/drain``: what it answers and asks for."""

from types import SimpleNamespace

import falcon.testing
import pytest

from mesh.agent.control.api import ApiApp, ByControlSocket
from mesh.agent.control.behind import Behind
from mesh.agent.control.drain_routes import drain_routes
from mesh.agent.control.requests import DRAIN
from mesh.agent.outcome import RefusedError


class Steered:
    draining = False
    is_leaving = False

    def drain(self, *, draining):
        if self.is_leaving:
            raise RefusedError("the agent is about to leave, and drains until then")
        self.draining = draining


@pytest.fixture
def steered():
    return Steered()


@pytest.fixture
def app(steered):
    def status():
        stats = SimpleNamespace(open_connections=3)
        return SimpleNamespace(value=SimpleNamespace(draining=steered.draining, stats=stats))

    routes = drain_routes(Behind(steered, status, None))
    return falcon.testing.TestClient(ApiApp(routes, (ByControlSocket(),)))


def test_it_is_begun_and_ended_as_often_as_one_likes(app):
    for _ in range(2):
        assert app.simulate_post(DRAIN).json == {"draining": True, "open_connections": 3}
    assert app.simulate_get(DRAIN).json == {"draining": True, "open_connections": 3}
    for _ in range(2):
        answer = app.simulate_delete(DRAIN)
        assert (answer.status_code, answer.content) == (204, b"")
    assert app.simulate_get(DRAIN).json == {"draining": False, "open_connections": 3}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_agent_that_leaves_is_told_nothing_of_the_kind(app, steered, method):
    steered.is_leaving = True
    answer = app.simulate_request(method, DRAIN)
    assert answer.status_code == 409
    assert "about to leave" in answer.json["detail"]


def test_what_is_sent_along_is_of_no_use(app, steered):
    assert app.simulate_post(DRAIN, body=b'{"draining": false}').status_code < 500
    assert app.simulate_put(DRAIN).status_code == 405
