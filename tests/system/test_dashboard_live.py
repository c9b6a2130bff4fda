"""The dashboard of real agents: what it says, how soon, and what it says while the actors do not."""

import http.client
import json
import re
import signal
import time
from http import HTTPStatus

import pytest

from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, Task, echo
from scripts.lab.waiting import wait_until
from tests.system.stuck_agent import DIE

WITHIN_S = 1.0
"""The dashboard answers so soon, whatever the actors do."""

PROMPTLY_S = 2.0

LATE_S = 0.5
"""What this machine may add under load."""

PAIRING_FIELDS = {
    "key",
    "ingress_agent",
    "ingress_agent_id",
    "listener_address",
    "exit_agent",
    "exit_agent_id",
    "target",
    "hop_count",
    "path_display",
    "path_ids",
}
PEER_FIELDS = {"id", "short_id", "display_name", "state", "rtt_ms", "is_dialer", "problem"}
STATS_FIELDS = {
    "peer_count",
    "stream_count",
    "route_count",
    "open_connections",
    "actors",
    "unacknowledged_segments",
}
LISTENER_FIELDS = {"key", "agent", "agent_id", "listener_address", "reason"}
ENDPOINT_FIELDS = {"key", "agent", "agent_id", "target", "reason"}


# -- what it says --------------------------------------------------------------------------------------------


def test_the_pairing_of_a_listener_with_an_endpoint_is_shown_by_every_agent(chain):
    branch, relay, hq = chain.agents
    expected = {
        "key": chain.KEY,
        "ingress_agent": "branch",
        "ingress_agent_id": branch.short_id,
        "listener_address": f"{LOOPBACK}:{chain.port}",
        "exit_agent": "hq",
        "exit_agent_id": hq.short_id,
        "hop_count": 2,
        "path_display": ["branch", "relay", "hq"],
        "path_ids": [branch.short_id, relay.short_id, hq.short_id],
    }
    ours = {agent.id for agent in chain.agents}
    for agent in chain.agents:
        document = agent.dashboard()
        target = f"{LOOPBACK}:{chain.target_port}" if agent is hq else None
        assert document["forward_routes"] == [{**expected, "target": target}]
        assert document["unmatched_listeners"] == []
        # A hostile guest of another test may be remembered, but nothing of the chain is left over.
        assert [entry for entry in document["unmatched_endpoints"] if entry["agent_id"] in ours] == []
        assert document["ready"] is True
        assert document["problems"] == []


def test_the_agent_and_its_peers_are_shown(chain):
    branch, relay, hq = chain.agents
    document = relay.dashboard()
    shown = document["agent"]
    assert {name: shown[name] for name in ("id", "short_id", "display_name")} == {
        "id": relay.id,
        "short_id": relay.id[:8],
        "display_name": "relay",
    }
    assert re.fullmatch("[0-9a-f]{32}", shown["instance"])
    # Those that other tests have killed are shown for a while, as lost.
    linked = [peer for peer in document["peers"] if peer["state"] == "connected"]
    peers = {peer["display_name"]: peer for peer in linked}
    assert peers.keys() == {"branch", "hq"}
    for agent in (branch, hq):
        peer = peers[agent.name]
        assert peer.keys() >= PEER_FIELDS
        assert (peer["id"], peer["short_id"]) == (agent.id, agent.id[:8])
        assert (peer["state"], peer["is_dialer"]) == ("connected", False)
        assert 0 < peer["rtt_ms"] < 1000
        (dialed,) = agent.dashboard()["peers"]
        assert (dialed["id"], dialed["state"], dialed["is_dialer"]) == (relay.id, "connected", True)
        assert dialed["address"] == f"{LOOPBACK}:{relay.accept_port}"


def test_figures_follow_connections(chain):
    for agent in chain.agents:
        stats = agent.stats()
        assert stats.keys() >= STATS_FIELDS
        assert all(type(value) is int for value in stats.values())
        assert stats["peer_count"] == (2 if agent is chain.relay else 1)
        assert stats["route_count"] == 1
    with Service(echo, port=chain.target_port), connect(chain.port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        for agent, count in zip(chain.agents, (1, 0, 1), strict=True):
            stats = agent.stats()
            assert (stats["open_connections"], stats["stream_count"]) == (count, count)
            assert stats["actors"] == chain.baseline[agent.name]["actors"] + count


def test_a_peer_that_is_not_there_is_shown_as_not_connected(mesh):
    alone, absent = mesh.agent("alone"), mesh.agent("absent")
    alone.dial(absent)
    alone.start()
    (peer,) = wait_until(lambda: alone.dashboard()["peers"], "the dialed address is shown")
    assert peer.keys() >= PEER_FIELDS
    assert peer["id"] is peer["short_id"] is peer["rtt_ms"] is None
    assert peer["state"] != "connected"
    assert peer["is_dialer"] is True
    assert peer["address"] == f"{LOOPBACK}:{absent.accept_port}"
    assert alone.stats()["peer_count"] == 0


@pytest.fixture
def mixed(mesh):
    """Agents branch - relay - hq, with listeners and endpoints that do not meet, each for its own reason."""
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    branch.certify(may_use=("good", "wish*", "not-*"))
    hq.certify(may_register=("good", "offer", "barred-use"))
    for key in ("good", "wish", "barred-use", "not-registered"):
        branch.listen(key)
    for key in ("good", "offer", "barred-use", "not-registered"):
        hq.offer(key, 9)
    mesh.start()
    branch.wait_for_route("good")
    return branch, relay, hq


REASONS = {
    "listeners": {
        "wish": "no agent offers this key",
        "barred-use": "the agent's certificate does not permit it to use this key",
        "not-registered": "offered by hq, whose certificate does not permit it",
    },
    "endpoints": {
        "offer": "no agent listens for this key",
        "barred-use": "branch listens for it, but its certificate does not permit that",
        "not-registered": "the agent's certificate does not permit it to register this key",
    },
}


def test_listeners_and_endpoints_that_do_not_meet_are_shown_with_the_reason(mixed):
    branch, _, hq = mixed

    def reasons(document, kind):
        return {entry["key"]: entry["reason"] for entry in document[f"unmatched_{kind}"]}

    for agent in mixed:
        for kind, expected in REASONS.items():
            wait_until(
                lambda agent=agent, kind=kind, expected=expected: (
                    reasons(agent.dashboard(), kind) == expected
                ),
                f"{agent.name} shows unmatched {kind} with reasons",
            )
        document = agent.dashboard()
        assert [entry["key"] for entry in document["forward_routes"]] == ["good"]
        for entry in document["unmatched_listeners"]:
            assert entry.keys() >= LISTENER_FIELDS
            assert (entry["agent"], entry["agent_id"]) == ("branch", branch.id)
            assert entry["listener_address"].startswith(f"{LOOPBACK}:")
        for entry in document["unmatched_endpoints"]:
            assert entry.keys() >= ENDPOINT_FIELDS
            assert (entry["agent"], entry["agent_id"]) == ("hq", hq.id)
            assert entry["target"] == (f"{LOOPBACK}:9" if agent is hq else None)


def test_what_is_cut_off_is_shown_as_cut_off(mixed):
    branch, relay, hq = mixed
    relay.stop()
    for agent, kind in ((branch, "listeners"), (hq, "endpoints")):
        wait_until(
            lambda agent=agent, kind=kind: any(
                entry["key"] == "good" and "no path" in entry["reason"]
                for entry in agent.dashboard()[f"unmatched_{kind}"]
            ),
            f"{agent.name} shows what is cut off",
        )
        assert agent.dashboard()["forward_routes"] == []


def test_every_field_of_a_pairing_and_no_more_is_shown_for_several_exits(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    for agent in (relay, hq):
        agent.offer("a", 9)
    branch.listen("a")
    branch.listen("a")
    hq.listen("a")
    mesh.start()
    branch.wait_for_route("a", hq)
    branch.wait_for_route("a", relay)
    hq.wait_for_route("a", relay)
    found = [
        (entry["ingress_agent"], entry["exit_agent"], entry["hop_count"])
        for entry in branch.dashboard()["forward_routes"]
    ]
    assert sorted(found) == sorted(
        [
            ("branch", "relay", 1),
            ("branch", "relay", 1),
            ("branch", "hq", 2),
            ("branch", "hq", 2),
            ("hq", "hq", 0),
            ("hq", "relay", 1),
        ]
    )
    for entry in branch.dashboard()["forward_routes"]:
        assert entry.keys() == PAIRING_FIELDS
        assert len(entry["path_ids"]) == len(entry["path_display"]) == entry["hop_count"] + 1
        assert entry["path_ids"][0] == entry["ingress_agent_id"]
        assert entry["path_ids"][-1] == entry["exit_agent_id"]


# -- other paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/healthz", "/api/dashboard"])
def test_answers_are_json(chain, path):
    status, body = chain.relay.get(path)
    assert status == HTTPStatus.OK
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("HEAD", "/api/dashboard", {}, HTTPStatus.OK),
        ("POST", "/api/dashboard", {}, HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/nothing/here", {}, HTTPStatus.NOT_FOUND),
        ("GET", "/api/dashboard", {"Host": "rebound.example"}, HTTPStatus.FORBIDDEN),
    ],
)
def test_only_what_is_meant_is_answered(chain, method, path, headers, status):
    client = http.client.HTTPConnection(LOOPBACK, chain.relay.http_port, timeout=5)
    client.request(method, path, headers=headers)
    response = client.getresponse()
    response.read()
    assert response.status == status
    client.close()


# -- without the actors --------------------------------------------------------------------------------------


@pytest.fixture
def stuck(mesh):
    """An agent with a peer whose actors can be held up, and the file that does it."""
    agent, peer = mesh.agent("stuck"), mesh.agent("peer")
    agent.dial(peer)
    marker = agent.folder / "marker"
    peer.start()
    agent.start(marker, program=("-m", "tests.system.stuck_agent"))
    agent.wait_for_peers(peer)
    return agent, peer, marker


def timed(agent, path):
    began = time.monotonic()
    status, body = agent.get(path)
    return status, body, time.monotonic() - began


def test_actors_that_are_stuck_are_shown_as_they_were_and_then_give_503_while_health_is_fine(stuck):
    agent, peer, marker = stuck
    assert agent.get("/ready")[1] == b"ready\n"
    marker.write_text("")
    wait_until(lambda: agent.dashboard()["age_s"] > 1.0, "it is stuck, and shown as it was a second ago")
    status, body, took_s = timed(agent, "/ready")
    assert (status, body[:7]) == (HTTPStatus.OK, b"ready ("), "it may just be busy"
    assert took_s < WITHIN_S + LATE_S
    wait_until(
        lambda: agent.get("/api/dashboard")[0] == HTTPStatus.SERVICE_UNAVAILABLE, "it is stuck for long"
    )
    wait_until(lambda: agent.get("/ready")[0] == HTTPStatus.SERVICE_UNAVAILABLE, "and so it is not ready")
    for path in ("/api/dashboard", "/metrics", "/ready"):
        for _ in range(3):
            status, body, took_s = timed(agent, path)
            assert status == HTTPStatus.SERVICE_UNAVAILABLE
            assert b"unavailable" in body
            assert took_s < WITHIN_S + LATE_S
    for path in ("/health", "/healthz", "/"):
        status, _, took_s = timed(agent, path)
        assert status == HTTPStatus.OK
        assert took_s < WITHIN_S
    marker.unlink()
    wait_until(lambda: agent.get("/api/dashboard")[0] == HTTPStatus.OK, "it answers again")
    agent.wait_for_peers(peer)


def test_many_who_ask_a_stuck_agent_all_hear_within_a_second(stuck):
    agent, _, marker = stuck
    marker.write_text("")
    wait_until(lambda: agent.get("/api/dashboard")[0] == HTTPStatus.SERVICE_UNAVAILABLE, "it is stuck")
    answers = [task.result() for task in [Task(timed, agent, "/api/dashboard") for _ in range(30)]]
    assert {status for status, *_ in answers} == {HTTPStatus.SERVICE_UNAVAILABLE}
    assert max(took_s for *_, took_s in answers) < WITHIN_S + LATE_S
    marker.unlink()
    wait_until(lambda: agent.get("/api/dashboard")[0] == HTTPStatus.OK, "it answers again")


def test_a_stuck_agent_leaves_when_it_is_told_twice(stuck):
    agent, _, marker = stuck
    marker.write_text("")
    agent.process.signal(signal.SIGTERM)
    wait_until(lambda: "shutting down" in agent.process.output, "the first signal is heard")
    agent.process.signal(signal.SIGTERM)
    assert agent.process.wait(PROMPTLY_S) == 128 + signal.SIGTERM


def test_a_route_table_that_died_gives_503_at_most_and_is_back_soon(rough_mesh):
    agent, peer = rough_mesh.agent("stuck"), rough_mesh.agent("peer")
    agent.dial(peer)
    with Service(echo) as service:
        peer.offer("a", service.port)
        port = agent.listen("a")
        marker = agent.folder / "marker"
        peer.start()
        agent.start(marker, program=("-m", "tests.system.stuck_agent"))
        agent.wait_for_route("a")
        before = agent.dashboard()["agent"]["instance"]
        marker.write_text(DIE)
        seen = []

        def reborn():
            status, body, took_s = timed(agent, "/api/dashboard")
            seen.append((status, took_s))
            return status == HTTPStatus.OK and json.loads(body)["agent"]["instance"] != before

        wait_until(reborn, "the agent has started anew")
        assert {status for status, _ in seen} <= {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
        assert max(took_s for _, took_s in seen) < WITHIN_S + LATE_S
        agent.wait_for_route("a")
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
    agent.wait_for_lines_with("DiedAsToldError")
    agent.wait_for_lines_with("the route table has died; starting everything anew")
    assert agent.stop() == 0
