"""What clients are told by an agent that answers late or not at all."""

import threading
from typing import Any

import pytest
from falcon import testing

from mesh.agent.dashboard.status import DashboardSnapshot, NoAnswer, StatusUnavailable
from tests.mesh.agent.dashboard.clients import MakeApp, client_of


def busy() -> DashboardSnapshot:
    raise NoAnswer("the agent's actors did not answer in time")


ASKING = ["/api/dashboard", "/ready", "/metrics"]


@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize("how", ["late", "hangs"])
def test_an_agent_that_is_busy_is_shown_as_it_was_last(make_app: MakeApp, source: Any, path: str, how: str):
    client = client_of(make_app(deadline_s=0.01 if how == "hangs" else 60.0))
    first = until_ok(client, path)
    if how == "hangs":
        source.block()
    else:
        source.answer = busy
    for _ in range(5):
        again = client.simulate_get(path)
        assert again.status_code == 200
        if path == "/api/dashboard":
            assert again.json["age_s"] >= 0
            assert {**again.json, "age_s": 0} == {**first.json, "age_s": 0}
        elif path == "/ready":
            assert again.text.startswith("ready")
    source.go_on.set()


def until_ok(client: testing.TestClient, path: str) -> testing.Result:
    """An answer that is fresh: with a tiny deadline one may come too late."""
    for _ in range(10_000):
        answer = client.simulate_get(path)
        if answer.status_code == 200:
            return answer
    raise AssertionError(f"never an answer at {path}")


@pytest.mark.parametrize("path", ASKING)
def test_an_agent_that_has_never_answered_has_nothing_to_show(
    client: testing.TestClient, source: Any, path: str
):
    source.answer = busy
    assert client.simulate_get(path).status_code == 503


@pytest.mark.parametrize("path", ASKING)
def test_an_agent_that_has_not_answered_for_too_long_is_a_503(make_app: MakeApp, source: Any, path: str):
    client = client_of(make_app(keep_s=0.0))
    assert client.simulate_get(path).status_code == 200
    source.answer = busy
    answer = client.simulate_get(path)
    assert answer.status_code == 503
    assert "has not answered for" in answer.text


@pytest.mark.parametrize("path", ASKING)
def test_a_real_failure_is_told_at_once_and_not_hidden_by_an_earlier_answer(
    client: testing.TestClient, source: Any, path: str
):
    assert client.simulate_get(path).status_code == 200

    def dead() -> DashboardSnapshot:
        raise StatusUnavailable("the agent's actors are being started anew")

    source.answer = dead
    assert client.simulate_get(path).status_code == 503
    source.answer = busy
    assert client.simulate_get(path).status_code == 503


@pytest.mark.parametrize("path", ["/api/dashboard", "/ready", "/metrics"])
def test_a_dead_route_actor_is_a_503_with_the_reason(client: testing.TestClient, source: Any, path: str):
    def dead() -> DashboardSnapshot:
        raise StatusUnavailable("the route table has stopped")

    source.answer = dead
    answer = client.simulate_get(path)
    assert answer.status_code == 503
    assert "status unavailable: the route table has stopped" in answer.text
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/api/dashboard", "/ready", "/metrics"])
def test_a_source_that_hangs_is_a_503_and_the_page_still_loads(make_app: MakeApp, source: Any, path: str):
    source.block()
    client = client_of(make_app(deadline_s=0.01))
    answer = client.simulate_get(path)
    assert answer.status_code == 503
    assert "status unavailable: no answer within 0.01 s" in answer.text
    assert client.simulate_get("/").status_code == 200


def test_many_hanging_requests_share_one_ask(make_app: MakeApp, source: Any):
    source.block()
    client = client_of(make_app(deadline_s=0.01))
    statuses = []

    def ask() -> None:
        statuses.extend(client.simulate_get(path).status_code for path in ("/api/dashboard", "/ready"))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [503] * 80
    assert source.calls == source.most_running == 1


def test_the_source_gets_less_time_than_the_client(client: testing.TestClient, source: Any):
    client.simulate_get("/api/dashboard")
    assert source.timeouts == [0.5]


def test_after_close_there_is_no_asking(make_app: MakeApp, source: Any):
    app = make_app()
    app.close()
    answer = client_of(app).simulate_get("/api/dashboard")
    assert (answer.status_code, answer.json) == (
        503,
        {"error": "status unavailable: the agent is shutting down"},
    )
    assert source.calls == 0
