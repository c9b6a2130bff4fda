"""Which configured ports the dashboard says are not open."""

from actors.root.setup import acceptor_name, listener_name
from mesh.addresses import TcpAddress
from mesh.agent.actor_status import NOT_YET, ActorStatus
from mesh.config.schema import AcceptSection, Config, ForwardSection, ListenerSection

ANY_PORT = TcpAddress("127.0.0.1", 0)


def test_ports_with_an_address_in_common_are_told_apart():
    config = Config(
        accept=(AcceptSection(address=ANY_PORT),) * 2,
        forward=ForwardSection(listeners=(ListenerSection(key="api", address=ANY_PORT),) * 2),
    )
    status = ActorStatus(None, config=config, credentials=None, meters=None, budget=None, relay_budget=None)
    opened = {acceptor_name(ANY_PORT, 2): None, listener_name("api", ANY_PORT, 1): None}
    address = str(ANY_PORT)
    assert status._closed(opened) == [(None, address, NOT_YET), ("api", address, NOT_YET)]
    taken = opened | {acceptor_name(ANY_PORT, 1): "taken", listener_name("api", ANY_PORT, 2): "closed"}
    assert status._closed(taken) == [(None, address, "taken"), ("api", address, "closed")]
    assert status._closed(dict.fromkeys(taken)) == []
