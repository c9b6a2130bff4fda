"""Pairings if many agents offer a key or listen for it."""

from itertools import pairwise
from typing import ClassVar

import pytest

from mesh.routing.pairings import (
    MAX_EXITS_COMPARED,
    MAX_EXITS_SHOWN,
    MAX_INGRESSES_COMPARED,
    find_pairings,
)
from tests.mesh.routing.pairing_company import Agent, Endpoint, Grant, Listener, agent_id, pair


def crowd(count: int, role: str, **has: object) -> list[Agent]:
    return [Agent(f"{role}-{number:05}", **has) for number in range(count)]


@pytest.mark.parametrize("count", [MAX_EXITS_COMPARED, MAX_EXITS_COMPARED + 1, 3 * MAX_EXITS_COMPARED])
def test_of_many_exits_a_listener_is_paired_with_the_nearest_and_the_others_are_counted(count: int):
    chain = crowd(count, "exit", endpoints=(Endpoint("api"),))
    ingress = Agent("branch", listeners=(Listener("api", ":1"), Listener("api", ":2"), Listener("api", ":1")))
    links = [("branch", chain[0].name)] + [(one.name, other.name) for one, other in pairwise(chain)]
    found = pair([*reversed(chain), ingress], links, "branch")
    assert [(one.listener_address, one.exit_name, one.hop_count) for one in found.matched] == [
        (address, chain[place].name, place + 1)
        for address in (":1", ":2")
        for place in range(MAX_EXITS_SHOWN)
    ]
    assert found.left_out == 2 * (count - MAX_EXITS_SHOWN)
    assert found.unmatched_endpoints == found.unmatched_listeners == ()


def test_its_own_endpoint_is_the_nearest_of_many():
    exits = crowd(2 * MAX_EXITS_COMPARED, "exit", endpoints=(Endpoint("api"),), listeners=(Listener("api"),))
    found = pair(exits, [(exits[0].name, one.name) for one in exits[1:]], exits[5].name)
    nearest = {one.ingress_name: one.exit_name for one in found.matched if one.hop_count == 0}
    assert nearest == {one.name: one.name for one in exits}


def test_of_many_exits_those_out_of_reach_are_told_so():
    exits = crowd(2 * MAX_EXITS_COMPARED, "exit", endpoints=(Endpoint("api"),))
    found = pair([*exits, Agent("own", listeners=(Listener("api"),))], [("own", exits[7].name)], "own")
    assert [one.exit_name for one in found.matched] == [exits[7].name]
    assert {one.agent_name for one in found.unmatched_endpoints} == {one.name for one in exits} - {
        exits[7].name
    }


def test_a_reason_names_a_few_and_counts_the_others():
    exits = crowd(1_000, "exit", endpoints=(Endpoint("api"),), certificate=Grant(may_register=()))
    found = pair([*exits, Agent("own", listeners=(Listener("api"),))], [], "own")
    [idle] = found.unmatched_listeners
    assert idle.reason == (
        "offered by exit-00000, exit-00001, exit-00002 and 997 more, whose certificate does not permit it"
    )


class Counted(dict):
    """Paths of one agent to all, which count how often they are looked at."""

    looks = 0

    def __iter__(self):
        for each in super().__iter__():
            Counted.looks += 1
            yield each

    def get(self, key, default=None):
        Counted.looks += 1
        return super().get(key, default)


class CountedGrant(Grant, frozen=True):
    asked: ClassVar[list[str]] = []

    def allows_register(self, key: str) -> bool:
        self.asked.append(key)
        return super().allows_register(key)

    def allows_use(self, key: str) -> bool:
        self.asked.append(key)
        return super().allows_use(key)


@pytest.mark.parametrize(
    ("listeners", "ingresses", "exits"),
    [(1_000, 1, 1), (1, 1_000, 1), (1, 1, 1_000), (1_000, 1, 1_000), (1, 1_000, 1_000), (30, 30, 1_000)],
)
@pytest.mark.parametrize("may_use", [("*",), ()])
def test_work_and_output_grow_with_each_list_and_not_with_their_product(
    listeners: int, ingresses: int, exits: int, may_use: tuple[str, ...]
):
    has = tuple(Listener("api", f":{port}") for port in range(listeners))
    grant = CountedGrant(may_use=may_use)
    agents = [
        *crowd(ingresses, "ingress", listeners=has, certificate=grant),
        *crowd(exits, "exit", endpoints=(Endpoint("api"),), certificate=CountedGrant()),
    ]
    # Exits first, as they are where they are near.
    paths = Counted((one.agent_id, (agent_id("hub"), one.agent_id)) for one in reversed(agents))
    Counted.looks = 0
    CountedGrant.asked.clear()
    found = find_pairings(
        agents[0].agent_id, {one.agent_id: one for one in agents}, lambda _: lambda _: paths
    )
    all_listeners = listeners * ingresses
    assert len(CountedGrant.asked) == ingresses + exits
    assert Counted.looks <= 4 * MAX_EXITS_SHOWN * ingresses + 2 * exits + ingresses + 100
    shown = min(exits, MAX_EXITS_SHOWN) * all_listeners
    assert len(found.matched) == (shown if may_use else 0)
    assert len(found.matched) + found.left_out == (all_listeners * exits if may_use else 0)
    assert len(found.unmatched_listeners) == (0 if may_use else all_listeners)
    assert sum(len(one.reason) for one in found.unmatched_endpoints) <= 200 * exits


def test_exits_that_nobody_reaches_are_not_looked_for_among_everybodys_paths():
    listening = crowd(1_000, "ingress", listeners=(Listener("api"),))
    cut_off = crowd(1_000, "exit", endpoints=(Endpoint("api"),))
    paths = Counted((one.agent_id, (agent_id("hub"), one.agent_id)) for one in listening)
    Counted.looks = 0
    agents = {one.agent_id: one for one in [*listening, *cut_off]}
    found = find_pairings(listening[0].agent_id, agents, lambda _: lambda _: paths)
    assert len(found.unmatched_endpoints) == len(found.unmatched_listeners) == 1_000
    assert Counted.looks <= (MAX_INGRESSES_COMPARED + 1) * 1_000 + 2_000
