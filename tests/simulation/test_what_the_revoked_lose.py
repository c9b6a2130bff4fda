"""What an agent has of others ends within a second of its revocation: open, opening, asked or carried."""

import pytest

from actors.connections.control_end import ControlEnd
from actors.messages import route_table as route_messages
from actors.messages import steward as messages
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import diamond, mesh_world, three_agents, transit_of
from tests.simulation.test_control import Api, begin, planned
from tests.simulation.test_revocations import LONG, SLOWLY

IN_TIME_S = 1.0


def connections(mesh, name):
    kinds = {"IngressConnection", "ExitConnection", "ControlCall"}
    return [each for each in mesh.actors_on(name) if type(each).__name__ in kinds]


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_a_question_that_is_being_answered_ends_at_both_ends_and_no_other_is_let_in(who):
    with mesh_world(21) as mesh:
        api = Api(at_once=False)
        planned(mesh, api)
        call = begin(mesh)
        mesh.run_until(lambda: api.asked, 5.0)
        assert connections(mesh, "hq")
        mesh.revoke(who, at="relay")
        mesh.run(IN_TIME_S)
        assert not connections(mesh, "hq")
        assert not connections(mesh, "branch")
        api.reply(0)  # too late
        mesh.run(2.0)
        assert isinstance(call.get(timeout=0), messages.CallFailed)
        assert not mesh.actors_on("hq", ControlEnd)
        assert mesh.id_of("hq") not in mesh.snapshot("branch").next_hops


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_clients_whose_connections_are_opening_are_reset(who):
    with mesh_world(22) as mesh:
        three_agents(mesh)
        mesh.network.cut("hq", "service")  # it says neither yes nor no
        talk = mesh.converse(Terms(1, 100, 100))
        mesh.run(2.0)
        assert connections(mesh, "hq")
        assert not talk.heard.is_over
        mesh.revoke(who, at="relay")
        mesh.run_until(lambda: talk.heard.is_over, IN_TIME_S)
        assert talk.heard.error
        mesh.run(IN_TIME_S)
        assert not connections(mesh, "hq")
        assert not connections(mesh, "branch")


def test_through_a_revoked_relay_nothing_goes_any_more_and_what_has_no_other_way_ends():
    with mesh_world(23) as mesh:
        three_agents(mesh)
        talk = mesh.converse(LONG, SLOWLY)
        mesh.run(2.0)
        mesh.revoke("relay", at="hq")
        mesh.run(IN_TIME_S)
        assert mesh.peers("branch") == mesh.peers("hq") == {}
        sent = talk.heard.byte_count
        mesh.run(5.0)
        assert talk.heard.byte_count == sent
        mesh.run_until(lambda: talk.heard.is_over, 60.0)  # connections.reroute_timeout
        assert talk.heard.error


def test_what_crosses_the_revoked_in_both_directions_goes_on_by_another_relay_within_a_second():
    with mesh_world(24) as mesh:
        diamond(mesh)
        for one, other in (("branch", "left"), ("branch", "right")):
            mesh.network.shape(one, other, bytes_per_s=1e6, latency_s=0.005)
        talks = [mesh.converse(Terms(number, 400_000, 8_000_000), Pace(2_000, 0.02)) for number in range(2)]
        mesh.run(1.0)
        relay = transit_of(mesh)
        mesh.revoke(relay, at="hq")
        mesh.run(IN_TIME_S)
        assert transit_of(mesh) != relay

        def heard():
            return [
                each.byte_count for talk in talks for each in (talk.heard, mesh.records[talk.terms.number])
            ]

        before = heard()
        mesh.run(IN_TIME_S)
        assert all(has > had for has, had in zip(heard(), before, strict=True))
        assert not mesh.ask(relay, "route_table", route_messages.GetSnapshot()).next_hops
        mesh.assert_nothing_wrong()
