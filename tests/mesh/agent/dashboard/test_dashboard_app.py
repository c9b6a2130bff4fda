"""The application through Falcon's test client: what is said, to whom, and what if nobody answers."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from falcon import testing
from prometheus_client.parser import text_string_to_metric_families

from mesh.agent.dashboard.app import PAGE_FILES, DashboardApp
from mesh.agent.dashboard.status import DashboardSnapshot, NoAnswer, StatusUnavailable
from mesh.routing.pairings import UnmatchedListener

MakeApp = Callable[..., DashboardApp]
PATHS = [*(path for path, _, _ in PAGE_FILES), "/api/dashboard", "/health", "/healthz", "/ready", "/metrics"]


def client_of(app: DashboardApp) -> testing.TestClient:
    return testing.TestClient(app, headers={"Host": "127.0.0.1:8080"})


@pytest.fixture
def client(make_app: MakeApp) -> testing.TestClient:
    return client_of(make_app())


def test_the_document_shows_agent_stats_peers_and_pairings(client: testing.TestClient):
    answer = client.simulate_get("/api/dashboard")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    branch, relay, hq = "01" * 16, "02" * 16, "03" * 16
    age_s, as_of = answer.json["age_s"], datetime.fromisoformat(answer.json["as_of"])
    assert age_s == 0.0
    assert as_of.tzinfo is not None
    assert {field: value for field, value in answer.json.items() if field not in ("age_s", "as_of")} == {
        "agent": {
            "id": branch,
            "short_id": "01010101",
            "display_name": "branch",
            "instance": "ee" * 16,
            "version": "1.2.3",
        },
        "ready": True,
        "problems": [],
        "stats": {
            "peer_count": 1,
            "stream_count": 3,
            "route_count": 2,
            "open_connections": 2,
            "actors": 17,
            "unacknowledged_segments": 5,
            "frames_dropped_total": 4,
        },
        "peers": [
            {
                "id": relay,
                "short_id": "02020202",
                "display_name": "relay",
                "state": "connected",
                "rtt_ms": 0.512,
                "is_dialer": True,
                "address": "192.0.2.7:4433",
                "problem": None,
            },
            {
                "id": None,
                "short_id": None,
                "display_name": "",
                "state": "dialing",
                "rtt_ms": None,
                "is_dialer": True,
                "address": "lost.example:4433",
                "problem": None,
            },
        ],
        "forward_routes": [
            {
                "key": "api",
                "ingress_agent": "branch",
                "ingress_agent_id": branch,
                "listener_address": "127.0.0.1:8001",
                "exit_agent": "hq",
                "exit_agent_id": hq,
                "target": "localhost:3000",
                "hop_count": 2,
                "path_display": ["branch", "relay", "hq"],
                "path_ids": [branch, relay, hq],
            }
        ],
        "forward_routes_left_out": 0,
        "unmatched_listeners": [
            {
                "key": "<b>",
                "agent": "branch",
                "agent_id": branch,
                "listener_address": "[::1]:8002",
                "reason": "no agent offers this key",
            }
        ],
        "unmatched_endpoints": [
            {
                "key": "db",
                "agent": "hq",
                "agent_id": hq,
                "target": None,
                "reason": "no agent listens for this key",
            }
        ],
    }


def test_figures_of_the_agents_own_cannot_be_shadowed_by_a_counter(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot
):
    stats = msgspec.structs.replace(snapshot.stats, counters={"peer_count": 99})
    source.answer = lambda: msgspec.structs.replace(snapshot, stats=stats)
    assert client.simulate_get("/api/dashboard").json["stats"]["peer_count"] == 1


def test_metrics_are_prometheus_text_with_the_same_figures(client: testing.TestClient):
    answer = client.simulate_get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["mesh_open_connections"].type == "gauge"
    assert families["mesh_open_connections"].samples[0].value == 2
    assert families["mesh_frames_dropped"].type == "counter"
    assert families["mesh_frames_dropped"].samples[0].value == 4
    assert families["process_open_fds"].samples[0].value > 0


def test_scrapes_do_not_pile_up_in_a_registry(client: testing.TestClient):
    first, second = client.simulate_get("/metrics").text, client.simulate_get("/metrics").text
    assert first.count("mesh_actors 17.0") == second.count("mesh_actors 17.0") == 1


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_asks_nobody(client: testing.TestClient, source: Any, path: str):
    source.block()
    assert client.simulate_get(path).json == {"status": "ok"}
    assert source.calls == 0


def test_ready_when_the_actors_answer_without_problems(client: testing.TestClient):
    answer = client.simulate_get("/ready")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "age_s": 0.0})


def test_not_ready_says_why(client: testing.TestClient, source: Any, snapshot: DashboardSnapshot):
    problems = ("listener 127.0.0.1:80: port taken", "acceptor :4433: port taken")
    source.answer = lambda: msgspec.structs.replace(snapshot, problems=problems)
    answer = client.simulate_get("/ready")
    assert answer.status_code == 503
    assert answer.json == {"status": "not ready", "error": "; ".join(problems), "age_s": 0.0}
    document = client.simulate_get("/api/dashboard")
    assert (document.status_code, document.json["ready"]) == (200, False)
    assert document.json["problems"] == list(problems)


def test_an_own_listener_without_a_port_is_shown_among_the_unmatched(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot
):
    portless = UnmatchedListener("a", snapshot.agent_id, "branch", "127.0.0.1:80", "port taken")
    source.answer = lambda: msgspec.structs.replace(snapshot, portless=(portless,))
    shown = client.simulate_get("/api/dashboard").json["unmatched_listeners"]
    assert [entry["key"] for entry in shown] == ["<b>", "a"]
    assert shown[1] == {
        "key": "a",
        "agent": "branch",
        "agent_id": "01" * 16,
        "listener_address": "127.0.0.1:80",
        "reason": "port taken",
    }


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
            assert again.json["status"] == "ready"
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
    assert "has not answered for" in answer.json["error"]


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
    assert answer.json == {"error": "status unavailable: the route table has stopped"}
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/api/dashboard", "/ready", "/metrics"])
def test_a_source_that_hangs_is_a_503_and_the_page_still_loads(make_app: MakeApp, source: Any, path: str):
    source.block()
    client = client_of(make_app(deadline_s=0.01))
    answer = client.simulate_get(path)
    assert answer.status_code == 503
    assert answer.json == {"error": "status unavailable: no answer within 0.01 s"}
    assert client.simulate_get("/").status_code == 200


def test_many_hanging_requests_share_two_asks_at_most(make_app: MakeApp, source: Any):
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
    assert source.calls == source.most_running == 2


def test_the_source_gets_less_time_than_the_client(client: testing.TestClient, source: Any):
    client.simulate_get("/api/dashboard")
    assert source.timeouts == [0.5]


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


def test_after_close_there_is_no_asking(make_app: MakeApp, source: Any):
    app = make_app()
    app.close()
    answer = client_of(app).simulate_get("/api/dashboard")
    assert (answer.status_code, answer.json) == (
        503,
        {"error": "status unavailable: the agent is shutting down"},
    )
    assert source.calls == 0


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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("192.0.2.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST.", 200),
        ("branch.localhost:1", 200),
        ("mesh.internal", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evil-localhost", 403),
        ("[evil]:80", 403),
        ("", 403),
    ],
)
def test_a_host_name_that_could_be_rebound_is_refused(make_app: MakeApp, source: Any, host: str, status: int):
    client = client_of(make_app(allowed_hosts=["Mesh.Internal"]))
    answer = client.simulate_get("/api/dashboard", headers={"Host": host})
    assert answer.status_code == status
    assert source.calls == (status == 200)
    if status == 403:
        assert "Host" in answer.json["error"]


def test_without_the_guard_any_host_name_is_welcome(make_app: MakeApp):
    client = client_of(make_app(guard_hosts=False))
    assert client.simulate_get("/health", headers={"Host": "agent.example"}).status_code == 200


def test_the_page_loads_nothing_but_its_own_files(client: testing.TestClient):
    page = client.simulate_get("/").text
    linked = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert linked == {"/icon.svg", "/dashboard.css", "/dashboard.js", "/api/dashboard", "/metrics", "/ready"}
    for path in sorted(linked):
        assert client.simulate_get(path).status_code == 200
    assert "<style" not in page
    assert not re.search(r"\son\w+=|\sstyle=|<script>", page)


def test_the_script_never_makes_markup_from_data(client: testing.TestClient):
    script = client.simulate_get("/dashboard.js").text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script
    )


def test_every_element_that_the_script_fills_is_on_the_page(client: testing.TestClient):
    page, script = client.simulate_get("/").text, client.simulate_get("/dashboard.js").text
    ids = set(re.findall(r'(?:byId|fill|count)\(\s*"([\w-]+)"', script))
    assert {"routes", "peers", "unmatched", "notice"} <= ids
    assert ids <= set(re.findall(r'\bid="([\w-]+)"', page))


def test_every_field_that_the_script_reads_is_in_the_document(client: testing.TestClient):
    script = client.simulate_get("/dashboard.js").text
    document = client.simulate_get("/api/dashboard").json
    for variable, fields in (
        ("route", document["forward_routes"][0]),
        ("peer", document["peers"][0]),
        ("status", document),
        (r"status\.agent", document["agent"]),
        ("body", {**document, "error": ""}),
    ):
        read = set(re.findall(rf"(?<![.\w]){variable}\.(\w+)", script)) - {"replaceChildren"}
        assert read
        assert read <= fields.keys()
    labels = re.search(r"LABELS = \{(.*?)\}", script, re.DOTALL)
    assert labels is not None
    assert set(re.findall(r"(\w+):", labels[1])) <= document["stats"].keys()
