"""What each path says of a mesh of three agents."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from falcon import testing
from prometheus_client.parser import text_string_to_metric_families

from mesh.agent.dashboard.document import MAX_ROWS
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.agent.findings import Finding, FindingKind
from mesh.alarms import AlarmKind
from mesh.routing.pairings import UnmatchedEndpoint, UnmatchedListener
from tests.mesh.agent.dashboard.clients import MakeApp, client_of
from tests.mesh.agent.dashboard.conftest import NOON

JSON = {"Accept": "application/json"}


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
            "phase": "running",
            "since": "2026-11-30T12:00:00Z",
            "certificate_ends": "2026-12-10T12:00:00Z",
            "certificate_days_left": 9.0,
            "awaits_at": ["0.0.0.0:4433"],
        },
        "ready": True,
        "draining": False,
        "problems": [],
        "warnings": [],
        "findings": [],
        "listeners": [
            {
                "key": "api",
                "address": "127.0.0.1:8001",
                "state": "refused its last clients",
                "since": "2026-11-30T12:01:00Z",
                "reason": "one client",
                "set_aside": [
                    {
                        "agent": "hq",
                        "agent_id": hq,
                        "reason": "refused",
                        "since": "2026-11-30T12:01:00Z",
                        "until": "2026-11-30T12:01:30Z",
                    }
                ],
            }
        ],
        "endpoints": [
            {
                "key": "ssh",
                "address": "127.0.0.1:22",
                "state": "offered",
                "since": None,
                "reason": "",
                "set_aside": [],
            }
        ],
        "stats": {
            "peer_count": 1,
            "stream_count": 3,
            "route_count": 2,
            "open_connections": 2,
            "actors": 17,
            "unacknowledged_segments": 5,
            "frames_dropped_total": 4,
            **{f"alarms_{kind.value}_total": 0 for kind in AlarmKind},
        },
        "alarms": [],
        "revocations": [],
        "revocation_lists": [],
        "socks": [],
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
                "since": None,
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
                "since": None,
            },
        ],
        "forward_routes": [
            {
                "key": "api",
                "ingress_agent": "branch",
                "ingress_agent_id": branch[:8],
                "listener_address": "127.0.0.1:8001",
                "exit_agent": "hq",
                "exit_agent_id": hq[:8],
                "target": "localhost:3000",
                "hop_count": 2,
                "path_display": ["branch", "relay", "hq"],
                "path_ids": [branch[:8], relay[:8], hq[:8]],
            }
        ],
        "forward_routes_left_out": 0,
        "rows": {
            "offset": 0,
            "next_offset": None,
            "totals": {
                "problems": 0,
                "warnings": 0,
                "listeners": 1,
                "endpoints": 1,
                "revocations": 0,
                "peers": 2,
                "forward_routes": 1,
                "unmatched_listeners": 1,
                "unmatched_endpoints": 1,
            },
        },
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
    assert first.count("\nmesh_actors 17\n") == second.count("\nmesh_actors 17\n") == 1


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_asks_nobody(client: testing.TestClient, source: Any, path: str):
    source.block()
    assert client.simulate_get(path).json == {"status": "ok"}
    assert source.calls == 0


def test_ready_when_the_actors_answer_without_problems(client: testing.TestClient):
    answer = client.simulate_get("/ready")
    assert (answer.status_code, answer.text) == (200, "ready\n")
    answer = client.simulate_get("/ready", headers=JSON)
    assert answer.status_code == 200
    nothing: list[str] = []
    assert answer.json == {
        "status": "ready",
        "problems": nothing,
        "warnings": nothing,
        "findings": nothing,
        "age_s": 0.0,
    }


def test_a_warning_is_told_by_an_agent_that_is_ready(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot
):
    warning = Finding(FindingKind.CERTIFICATE, "it ends", "renew it")
    source.answer = lambda: msgspec.structs.replace(snapshot, warnings=(warning,))
    answer = client.simulate_get("/ready")
    assert (answer.status_code, answer.text) == (200, "ready\nwarning: it ends; renew it\n")
    assert client.simulate_get("/ready", headers=JSON).json["warnings"] == ["it ends; renew it"]
    document = client.simulate_get("/api/dashboard").json
    assert (document["ready"], document["warnings"]) == (True, ["it ends; renew it"])


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", True),
        ("application/json, */*;q=0.1", True),
    ],
)
def test_ready_is_text_unless_json_is_asked_for(client: testing.TestClient, accept: str, is_json: bool):
    answer = client.simulate_get("/ready", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/json" if is_json else "text/plain")


def test_not_ready_says_why_a_line_for_each_problem(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot
):
    problems = ("listener 127.0.0.1:80: port taken", "acceptor :4433: port taken")
    found = (
        Finding(FindingKind.LISTENER, problems[0], since_unix_s=NOON),
        Finding(FindingKind.ACCEPTOR, problems[1]),
    )
    source.answer = lambda: msgspec.structs.replace(snapshot, problems=found)
    answer = client.simulate_get("/ready")
    first = f"{problems[0]} (since 2026-11-30 12:00:00 UTC)"
    assert (answer.status_code, answer.text) == (503, f"not ready\n{first}\n{problems[1]}\n")
    answer = client.simulate_get("/ready", headers=JSON)
    assert answer.status_code == 503
    rest = {"severity": "problem", "remedy": ""}
    assert answer.json == {
        "status": "not ready",
        "problems": list(problems),
        "warnings": [],
        "findings": [
            {"what": problems[0], "since": "2026-11-30T12:00:00Z", **rest},
            {"what": problems[1], "since": None, **rest},
        ],
        "age_s": 0.0,
    }
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


def test_an_own_endpoint_that_is_withdrawn_is_shown_with_the_reason_until_it_is_offered(
    client: testing.TestClient, source: Any, snapshot: DashboardSnapshot
):
    withheld = UnmatchedEndpoint("a", snapshot.agent_id, "branch", "localhost:1", "its target is down")
    source.answer = lambda: msgspec.structs.replace(snapshot, withheld=(withheld,))
    shown = client.simulate_get("/api/dashboard").json["unmatched_endpoints"]
    assert [entry["key"] for entry in shown] == ["a", "db"]
    assert (shown[0]["target"], shown[0]["reason"]) == ("localhost:1", "its target is down")
    source.answer = lambda: snapshot
    shown = client.simulate_get("/api/dashboard").json["unmatched_endpoints"]
    assert [entry["key"] for entry in shown] == ["db"]


@pytest.mark.parametrize("path", ["/api/dashboard", "/metrics"])
def test_an_answer_is_made_once_for_all_who_ask_in_the_same_moment(make_app: MakeApp, source: Any, path: str):
    client = client_of(make_app(fresh_s=3600.0))
    first = client.simulate_get(path)
    assert all(client.simulate_get(path).content == first.content for _ in range(50))
    assert source.calls == 1


def test_a_large_document_is_not_for_those_who_ask_without_pause(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mesh.agent.dashboard.app.DOCUMENT_BYTES_PER_S", 1.0)
    monkeypatch.setattr("mesh.agent.dashboard.app.DOCUMENT_BURST_BYTES", 2000.0)
    client = client_of(make_app())
    statuses = [client.simulate_get("/api/dashboard").status_code for _ in range(4)]
    assert statuses[0] == 200
    assert statuses[-1] == 503
    refused = client.simulate_get("/api/dashboard")
    assert int(refused.headers["retry-after"]) > 0
    assert "ask less often" in refused.json["error"]
    assert [client.simulate_get(path).status_code for path in ("/health", "/ready", "/metrics")] == [200] * 3


def test_long_lists_are_cut_and_paged(make_app: MakeApp, snapshot: DashboardSnapshot, source: Any):
    problems = tuple(f"problem {number}" for number in range(2 * MAX_ROWS + 1))
    found = tuple(Finding(FindingKind.LISTENER, each) for each in problems)
    source.answer = lambda: msgspec.structs.replace(snapshot, problems=found)
    client = client_of(make_app())
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = client.simulate_get("/api/dashboard", params={"offset": str(offset)}).json
        assert len(answer["problems"]) <= MAX_ROWS
        assert answer["rows"]["totals"]["problems"] == len(problems)
        assert answer["rows"]["totals"]["forward_routes"] == 1
        assert len(answer["forward_routes"]) == (0 if offset else 1)
        assert answer["ready"] is False
        seen += answer["problems"]
        offset = answer["rows"]["next_offset"]
    assert tuple(seen) == problems


@pytest.mark.parametrize("offset", ["-1", "x", "99999999999999999999"])
def test_an_offset_that_is_none_is_the_clients_fault(client: testing.TestClient, offset: str):
    answer = client.simulate_get("/api/dashboard", params={"offset": offset})
    assert answer.status_code == 400
    assert "offset" in answer.json["error"]
