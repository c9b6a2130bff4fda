"""The root actor: an agent's configuration changes while it runs."""

import gc
from pathlib import Path
from typing import Any

import msgspec
import pykka
import pytest

from actors.links.peer_directory import HANG_UP_S, RETIRE_AFTER_S
from actors.messages import agent as messages
from actors.root.reconfiguration import BUSY, LEAVING, STARTED_ANEW
from actors.runtime.seam import ConnectFailed
from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    AgentSection,
    Config,
    EndpointSection,
    ForwardSection,
    HealthCheckSection,
    LimitsSection,
    ListenerSection,
    PeerSection,
    RoutingSection,
)
from mesh.connection.stream import StreamBudget
from tests.actors.company import IDENTITIES, start
from tests.actors.links.link_company import RawPeer
from tests.actors.root.root_mesh import KEY, PEER_PORT, PORT, RESET, running_mesh

OTHER = TcpAddress("other", 81)


@pytest.fixture
def mesh(caplog):
    yield from running_mesh(caplog)


def running(mesh: Any, name: str) -> Config:
    return mesh.roots[name]._surroundings.setup.config


def configure(mesh: Any, name: str, config: Config, *resets: str) -> Any:
    """The answer's future."""
    return mesh.world.ask(mesh.roots[name].ref, messages.Configure(config, frozenset(resets)))


def change(
    mesh: Any, name: str, limit_s: float = 10.0, *, resets: tuple[str, ...] = (), **sections: Any
) -> messages.Configured:
    """Change sections of an agent's configuration; what came of it, all of which must have been done."""
    answer = configure(mesh, name, msgspec.structs.replace(running(mesh, name), **sections), *resets)
    mesh.world.run_while(lambda: not answered(answer), limit_s)
    done = answer.get(timeout=0)
    assert done.problems == ()
    mesh.run(1.0)
    return done


def answered(future: Any) -> bool:
    try:
        future.get(timeout=0)
    except pykka.Timeout:
        return False
    return True


def endpoint(**values: Any) -> ForwardSection:
    section = EndpointSection(**{"key": KEY, "target": TcpAddress("service", 80), **values})
    return ForwardSection(endpoints=(section,))


def listener(*ports: int, **values: Any) -> ForwardSection:
    return ForwardSection(
        listeners=tuple(ListenerSection(key=KEY, address=TcpAddress("", port), **values) for port in ports)
    )


def talks(mesh: Any, client: Any, service: Any) -> bool:
    """Whether a connection goes on."""
    before = len(service.received), len(client.received)
    client.send(b"more")
    service.send(b"mehr")
    mesh.run(0.5)
    return (len(service.received), len(client.received)) == (before[0] + 4, before[1] + 4)


def test_what_is_not_different_is_not_touched(mesh):
    client, service = mesh.converse()
    actors = {name: set(map(id, mesh.world.dispatcher(name).actors)) for name in mesh.roots}
    for name in mesh.roots:
        assert configure(mesh, name, running(mesh, name)).get(timeout=0).made.is_empty
    change(mesh, "branch", forward=listener(PORT, 7000))
    change(
        mesh, "relay", accept=(*running(mesh, "relay").accept, AcceptSection(address=TcpAddress("", 5000)))
    )
    assert talks(mesh, client, service)
    for name, before in actors.items():
        assert before <= set(map(id, mesh.world.dispatcher(name).actors))


def test_a_listener_comes_and_goes_and_its_clients_stay(mesh):
    change(mesh, "branch", forward=listener(PORT, 7000))
    client, service = mesh.converse()
    done = change(mesh, "branch", forward=listener(7000))
    assert list(done.made.removed) == [f"listener {KEY} :{PORT}"]
    assert isinstance(mesh.connect(), ConnectFailed)
    assert talks(mesh, client, service)
    assert mesh.ports("branch") == {f"listener {KEY} :7000": None}
    change(mesh, "branch", forward=listener(PORT))
    assert talks(mesh, *mesh.converse())


def test_with_a_listener_go_its_clients_alone_if_that_is_wanted(mesh):
    change(mesh, "branch", forward=listener(PORT, 7000))
    client, service = mesh.converse()
    change(mesh, "branch", forward=listener(7000), resets=(f"listener {KEY} :7000",))  # which does not go
    assert talks(mesh, client, service)
    change(mesh, "branch", forward=listener(PORT, 7000))
    second, its_service = mesh.converse()
    done = change(mesh, "branch", forward=listener(7000), resets=(f"listener {KEY} :{PORT}",))
    assert list(done.made.removed) == [f"listener {KEY} :{PORT}"]
    assert [each.end for each in (client, service, second, its_service)] == [RESET] * 4
    assert mesh.counts("branch") == mesh.counts("hq") == (0, 0, 0)


def test_a_port_goes_from_one_service_to_another_at_once(mesh):
    section = ListenerSection(key="another", address=TcpAddress("", PORT))
    change(mesh, "branch", forward=ForwardSection(listeners=(section,)), accept=())
    assert mesh.ports("branch") == {f"listener another :{PORT}": None}
    change(mesh, "branch", forward=ForwardSection(), accept=(AcceptSection(address=TcpAddress("", PORT)),))
    assert mesh.ports("branch") == {f"acceptor :{PORT}": None}


def test_an_endpoint_goes_at_once_for_new_connections_and_the_open_one_stays(mesh):
    client, service = mesh.converse()
    change(mesh, "hq", forward=ForwardSection())
    assert KEY not in mesh.snapshot("branch").candidates
    assert isinstance(mesh.connect(), ConnectFailed)
    assert talks(mesh, client, service)
    change(mesh, "hq", forward=endpoint())
    mesh.run(1.0)
    assert talks(mesh, *mesh.converse())


def test_another_target_is_for_new_connections_and_the_key_is_offered_all_the_time(mesh):
    client, service = mesh.converse()
    other = mesh.world.dispatcher(OTHER.host).bind(TcpAddress("", OTHER.port))
    other.listen()
    change(mesh, "hq", forward=endpoint(target=OTHER))
    newcomer = mesh.connect()
    newcomer.send(b"hello")
    mesh.run(0.5)
    served = start(mesh.world, RawPeer, other.accept(), None, False, host=OTHER.host)
    mesh.run(0.1)
    assert bytes(served.received) == b"hello"
    assert talks(mesh, client, service)
    mesh.actor("hq", "Endpoint").ref.stop(block=False)  # and as a crash leaves it
    mesh.run(5.0)
    assert mesh.actor("hq", "Endpoint")._target == OTHER


def test_a_target_that_is_checked_is_offered_until_its_check_fails(mesh):
    check = HealthCheckSection(interval_s=1.0, timeout_s=0.5)
    change(mesh, "hq", forward=endpoint(health_check=check))
    assert KEY in mesh.snapshot("branch").candidates
    change(mesh, "hq", forward=endpoint(health_check=check, target=TcpAddress("service", 99)))
    assert KEY not in mesh.snapshot("branch").candidates
    change(mesh, "hq", forward=endpoint(health_check=check))
    mesh.run(1.0)
    assert KEY in mesh.snapshot("branch").candidates
    change(mesh, "hq", forward=endpoint(target=TcpAddress("service", 99)))
    assert KEY in mesh.snapshot("branch").candidates
    assert mesh.ports("hq").get(f"endpoint {KEY}") is None


def test_a_limit_counts_those_who_came_before_it(mesh):
    first = mesh.converse()
    second = mesh.converse()
    change(mesh, "hq", forward=endpoint(max_connections=2))
    third = mesh.connect()
    third.send(b"hello")
    mesh.run(3.0)
    assert third.end
    second[0].socket.abort()
    mesh.run(1.0)
    assert talks(mesh, *mesh.converse())
    assert talks(mesh, *first)
    change(mesh, "branch", forward=listener(PORT, max_connections=2))
    refused = mesh.connect()
    mesh.run(3.0)
    assert refused.end
    assert talks(mesh, *first)


def test_whom_an_endpoint_allows_is_asked_anew_for_each_connection_and_those_that_are_open(mesh):
    client, _ = mesh.converse()
    change(mesh, "hq", forward=endpoint(allow=("relay",)))
    newcomer = mesh.connect()
    mesh.run(3.0)
    assert newcomer.end
    assert client.end
    change(mesh, "hq", forward=endpoint(allow=("branch",)))
    mesh.run(30.0)  # the exit is set aside for a while
    assert talks(mesh, *mesh.converse())


def test_a_peer_that_is_not_one_any_more_is_let_go_of_and_dialed_again_when_it_is(mesh):
    peers = running(mesh, "hq").peers
    change(mesh, "hq", peers=())
    assert mesh.kinds("hq")["Dialer"] == 0
    assert mesh.kinds("hq")["PeerLink"] == 1, "what is under way still arrives"
    mesh.run(HANG_UP_S + RETIRE_AFTER_S)
    assert mesh.kinds("hq")["PeerLink"] == 0
    change(mesh, "hq", peers=peers)
    mesh.run(2.0)
    assert talks(mesh, *mesh.converse())


def test_a_pin_that_is_right_touches_nothing_and_a_wrong_one_closes_the_link(mesh):
    client, service = mesh.converse()
    [link] = mesh.links("hq")
    relay = TcpAddress("relay", PEER_PORT)
    change(mesh, "hq", peers=(PeerSection(address=relay, id=mesh.identity("relay").id),))
    assert link.ref.is_alive()
    assert talks(mesh, client, service)
    change(mesh, "hq", peers=(PeerSection(address=relay, id=IDENTITIES[4].id),))
    mesh.run(HANG_UP_S + RETIRE_AFTER_S + 1.0)
    assert not link.ref.is_alive()
    mesh.run(5.0)
    assert mesh.kinds("hq")["PeerLink"] == 0
    change(mesh, "hq", peers=(PeerSection(address=relay),))
    mesh.run(6.0)
    assert talks(mesh, *mesh.converse())


def test_limits_change_and_what_cannot_change_is_named_again_and_again(mesh):
    limits = LimitsSection(
        stream_buffer_bytes=1 << 24,
        relay_buffer_bytes=1 << 23,
        pending_opens=7,
        unauthenticated_links=9,
    )
    for _ in range(2):
        done = change(mesh, "relay", limits=limits, agent=AgentSection(data_dir=Path("/elsewhere")))
        assert done.made.at_start == ("agent.data_dir",)
    assert mesh.actor("relay", "ConnectionTable")._admission._by_link.limit == 7
    [acceptor] = [each for each in mesh.world.dispatcher("relay").actors if type(each).__name__ == "Acceptor"]
    assert (acceptor._stranger_places.most, acceptor._link_places.most) == (9, 9)
    budget = mesh.budgets["relay"]
    assert (budget.limit_bytes, budget.share_bytes) == (1 << 24, StreamBudget(1 << 24).share_bytes)
    around = mesh.roots["relay"]._surroundings
    assert (around.relay_budget.limit_bytes, around.relay_budget.free_bytes) == (1 << 23, 1 << 23)


def test_an_agent_that_shall_not_relay_any_more_carries_nothing_from_then_on_until_it_shall(mesh):
    client, service = mesh.converse()
    change(mesh, "relay", agent=AgentSection(relay=False))
    assert not mesh.record("relay", at="hq").body.relays
    assert KEY not in mesh.snapshot("branch").candidates
    assert isinstance(mesh.connect(), ConnectFailed)
    [(links, _)] = {(len(each._forwarding._links), each._link.state) for each in mesh.links("relay")}
    assert links == 0
    assert not talks(mesh, client, service)
    change(mesh, "relay", agent=AgentSection(relay=True))
    mesh.run(3.0)
    assert (bytes(client.received), bytes(service.received)) == (b"mehr", b"hellomore")
    assert talks(mesh, *mesh.converse())


def test_routing_changes_while_the_agent_runs(mesh):
    client, service = mesh.converse()
    change(mesh, "branch", routing=RoutingSection(max_hops=1))
    assert KEY not in mesh.snapshot("branch").candidates  # hq is two hops away
    change(mesh, "branch", routing=RoutingSection(max_hops=2))
    assert talks(mesh, client, service)
    kept = mesh.actor("branch", "RouteTable")._state._link_state._store
    before = kept.get(mesh.identity("hq").id).freshness
    change(mesh, "hq", routing=RoutingSection(advertise_interval_s=0.5, route_ttl_s=2.0))
    mesh.run(3.0)
    assert kept.get(mesh.identity("hq").id).freshness[1] >= before[1] + 5
    assert mesh.record("branch", at="hq") is None  # nothing was heard of it for two seconds
    change(mesh, "relay", routing=RoutingSection(max_hops=7))
    assert {each._forwarding._max_hops for each in mesh.links("relay")} == {7}


def test_an_agent_that_starts_everything_anew_does_so_as_it_is_configured_now(mesh):
    change(mesh, "branch", forward=listener(7000))
    mesh.kill("branch", "RouteTable")
    done = configure(mesh, "branch", msgspec.structs.replace(running(mesh, "branch"), forward=listener(PORT)))
    assert done.get(timeout=0).problems == ()  # between two builds: the next one is as it says
    mesh.run(6.0)
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}
    assert talks(mesh, *mesh.converse())


def test_one_change_at_a_time_and_none_while_the_agent_leaves(mesh):
    before = running(mesh, "branch")
    ask = mesh.roots["branch"].ref.ask
    first = ask(messages.Configure(msgspec.structs.replace(before, peers=())), block=False)
    second = ask(messages.Configure(msgspec.structs.replace(before, forward=ForwardSection())), block=False)
    mesh.run(6.0)
    assert first.get(timeout=0).get(timeout=0).problems == ()
    assert second.get(timeout=0).get(timeout=0).problems == (BUSY,)
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}
    mesh.leave("branch", 5.0)
    mesh.run(0.1)
    assert configure(mesh, "branch", before).get(timeout=0).problems == (LEAVING,)


def test_a_change_that_a_crash_interrupts_says_so(mesh):
    config = msgspec.structs.replace(running(mesh, "branch"), peers=())
    answer = mesh.roots["branch"].ref.ask(messages.Configure(config), block=False)
    mesh.actor("branch", "RouteTable").ref.stop(block=False)
    mesh.run(0.2)
    assert answer.get(timeout=0).get(timeout=0).problems in ((STARTED_ANEW,), ())
    mesh.run(6.0)
    assert mesh.kinds("branch")["Dialer"] == 0


@pytest.mark.parametrize("before", [0, 2])
def test_who_came_before_an_endpoint_was_taken_out_counts_when_it_is_back(mesh, before):
    change(mesh, "hq", forward=endpoint(max_connections=before))
    first, second = mesh.converse(), mesh.converse()
    change(mesh, "hq", forward=ForwardSection())
    change(mesh, "hq", forward=endpoint(max_connections=2))
    third = mesh.connect()
    third.send(b"hello")
    mesh.run(3.0)
    assert third.end
    second[0].socket.abort()
    mesh.run(1.0)
    assert talks(mesh, *mesh.converse())
    assert talks(mesh, *first)


def test_clients_of_a_listener_that_was_taken_out_count_when_it_is_back(mesh):
    change(mesh, "branch", forward=listener(PORT, max_connections=1))
    first = mesh.converse()
    change(mesh, "branch", forward=ForwardSection())
    change(mesh, "branch", forward=listener(PORT, max_connections=1))
    refused = mesh.connect()
    mesh.run(3.0)
    assert refused.end
    first[0].socket.abort()
    mesh.run(1.0)
    assert talks(mesh, *mesh.converse())


def test_services_that_are_gone_with_their_connections_leave_nothing(mesh):
    for name, other in (("hq", endpoint(key="other")), ("branch", listener(7000))):
        kept = mesh.roots[name]._composition.services
        change(mesh, name, forward=ForwardSection())
        for _ in range(2):
            change(mesh, name, forward=other)
            change(mesh, name, forward=ForwardSection())
        gc.collect()  # what has gone may hold itself
        assert (kept._admitted, dict(kept._clients), kept._build.doors) == ({}, {}, {})


def test_an_endpoint_that_is_not_checked_any_more_is_shown_as_offered_after_a_crash(mesh):
    check = HealthCheckSection(interval_s=1.0, timeout_s=0.5)
    change(mesh, "hq", forward=endpoint(health_check=check, target=TcpAddress("service", 99)))
    mesh.run(10.0)
    assert mesh.ports("hq")[f"endpoint {KEY}"]
    mesh.kill("hq", "RouteTable")
    configure(mesh, "hq", msgspec.structs.replace(running(mesh, "hq"), forward=endpoint()))
    mesh.run(6.0)
    assert mesh.ports("hq")[f"endpoint {KEY}"] is None
