"""Which configured ports the dashboard says are not open."""

from mesh.addresses import TcpAddress
from mesh.agent.actor_status import NOT_YET, closed_ports
from mesh.config.schema import AcceptSection, Config, ForwardSection, ListenerSection

ANY_PORT = TcpAddress("127.0.0.1", 0)


def test_ports_with_an_address_in_common_are_told_apart():
    config = Config(
        accept=(AcceptSection(address=ANY_PORT),) * 2,
        forward=ForwardSection(listeners=(ListenerSection(key="api", address=ANY_PORT),) * 2),
    )
    address = str(ANY_PORT)
    opened = {f"acceptor {address} (2)": None, f"listener api {address} (1)": None}
    assert closed_ports(config, opened) == [("api", address, NOT_YET), (None, address, NOT_YET)]
    taken = opened | {f"acceptor {address} (1)": "taken", f"listener api {address} (2)": "closed"}
    assert closed_ports(config, taken) == [("api", address, "closed"), (None, address, "taken")]
    assert closed_ports(config, dict.fromkeys(taken)) == []
