"""What a running agent says, judged: what is wrong, how bad it is, and what to do."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh.agent.control.happenings import ToldEvent
from mesh.agent.control.mesh_rows import AgentRow, CertificateRow
from mesh.agent.control.own_rows import AsideRow, FindingRow, ListenerRow, OwnAgent, PeerRow, Status
from mesh.agent.control.revocation_rows import RevocationRow
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.doctor.check import About, Check, Level, in_order
from mesh.agent.doctor.running import (
    CLOCK_APART_S,
    MAX_TOLD,
    agent_checks,
    certificate_checks,
    clock_checks,
    event_checks,
    peer_checks,
    plan_checks,
    revocation_checks,
    version_checks,
)
from mesh.agent.findings import Severity
from mesh.agent.origin import Origin
from mesh.agent.outcome import Outcome, Verdict
from mesh.journal import EventKind

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAY_S = 86_400
PEER = PeerRow("a" * 32, "a" * 8, "hq", "connected", NOW, 1.0, True, "hq:4433", None, 0.01)
MEMBER = AgentRow(
    id="a" * 32,
    short_id="a" * 8,
    name="hq",
    is_local=False,
    is_peer=True,
    hop_count=1,
    carries_transit=True,
    draining=False,
    links=1,
    endpoints=0,
    listeners=0,
    keys=(),
    certificate_not_after=0,
    version="1.0",
)
LISTENER = ListenerRow(
    key="api",
    address="127.0.0.1:1",
    opened_at="127.0.0.1:1",
    max_connections=0,
    agents=(),
    visibility="mesh",
    origin=Origin.FILE,
    state=ServiceState.OPEN,
    since=NOW,
    problem=None,
    exits=(),
    set_aside=(),
)


def levels(checks):
    return [each.level for each in checks]


def status(*findings):
    me = OwnAgent("b" * 32, "b" * 8, "branch", "1.0", "running", NOW, NOW, 10.0, ())
    return Status(me, not findings, False, NOW, 0.0, findings, (), (), 20, 1_024)


def change(row, **fields):
    return msgspec.structs.replace(row, **fields)


def test_what_the_agent_finds_wrong_is_as_bad_as_it_says():
    found = (
        FindingRow(Severity.PROBLEM, "port taken", "free it", NOW),
        FindingRow(Severity.WARNING, "ends", "", None),
    )
    checks = list(agent_checks(status(*found), [LISTENER]))
    assert [(each.level, each.what, each.remedy) for each in checks] == [
        (Level.PROBLEM, "port taken", "free it"),
        (Level.WARNING, "ends", ""),
    ]
    assert levels(agent_checks(status(), [LISTENER])) == [Level.OK]


def test_an_exit_that_is_set_aside_is_a_warning():
    listener = change(LISTENER, set_aside=(AsideRow("c" * 32, "hq2", "refused", NOW, NOW),))
    (check,) = agent_checks(status(), [listener])
    assert (check.level, "api" in check.what, "hq2" in check.remedy) == (Level.WARNING, True, True)


def test_a_listener_that_refuses_clients_is_a_warning_with_the_reason():
    listener = change(LISTENER, state=ServiceState.PARKED, problem="no agent offers this key")
    (check,) = agent_checks(status(), [LISTENER, listener])
    assert (check.level, check.remedy) == (
        Level.WARNING,
        "see where the way ends: mesh trace api; what there is: mesh services",
    )
    assert check.what == f"listener api at {LISTENER.opened_at} refuses clients: no agent offers this key"


def test_a_peer_without_a_link_is_a_warning():
    lost = change(PEER, state="waiting", problem="connection refused")
    (check,) = peer_checks([PEER, lost])
    assert check.level is Level.WARNING
    assert check.what == "hq at hq:4433: connection refused"
    assert levels(peer_checks([PEER])) == [Level.OK]
    assert not list(peer_checks([]))
    assert len(list(peer_checks([lost] * 1_000))) == MAX_TOLD + 1


@pytest.mark.parametrize("ahead_s", [CLOCK_APART_S + 1, -CLOCK_APART_S - 1])
def test_a_clock_that_differs_is_a_warning_and_this_one_is_suspect_if_all_do(ahead_s):
    wrong = change(PEER, clock_ahead_s=ahead_s)
    (check,) = clock_checks([PEER, wrong])
    assert check.level is Level.WARNING
    assert ("ahead of" if ahead_s > 0 else "behind") in check.what
    assert "this one's may be wrong" in list(clock_checks([wrong, wrong]))[-1].what
    assert levels(clock_checks([PEER])) == [Level.OK]
    assert not list(clock_checks([change(PEER, clock_ahead_s=None)]))


@pytest.mark.parametrize(
    ("life_days", "left_days", "is_told"),
    [(825, 29, True), (825, 31, False), (1, 0.5, False), (1, 0.05, True), (825, -1, True)],
)
def test_a_certificate_is_told_of_when_it_is_time_to_renew_it(life_days, left_days, is_told):
    now = 1_800_000_000.0
    ends = int(now + left_days * DAY_S)
    row = CertificateRow(
        "a" * 32,
        "hq",
        False,
        "",
        "",
        ends - life_days * DAY_S,
        ends,
        (),
        (),
        may_relay=False,
        may_manage=False,
    )
    assert bool(list(certificate_checks([row], now))) is is_told
    assert not list(certificate_checks([change(row, is_local=True)], now))


def test_who_was_revoked_is_worth_knowing_and_a_list_that_is_missing_a_warning():
    def row(name, minute):
        at = NOW + timedelta(minutes=minute)
        return RevocationRow("ab" * 16, name, at, at, "issuer", "A" * 43 + "=", "was stolen")

    assert levels(revocation_checks([], 0)) == [Level.OK]
    (check,) = revocation_checks([row("laptop", 1), row("phone", 2), row("old", 0)], 0)
    assert check.level is Level.NOTE
    assert check.what.startswith("3 agents revoked, at last phone abababab on 2026-11-30 12:02:00 UTC")
    assert check.what.endswith("by the issuer 479e972f: was stolen")
    missing, _ = revocation_checks([], 2)
    assert (missing.level, "2 in all" in missing.what) == (Level.WARNING, True)


def test_two_versions_are_worth_knowing_and_nothing_wrong():
    older = change(MEMBER, name="relay", version="0.9")
    (check,) = version_checks([MEMBER, older, change(MEMBER, name="old", version=None)])
    assert check.level is Level.NOTE
    assert "3 versions: 0.9: relay; 1.0: hq; not told: old" in check.what
    assert levels(version_checks([MEMBER])) == [Level.OK]
    assert "and 90 more" in next(iter(version_checks([*[MEMBER] * 100, older]))).what


def test_events_of_the_last_minutes_are_notes():
    def event(level, minutes, kind=EventKind.LINK):
        return ToldEvent(1, NOW - timedelta(minutes=minutes), kind, level, "lost", {})

    events = [
        event("warning", 60),
        event("info", 1),
        event("error", 1, EventKind.CONNECTION),
        event("error", 2),
    ]
    (check,) = event_checks(events, NOW)
    assert (check.level, "error: lost" in check.what) == (Level.NOTE, True)
    assert levels(event_checks(events[:3], NOW)) == [Level.OK]
    assert len(list(event_checks([event("error", 1)] * 500, NOW))) == MAX_TOLD + 1


def test_a_file_that_says_something_else_is_worth_knowing():
    (check,) = plan_checks(Outcome(Verdict.DONE, added=("endpoint a",)))
    assert (check.level, "endpoint a" in check.what, "reload" in check.remedy) == (Level.NOTE, True, True)
    (check,) = plan_checks(Outcome(Verdict.DONE, at_start=("agent.name",)))
    assert "agent.name" in check.what
    assert not list(plan_checks(Outcome(Verdict.DONE)))


def test_checks_come_by_subject_the_worst_first_and_once():
    event, port = Check(About.EVENTS, Level.NOTE, "event"), Check(About.PORTS, Level.OK, "port")
    wrong = [Check(About.PORTS, level, level.value) for level in (Level.WARNING, Level.PROBLEM)]
    told = [each.what for each in in_order([event, port, *wrong, event, port])]
    assert told == ["problem", "warning", "port", "event"]
