"""Pairings against a small mesh drawn by hand, and against a brute-force judge over random ones."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.counterparts import CUT_OFF, NO_LISTENER, NO_OFFER, NO_REGISTER, NO_USE
from mesh.routing.pairings import Pairing, Pairings, find_pairings
from mesh.routing.shared_paths import Paths
from mesh.trust.identity import AgentId
from tests.mesh.routing.pairing_company import Agent, Endpoint, Grant, Listener, agent_id, pair

CHAIN = [("branch", "relay"), ("relay", "hq")]


def test_a_pairing_across_a_relay_shows_its_whole_path():
    agents = [
        Agent("branch", listeners=(Listener("api"),)),
        Agent("relay"),
        Agent("hq", endpoints=(Endpoint("api", "localhost:3000"),)),
    ]
    found = pair(agents, CHAIN, "relay")
    assert found == Pairings(
        matched=(
            Pairing(
                key="api",
                ingress_id=agent_id("branch"),
                ingress_name="branch",
                listener_address="127.0.0.1:8000",
                exit_id=agent_id("hq"),
                exit_name="hq",
                target="localhost:3000",
                path_ids=(agent_id("branch"), agent_id("relay"), agent_id("hq")),
                path_names=("branch", "relay", "hq"),
            ),
        ),
        unmatched_listeners=(),
        unmatched_endpoints=(),
    )
    assert found.matched[0].hop_count == 2


def test_both_ends_on_one_agent_are_no_hop_apart():
    found = pair([Agent("solo", (Endpoint("api", None),), (Listener("api"),))], [], "solo")
    assert [(pairing.hop_count, pairing.path_names, pairing.target) for pairing in found.matched] == [
        (0, ("solo",), None)
    ]


def test_an_agent_reaches_itself_even_where_the_path_search_leaves_it_out():
    solo = Agent("solo", (Endpoint("api"),), (Listener("api"),))
    found = find_pairings(solo.agent_id, {solo.agent_id: solo}, lambda _: lambda start: {})
    assert [pairing.path_ids for pairing in found.matched] == [(solo.agent_id,)]


def test_every_listener_pairs_with_every_exit_of_its_key_nearest_first():
    agents = [
        Agent("branch", listeners=(Listener("api", "127.0.0.1:2"), Listener("api", "127.0.0.1:1"))),
        Agent("relay", (Endpoint("api"),)),
        Agent("hq", (Endpoint("api"),), (Listener("api"),)),
    ]
    found = pair(agents, CHAIN, "branch")
    assert [
        (pairing.ingress_name, pairing.listener_address, pairing.exit_name, pairing.hop_count)
        for pairing in found.matched
    ] == [
        ("branch", "127.0.0.1:1", "relay", 1),
        ("branch", "127.0.0.1:1", "hq", 2),
        ("branch", "127.0.0.1:2", "relay", 1),
        ("branch", "127.0.0.1:2", "hq", 2),
        ("hq", "127.0.0.1:8000", "hq", 0),
        ("hq", "127.0.0.1:8000", "relay", 1),
    ]


def test_who_has_no_counterpart_is_told_so():
    found = pair([Agent("branch", (Endpoint("b"),), (Listener("a"),))], [], "branch")
    assert [(one.key, one.reason) for one in found.unmatched_listeners] == [("a", NO_OFFER)]
    assert [(one.key, one.reason) for one in found.unmatched_endpoints] == [("b", NO_LISTENER)]


def test_a_certificate_that_does_not_permit_the_use_is_named_on_both_sides():
    agents = [
        Agent("branch", listeners=(Listener("api"),), certificate=Grant(may_use=("db-*",))),
        Agent("hq", (Endpoint("api"),)),
    ]
    found = pair(agents, [("branch", "hq")], "branch")
    assert found.matched == ()
    assert [one.reason for one in found.unmatched_listeners] == [NO_USE]
    assert [one.reason for one in found.unmatched_endpoints] == [
        "branch listens for it, but its certificate does not permit that"
    ]


def test_a_certificate_that_does_not_permit_the_offer_is_named_on_both_sides():
    agents = [
        Agent("branch", listeners=(Listener("api"),)),
        Agent("hq", (Endpoint("api"),), certificate=Grant(may_register=())),
    ]
    found = pair(agents, [("branch", "hq")], "branch")
    assert found.matched == ()
    assert [one.reason for one in found.unmatched_listeners] == [
        "offered by hq, whose certificate does not permit it"
    ]
    assert [one.reason for one in found.unmatched_endpoints] == [NO_REGISTER]


def test_agents_that_reach_us_but_not_each_other_say_that_no_path_leads_there():
    agents = [
        Agent("branch", listeners=(Listener("api"),)),
        Agent("middle"),
        Agent("hq", (Endpoint("api"),)),
    ]

    def no_transit(start: AgentId) -> Paths:
        ends = {agent_id("branch"), agent_id("hq")} if start == agent_id("middle") else {agent_id("middle")}
        return {start: (start,)} | {end: (start, end) for end in ends}

    found = find_pairings(
        agent_id("middle"), {agent.agent_id: agent for agent in agents}, lambda _: no_transit
    )
    assert found.matched == ()
    assert [one.reason for one in found.unmatched_listeners] == ["offered by hq, but no path leads there"]
    assert [one.reason for one in found.unmatched_endpoints] == [
        "branch listens for it, but no path leads here from there"
    ]


def test_a_part_of_the_mesh_that_is_cut_off_from_us_is_not_believed():
    agents = [
        Agent("own", listeners=(Listener("api"),)),
        Agent("far-listener", listeners=(Listener("api"),)),
        Agent("far-endpoint", (Endpoint("api"),)),
    ]
    found = pair(agents, [("far-listener", "far-endpoint")], "own")
    assert found.matched == ()
    assert [(one.agent_name, one.reason) for one in found.unmatched_listeners] == [
        ("far-listener", CUT_OFF),
        ("own", "offered by far-endpoint, but no path leads there"),
    ]
    assert [one.reason for one in found.unmatched_endpoints] == [CUT_OFF]


def test_a_transit_agent_without_a_record_is_shown_by_its_id():
    branch = Agent("branch", listeners=(Listener("api"),))
    hq = Agent("hq", (Endpoint("api"),))
    paths = {hq.agent_id: (branch.agent_id, AgentId(b"\xab" * 16), hq.agent_id)}
    agents = {agent.agent_id: agent for agent in (branch, hq)}
    found = find_pairings(branch.agent_id, agents, lambda _: lambda start: paths)
    assert [pairing.path_names for pairing in found.matched] == [("branch", "abababab", "hq")]


KEYS = st.sampled_from(["a", "b", "c"])
GRANTS = st.lists(st.sampled_from(["*", "a", "b"]), max_size=2).map(tuple)


@st.composite
def meshes(draw: st.DrawFn) -> tuple[list[Agent], list[tuple[str, str]]]:
    names = [f"agent-{number}" for number in range(draw(st.integers(1, 6)))]
    agents = [
        Agent(
            name,
            endpoints=tuple(Endpoint(key) for key in sorted(draw(st.sets(KEYS)))),
            listeners=tuple(
                Listener(key, f"127.0.0.1:{port}")
                for port, key in enumerate(draw(st.lists(KEYS, max_size=3)))
            ),
            certificate=Grant(draw(GRANTS), draw(GRANTS)),
        )
        for name in names
    ]
    pairs = [(one, other) for one in names for other in names if one < other]
    return agents, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


@given(meshes())
def test_each_listener_and_endpoint_shows_up_matched_or_unmatched_and_never_both(
    mesh: tuple[list[Agent], list[tuple[str, str]]],
):
    agents, links = mesh
    found = pair(agents, links, agents[0].name)
    served = {(one.ingress_name, one.key, one.listener_address) for one in found.matched}
    idle = {(one.agent_name, one.key, one.address) for one in found.unmatched_listeners}
    assert served.isdisjoint(idle)
    assert served | idle == {
        (agent.name, one.key, one.address) for agent in agents for one in agent.listeners
    }
    used = {(one.exit_name, one.key) for one in found.matched}
    unused = {(one.agent_name, one.key) for one in found.unmatched_endpoints}
    assert used.isdisjoint(unused)
    assert used | unused == {(agent.name, one.key) for agent in agents for one in agent.endpoints}


@given(meshes())
def test_a_pairing_stands_exactly_where_grants_and_a_chain_of_links_allow_it(
    mesh: tuple[list[Agent], list[tuple[str, str]]],
):
    agents, links = mesh
    joined = {frozenset(link) for link in links}
    islands = {agent.name: {agent.name} for agent in agents}
    for one, other in links:
        union = islands[one] | islands[other]
        for name in union:
            islands[name] = union
    found = pair(agents, links, agents[0].name)
    expected = {
        (ingress.name, listener.address, listener.key, exit_agent.name)
        for ingress in agents
        for exit_agent in agents
        for listener in ingress.listeners
        for endpoint in exit_agent.endpoints
        if listener.key == endpoint.key
        and {ingress.name, exit_agent.name} <= islands[agents[0].name]
        and ingress.certificate.allows_use(listener.key)
        and exit_agent.certificate.allows_register(endpoint.key)
    }
    actual = [(one.ingress_name, one.listener_address, one.key, one.exit_name) for one in found.matched]
    assert len(actual) == len(set(actual))
    assert set(actual) == expected
    for one in found.matched:
        assert (one.path_names[0], one.path_names[-1]) == (one.ingress_name, one.exit_name)
        steps = zip(one.path_names, one.path_names[1:], strict=False)
        assert all(frozenset(step) in joined for step in steps)
