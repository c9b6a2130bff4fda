"""The application as a whole: methods, headers, unknown paths, and what a bug shows."""

from typing import Any

import msgspec
import pytest
from falcon import testing

from mesh.agent.dashboard.app import PAGE_FILES
from mesh.agent.dashboard.status import DashboardSnapshot

PATHS = [*(path for path, _, _ in PAGE_FILES), "/api/dashboard", "/health", "/healthz", "/ready", "/metrics"]


def test_a_bug_in_the_source_is_logged_and_told_without_details(
    client: testing.TestClient, source: Any, caplog: pytest.LogCaptureFixture
):
    def broken() -> DashboardSnapshot:
        raise KeyError("a secret detail")

    source.answer = broken
    answer = client.simulate_get("/api/dashboard")
    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text


def test_a_bug_in_a_resource_is_a_500_without_details(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot, caplog: pytest.LogCaptureFixture
):
    stats = msgspec.structs.replace(snapshot.stats, counters={"wrong": "no number"})
    source.answer = lambda: msgspec.structs.replace(snapshot, stats=stats)
    answer = client.simulate_get("/metrics")
    assert (answer.status_code, answer.json) == (
        500,
        {"error": "internal error; the log has the details"},
    )
    assert "GET /metrics failed" in caplog.text


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*"])
def test_an_unknown_path_is_a_json_404_whatever_is_accepted(client: testing.TestClient, accept: str):
    answer = client.simulate_get("/nothing/here", headers={"Accept": accept})
    assert (answer.status_code, answer.json) == (404, {"error": "404 Not Found"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_let_in(client: testing.TestClient, path: str, method: str):
    answer = client.simulate_request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json == {"error": f"{method} is not allowed here; use GET"}


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(client: testing.TestClient, path: str):
    get, head = client.simulate_get(path), client.simulate_head(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # process figures move between two scrapes
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_every_answer_carries_the_security_headers(client: testing.TestClient, path: str):
    headers = client.simulate_get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert not any(name.startswith("access-control-") for name in headers)
