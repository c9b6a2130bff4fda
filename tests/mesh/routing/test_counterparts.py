"""Why nobody serves a listener: the log says what the page says."""

from unittest import mock

import msgspec
import pytest

from mesh.hops import DEFAULT_MAX_HOPS
from mesh.routing.counterparts import (
    MAX_KEYS_COMPARED,
    NO_OFFER,
    NO_WAY,
    by_way_of,
    why_disbelieved,
    why_unoffered,
    with_likely_key,
)
from mesh.routing.pairings import find_pairings
from mesh.routing.records import EndpointEntry, ListenerEntry
from mesh.routing.routes import InVain, compute_routes
from tests.mesh.routing.graph_company import agent, mesh

KEY = "db"
APART = "offered by agent-3, but no path leads there"


def routes_with(*, offered_by=(), denied_to=(), may_use=("*",), key=KEY):
    """Agents 1 and 2 are linked, and 3 to 7 among themselves; 1 listens for the key."""
    links = [(1, 2, 0), *((3, number, 0) for number in range(4, 8))]
    records = mesh(*links)
    for number in (*offered_by, *denied_to):
        record = records[agent(number)]
        granted = () if number in denied_to else ("*",)
        records[agent(number)] = msgspec.structs.replace(
            record,
            body=msgspec.structs.replace(record.body, endpoints=(EndpointEntry(KEY, None),)),
            certificate=msgspec.structs.replace(record.certificate, may_register=granted),
            offered_keys=() if number in denied_to else (KEY,),
            denied_keys=(KEY,) if number in denied_to else (),
        )
    own = records[agent(1)]
    records[agent(1)] = msgspec.structs.replace(
        own,
        body=msgspec.structs.replace(own.body, listeners=(ListenerEntry(key, "127.0.0.1:1"),)),
        certificate=msgspec.structs.replace(own.certificate, may_use=may_use),
    )
    return compute_routes(agent(1), records, max_hops=DEFAULT_MAX_HOPS, version=1)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, NO_OFFER),
        ({"offered_by": (3,)}, APART),
        ({"denied_to": (2,)}, "offered by agent-2, whose certificate does not permit it"),
        (
            {"offered_by": (3,), "denied_to": (2, 4)},
            f"{APART}; offered by agent-2, agent-4, whose certificate does not permit it",
        ),
        (
            {"offered_by": (3, 4, 5, 6, 7)},
            "offered by agent-3, agent-4, agent-5 and 2 more, but no path leads there",
        ),
    ],
)
def test_the_log_has_the_reason_of_the_page(found, reason):
    routes = routes_with(**found)
    (listener,) = find_pairings(routes.own_id, routes.records, routes.paths_from_each).unmatched_listeners
    assert why_unoffered(routes, KEY) == listener.reason == reason


def test_offers_that_a_listener_does_not_believe_are_named():
    assert why_disbelieved(["hq"]) == "offered by hq, which is not in agents:"
    assert why_disbelieved(["b", "a"]) == "offered by a, b, which are not in agents:"


def test_routes_are_counted_as_far_as_the_agent_may_use_them():
    assert routes_with(offered_by=(2,)).usable_count == 1
    assert routes_with(offered_by=(2, 3)).usable_count == 1, "3 is out of reach"
    assert routes_with(offered_by=(2,), may_use=("web-*",)).usable_count == 0
    assert routes_with(denied_to=(2,)).usable_count == 0


def test_a_reason_costs_as_much_as_there_are_offers_however_many_ask():
    looked_at = []

    class Offering:
        def __init__(self, number: int) -> None:
            self._name = f"agent-{number:05}"

        @property
        def name(self) -> str:
            looked_at.append(self._name)
            return self._name

    routes = routes_with()
    barred = [Offering(number) for number in range(1_000)]
    with mock.patch.object(type(routes), "offering_in_vain", return_value=InVain([], barred)):
        for _ in range(1_000):
            assert "agent-00000, agent-00001, agent-00002 and 997 more" in why_unoffered(routes, KEY)
    assert len(looked_at) == 1_000


def test_an_exit_is_named_with_the_relays_that_lead_there():
    records = mesh((1, 2, 0), (2, 3, 0), (3, 4, 0), (6, 7, 0))
    routes = compute_routes(agent(1), records, max_hops=DEFAULT_MAX_HOPS, version=1)
    assert [by_way_of(routes, agent(number)) for number in (1, 2, 3, 4, 7)] == [
        "on this very agent",
        "by a link of this agent's own",
        "by way of agent-2",
        "by way of agent-2, agent-3",
        NO_WAY,
    ]


@pytest.mark.parametrize(("key", "hint"), [("postgres-mian", True), ("web", False)])
def test_a_key_that_may_be_misspelled_is_told_with_the_one_that_is_meant(key, hint):
    routes = routes_with(key=key)
    record = routes.records[agent(2)]
    offering = msgspec.structs.replace(
        record,
        body=msgspec.structs.replace(record.body, endpoints=(EndpointEntry("postgres-main", None),)),
        offered_keys=("postgres-main",),
    )
    records = dict(routes.records) | {agent(2): offering}
    routes = compute_routes(agent(1), records, max_hops=DEFAULT_MAX_HOPS, version=1)
    (listener,) = find_pairings(routes.own_id, routes.records, routes.paths_from_each).unmatched_listeners
    reason = f"{NO_OFFER}; is 'postgres-main' meant?" if hint else NO_OFFER
    assert why_unoffered(routes, key) == listener.reason == reason


def test_among_very_many_keys_nobody_guesses():
    keys = ["postgres-main", *(f"key-{number}" for number in range(MAX_KEYS_COMPARED))]
    assert with_likely_key(NO_OFFER, "postgres-mian", keys) == NO_OFFER


def test_no_likely_key_is_sought_for_a_long_one_as_somebody_hostile_may_offer_what_is_hard_to_compare():
    for length, expected in ((40, "; is {!r} meant?"), (41, "")):
        key, offered = "ab" * length, "ab" * (length // 2) + "a"
        key = key[:length]
        assert with_likely_key(NO_OFFER, key, [offered]) == NO_OFFER + expected.format(offered)
