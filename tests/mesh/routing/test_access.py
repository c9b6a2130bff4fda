"""What is said of who may do what is what those who enforce it do."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.agent.access_words import managing, offering, relaying, sentence_of, unoffered
from mesh.connection.rights import why_not_at_exit, why_not_at_ingress
from mesh.routing.access import AccessJudge, May, OwnLists, Question
from mesh.routing.records import EndpointEntry, trusted_record
from mesh.routing.routes import compute_routes
from mesh.routing.shared_paths import SharedPaths
from mesh.trust.certificates import Certificate
from mesh.trust.identity import display_id
from mesh.trust.policy import Gate, Policy
from tests.mesh.routing.graph_company import agent, random_meshes, record_of

UNTIL = 1_800_000_000
NOW = 1_700_000_000.0
KEYS = ("db", "web")
PATTERNS = st.lists(st.sampled_from(("*", "db", "w?b", "other")), max_size=2).map(tuple)
LISTENER = "listener"


def certificate(number, **changes):
    says = {"may_register": ("*",), "may_use": ("*",), "may_relay": True, "groups": ()} | changes
    made = Certificate(
        bytes([number]) * 32,
        f"agent-{number}",
        0,
        UNTIL,
        says["may_register"],
        says["may_use"],
        says["may_relay"],
        False,
        bytes(32),
    )
    return msgspec.structs.replace(made, groups=says["groups"])


ENTRIES = ("agent-0", "agent-1", "group:dba", display_id(certificate(2).agent_id))
LISTS = st.frozensets(st.sampled_from(ENTRIES), max_size=2)


@st.composite
def policed_meshes(draw):
    """Agents with certificates and endpoints of all kinds, and the lists of one of them."""
    records = {}
    for number, (agent_id, plain) in enumerate(draw(random_meshes()).items()):
        granted = certificate(
            number,
            may_register=draw(PATTERNS),
            may_use=draw(PATTERNS),
            may_relay=plain.certificate.may_relay,
            groups=draw(st.sampled_from(((), ("dba",), ("ops", "dba")))),
        )
        keys = draw(st.sets(st.sampled_from(KEYS)))
        body = msgspec.structs.replace(
            plain.body, endpoints=tuple(EndpointEntry(key, None) for key in sorted(keys))
        )
        made = trusted_record(body, granted)
        records[agent_id] = msgspec.structs.replace(made, agent_id=agent_id, round_trips=plain.round_trips)
    lists = {key: draw(LISTS) for key in KEYS}, {key: draw(LISTS) for key in KEYS}
    return records, draw(st.sampled_from(sorted(records))), *lists


def judge_of(records, own_id, allowed, believed, max_hops=16):
    def paths_from_each(sources):
        graph = compute_routes(own_id, records, max_hops=max_hops, version=1).graph
        return SharedPaths(graph, sources, max_hops).paths_from

    offered = frozenset(entry.key for entry in records[own_id].endpoints)
    return AccessJudge(own_id, records, paths_from_each, OwnLists(offered, allowed, believed), NOW)


@given(policed_meshes())
def test_the_answer_is_what_enforcement_does(policed):
    records, own_id, allowed, believed = policed
    judge = judge_of(records, own_id, allowed, believed)
    questions = [
        Question(ingress, key, exit_id)
        for ingress in records
        for key in judge.keys
        for exit_id in judge.exits_of(key)
    ]
    for question, access in zip(questions, judge.judge(questions), strict=True):
        ingress, key, exit_id = question
        routes = compute_routes(ingress, records, max_hops=16, version=1)
        is_candidate = any(each.agent_id == exit_id for each in routes.candidates.get(key, ()))
        at_exit = {key: allowed[key]} if exit_id == own_id and allowed[key] else {}
        at_ingress = {LISTENER: believed[key]} if ingress == own_id and believed[key] else {}
        is_let_in = not why_not_at_exit(records[ingress].certificate, key, Policy(at_exit, {}))
        is_believed = not why_not_at_ingress(
            records[exit_id].certificate, key, LISTENER, Policy({}, at_ingress)
        )
        works = is_candidate and is_let_in and is_believed
        assert (access.may is not May.NO) is works
        assert (access.may is May.YES) is (works and exit_id == own_id)
        assert sentence_of(access).startswith(f"{records[ingress].name} may ")


def pair(*, middle=True, **changes):
    """``agent-0`` - ``agent-1`` - ``agent-2``, which offers ``db``; each with what its certificate says."""
    peers = {0: (1,), 1: (0, 2) if middle else (0,), 2: (1,) if middle else ()}
    records = {}
    for number, others in peers.items():
        plain = record_of(number, dict.fromkeys(others, 0))
        granted = certificate(number, **changes.get(f"agent_{number}", {}))
        keys = ("db",) if number == 2 else ()
        body = msgspec.structs.replace(plain.body, endpoints=tuple(EndpointEntry(key, None) for key in keys))
        records[agent(number)] = msgspec.structs.replace(plain, body=body, certificate=granted)
    return records


def answer(records, own, *, allowed=(), believed=()):
    judge = judge_of(records, agent(own), {"db": frozenset(allowed)}, {"db": frozenset(believed)})
    (access,) = judge.judge([Question(agent(0), "db", agent(2))])
    return access.may, sentence_of(access)


SHUT = {
    "use": (
        {"agent_0": {"may_use": ("web",)}},
        {},
        "its certificate does not let it use the key: it may use 'web'",
    ),
    "use of nothing": ({"agent_0": {"may_use": ()}}, {}, "it may use nothing"),
    "allow": ({}, {"allowed": ["group:dba"]}, "the endpoint's allow: at agent-2 does not name it or a group"),
    "register": (
        {"agent_2": {"may_register": ("web",)}},
        {},
        "the certificate of agent-2 does not let that offer the key: it may offer 'web'",
    ),
    "relay": (
        {"agent_1": {"may_relay": False}},
        {},
        "no path leads to agent-2: agent-1 carries nobody else's connections, as its certificate does not",
    ),
    "way": ({"middle": False}, {}, "no path leads to agent-2 at present"),
}


@pytest.mark.parametrize("gate", SHUT)
def test_each_gate_that_is_shut_is_named_with_what_would_open_it(gate):
    changes, lists, why = SHUT[gate]
    may, sentence = answer(pair(**changes), own=2, **lists)
    assert may is May.NO
    assert sentence.startswith("agent-0 may not use db at agent-2: ")
    assert why in sentence


def test_what_a_listener_believes_is_known_at_its_own_agent():
    assert answer(pair(), own=0, believed=["agent-1"])[0] is May.NO
    assert "agents: does not name agent-2" in answer(pair(), own=0, believed=["agent-1"])[1]
    assert answer(pair(), own=2, believed=["agent-1"])[0] is May.YES


def test_the_sentence_of_what_is_allowed_says_by_what():
    records = pair(agent_0={"may_use": ("web", "d*"), "groups": ("ops", "dba")})
    may, sentence = answer(records, own=2, allowed=["group:dba", "somebody"])
    assert may is May.YES
    assert sentence == (
        "agent-0 may use db at agent-2: its certificate allows 'd*' (until 2027-01-15); "
        "the endpoint at agent-2 allows group 'dba'; "
        "the certificate of agent-2 lets that offer '*'; agent-1 may carry it"
    )
    may, sentence = answer(records, own=1)
    assert may is May.DEPENDS
    assert sentence.startswith("agent-0 may use db at agent-2, if the endpoint's allow: there lets it")


def test_a_certificate_that_has_ended_opens_nothing():
    records = pair()
    judge = AccessJudge(
        agent(2), records, lambda _: lambda __: {}, OwnLists(frozenset(), {}, {}), UNTIL + 1.0
    )
    (access,) = judge.judge([Question(agent(0), "db", agent(2))])
    shut = [
        finding.by for finding in access.findings if finding.gate is Gate.VALIDITY and not finding.is_open
    ]
    assert shut == ["agent-0", "agent-2"]
    assert "the certificate of agent-0 has ended; the certificate of agent-2 has ended" in sentence_of(access)


def test_what_certificates_alone_decide():
    records = pair(agent_0={"may_use": ("d*",), "may_register": (), "may_relay": False})
    one = records[agent(0)]
    assert unoffered(one, "db") == (
        True,
        (
            "agent-0 may use db, which nobody offers that this agent is told of: "
            "its certificate allows 'd*' (until 2027-01-15)"
        ),
    )
    assert not unoffered(one, "web")[0]
    assert offering(one, "db") == (
        False,
        "agent-0 may not offer db: its certificate does not let it: it may offer nothing",
    )
    assert offering(records[agent(2)], "db")[0]
    assert (
        relaying(one)[1] == "agent-0 carries nobody else's connections: its certificate does not let it relay"
    )
    assert relaying(records[agent(1)])[0]
    assert not managing(one)[0]
