"""Metrics with labels, read by Prometheus' own parser."""

import re
from collections import Counter
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.key_meters import KeyMeter
from actors.links.dialer import State
from actors.peer_meters import PeerMeter
from mesh.agent.dashboard import families
from mesh.agent.dashboard.exposition import Family
from mesh.agent.dashboard.metrics import MetricsRenderer
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import (
    DashboardSnapshot,
    Measured,
    PeerStatus,
    ServiceStatus,
    SocksStatus,
)
from mesh.agent.findings import Finding, FindingKind
from mesh.connection.endings import Ending
from mesh.trust.identity import AgentId
from tests.mesh.agent.dashboard.conftest import BRANCH, HQ, NOON, RELAY, three_agents

FAMILIES = [each for each in vars(families).values() if isinstance(each, Family)]

HOSTILE = 'a "key"\\n with \\ and\nsome\rmore} 1'


def scrape(snapshot: DashboardSnapshot) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The samples of each name by their labels; no series comes twice."""
    text = MetricsRenderer("1.2.3").render(snapshot, 0.0).decode()
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in series
            series[labels] = sample.value
    return found


def series(snapshot: DashboardSnapshot, name: str, **labels: str) -> list[float]:
    wanted = set(labels.items())
    return [value for found, value in scrape(snapshot)[name].items() if wanted <= found]


def changed(**fields: Any) -> DashboardSnapshot:
    return msgspec.structs.replace(three_agents(), **fields)


def key_meter(**fields: Any) -> KeyMeter:
    meter = KeyMeter()
    for name, value in fields.items():
        setattr(meter, name, value)
    return meter


def everything() -> DashboardSnapshot:
    """A snapshot that has a series of every family."""
    key, peer = key_meter(open_connections=2, sent_bytes=10, received_bytes=20), PeerMeter()
    key.opening.observe(0.05)
    peer.round_trips.observe(7.0)
    return changed(
        measured=Measured({"api": key}, {HOSTILE: key}, {RELAY: peer}),
        socks=(SocksStatus("127.0.0.1:1080", None),),
    )


def test_prometheus_reads_all_of_it_and_finds_every_family_with_its_kind():
    text = MetricsRenderer("1.2.3").render(everything(), 0.0).decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    for family in FAMILIES:
        assert kinds[family.name.removesuffix("_total")] == family.kind


def test_each_family_is_whole_and_comes_once():
    lines = MetricsRenderer("1.2.3").render(everything(), 0.0).decode().split("\n")
    heads = Counter(line.split()[2] for line in lines if line.startswith("# TYPE "))
    assert set(heads.values()) == {1}
    place = ""
    for line in lines:
        if line.startswith("# TYPE "):
            place = line.split()[2]
        elif line and not line.startswith("#"):
            assert re.match(rf"{place}(_bucket|_sum|_count|_created)?[ {{]", line), (place, line)


def test_names_follow_the_conventions():
    text = MetricsRenderer("1.2.3").render(everything(), 0.0).decode()
    for line in re.findall(r"^# TYPE (mesh_\w+ \w+)$", text, re.MULTILINE):
        name, kind = line.split()
        assert (kind == "counter") is name.endswith("_total"), name
        assert not re.search(r"_(count|sum|bucket|info_total|ms|milliseconds|kib|octets)$", name), name
        stem = name.removesuffix("_total")
        for unit in ("bytes", "seconds"):
            assert f"_{unit}" not in stem or stem.endswith(f"_{unit}"), name
        if kind == "histogram":
            assert name.endswith("_seconds"), name


@pytest.mark.parametrize("number", range(200))
def test_whatever_a_label_holds_is_read_as_it_was(number: int):
    key = "".join(chr(ord(each) ^ (number * 7 % 5)) for each in HOSTILE) + '\\"\n'[: number % 4]
    assert series(changed(measured=Measured({key: KeyMeter()})), "mesh_key_open_connections", key=key) == [0]


def test_who_the_agent_is_and_since_when():
    shown = scrape(three_agents())
    (build,) = shown["mesh_build_info"]
    assert dict(build)["version"] == "1.2.3"
    assert series(three_agents(), "mesh_agent_info", agent="branch", agent_id=BRANCH.hex()) == [1]
    assert series(three_agents(), "mesh_start_time_seconds") == [NOON]


def test_ready_draining_and_the_kinds_of_what_is_wrong():
    shown = three_agents()
    assert series(shown, "mesh_ready") == [1]
    assert series(shown, "mesh_draining") == [0]
    assert set(series(shown, "mesh_problem")) == set(series(shown, "mesh_warning")) == {0}
    shown = changed(
        problems=(Finding(FindingKind.DRAINING, "draining"), Finding(FindingKind.LISTENER, "taken")),
        warnings=(Finding(FindingKind.REFUSING, "refused"),),
        draining=True,
    )
    assert series(shown, "mesh_ready") == [0]
    assert series(shown, "mesh_draining") == [1]
    found = {dict(labels)["kind"]: value for labels, value in scrape(shown)["mesh_problem"].items()}
    assert found.keys() == set(FindingKind) - {"status"}, (
        "a series that is not there cannot be compared with before"
    )
    assert {kind for kind, value in found.items() if value} == {"draining", "listener"}
    assert series(shown, "mesh_warning", kind="refusing") == [1]
    assert sum(series(shown, "mesh_warning")) == 1


@pytest.mark.parametrize("state", ServiceState)
def test_a_listener_is_open_and_an_endpoint_offered_or_not(state: ServiceState):
    one = ServiceStatus("api", "127.0.0.1:1", state, refused_clients=3)
    shown = changed(listeners=(one,), endpoints=(one,))
    is_open = state in (ServiceState.OPEN, ServiceState.REFUSING)
    assert series(shown, "mesh_listener_open", key="api", address="127.0.0.1:1") == [is_open]
    assert series(shown, "mesh_endpoint_offered", key="api") == [state is ServiceState.OFFERED]
    assert series(shown, "mesh_listener_refused_clients") == [3]


def test_exits_that_are_set_aside_are_counted_for_their_listener():
    assert series(three_agents(), "mesh_listener_exits_set_aside", key="api") == [1]


def test_two_listeners_that_look_alike_are_one_series():
    """Neither has its port yet: a scrape that has a series twice is refused as a whole."""
    one = ServiceStatus("api", "127.0.0.1:0", ServiceState.CLOSED)
    assert series(changed(listeners=(one, one)), "mesh_listener_open") == [0]


def test_a_key_asked_for_by_name_is_shown_beside_the_listeners():
    named = ServiceStatus("db", "socks", ServiceState.PARKED)
    shown = changed(named=(named,), socks=(SocksStatus("[::1]:1080", "taken"),))
    assert series(shown, "mesh_listener_open", key="db", address="socks") == [0]
    assert series(shown, "mesh_socks_listener_open", address="[::1]:1080") == [0]


def test_bytes_have_a_direction_that_is_the_same_at_both_ends():
    meter = key_meter(sent_bytes=10, received_bytes=20)
    shown = changed(measured=Measured({"api": meter}, {"api": meter}))
    directions = [
        series(shown, "mesh_key_bytes_total", key="api", end=end, direction=direction)
        for end in ("ingress", "exit")
        for direction in ("to_service", "to_client")
    ]
    assert directions == [[10], [20], [20], [10]]


def test_endings_are_told_apart_and_those_that_did_not_happen_are_0():
    meter = KeyMeter()
    meter.endings[Ending.REFUSED] += 2
    shown = changed(measured=Measured({"api": meter}))
    assert series(shown, "mesh_key_connections_ended_total", ending="refused") == [2]
    assert len(series(shown, "mesh_key_connections_ended_total")) == len(Ending) - 1


def test_a_histogram_is_cumulative_with_bounds_in_seconds():
    meter = KeyMeter()
    for seconds in (0.002, 0.0021, 100.0):
        meter.opening.observe(seconds)
    shown = changed(measured=Measured({"api": meter}))
    name = "mesh_key_opening_seconds"
    counts = [series(shown, f"{name}_bucket", le=le) for le in ("0.002", "0.01", "10.0", "+Inf")]
    assert counts == [[1], [2], [2], [3]]
    assert series(shown, f"{name}_count") == [3]
    assert series(shown, f"{name}_sum") == [pytest.approx(100.0041)]


def test_peers_are_shown_while_they_are_linked_or_should_be():
    peers = (
        *three_agents().peers,
        PeerStatus(HQ, "hq", "lost", None, is_dialer=False, address="192.0.2.9:1"),
        PeerStatus(BRANCH, "", State.ITSELF.value, None, is_dialer=True, address="192.0.2.10:1"),
        PeerStatus(RELAY, "", "dialing", None, is_dialer=True, address="192.0.2.11:1"),
    )
    shown = changed(peers=peers)
    found = {dict(labels)["peer"]: value for labels, value in scrape(shown)["mesh_peer_connected"].items()}
    assert found == {"relay": 1, "lost.example:4433": 0}


def test_a_peer_has_its_bytes_and_round_trips():
    meter = PeerMeter()
    meter.sent_bytes, meter.received_bytes, meter.forwarded_bytes = 1, 2, 3
    meter.round_trips.observe(0.0004)
    shown = changed(measured=Measured(peers={RELAY: meter, AgentId(b"x" * 16): PeerMeter()}))
    one = {"peer": "relay", "peer_id": RELAY.hex()}
    assert series(shown, "mesh_peer_bytes_total", direction="sent", **one) == [1]
    assert series(shown, "mesh_peer_bytes_total", direction="received", **one) == [2]
    assert series(shown, "mesh_peer_forwarded_bytes_total") == [3], "and nobody who has left"
    assert series(shown, "mesh_peer_round_trip_seconds_bucket", le="0.0005", **one) == [1]


def test_a_key_and_a_peer_have_few_series():
    """For an agent may have thousands of keys, and whoever scrapes it keeps every series for years."""

    def lines(keys: int, peers: int) -> int:
        ids = [AgentId(number.to_bytes(16, "big")) for number in range(peers)]
        shown = changed(
            peers=tuple(
                PeerStatus(each, "peer", "connected", 1.0, is_dialer=True, address="[::1]:1") for each in ids
            ),
            measured=Measured(
                {f"key-{number}": KeyMeter() for number in range(keys)},
                peers={each: PeerMeter() for each in ids},
            ),
        )
        return MetricsRenderer("1.2.3").render(shown, 0.0).count(b"\n")

    assert lines(101, 0) - lines(100, 0) <= 24
    assert lines(0, 51) - lines(0, 50) <= 16
