"""A target that wants to know who connects is told before it hears the client's first byte."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.connection.source_address import SECRET_FOR, source_address
from mesh.connection.stream import ResetCode
from mesh.connection.stream.control import decode_reset
from mesh.link.frames import FrameType
from mesh.trust.identity import AgentId, Identity, display_id
from tests.actors.connections.both_ends_company import Ends
from tests.actors.connections.end_company import EXIT, INGRESS, KEY, RESET
from tests.actors.connections.exit_company import Answering, Asker
from tests.actors.connections.ingress_company import Opening
from tests.proxy_header import parse_proxy_header

SPECIAL = {KEY: EndpointSection(key=KEY, target=TcpAddress("target", 80), proxy_protocol="v2")}


def introduced(target):
    parsed, rest = parse_proxy_header(bytes(target.received))
    assert parsed.extensions[0xE1] == display_id(INGRESS.id).encode()
    return parsed, rest


@pytest.fixture
def told():
    """Both ends of a connection whose target is told who connects."""
    ends = Ends(special=SPECIAL).open()
    yield ends
    ends.world.stop()


def test_the_target_hears_of_the_client_first_and_then_the_client(told):
    told.client.socket.send([b"hello"])
    told.run(0.2)
    parsed, rest = introduced(told.target)
    assert rest == b"hello"
    assert parsed.extensions[0xE0] == b"agent"
    assert told.exit._client == told.client.socket.local_name
    told.target.socket.send([b"welcome"])
    told.run(0.2)
    assert bytes(told.client.received) == b"welcome"


def test_a_target_that_speaks_first_hears_of_a_client_that_says_nothing(told):
    assert introduced(told.target)[1] == b""


def test_credit_counts_what_the_client_said_and_all_is_given_back(told):
    pieces = [bytes(30_000)]
    for _ in range(10):
        told.client.socket.send(pieces)
        told.run(1.0)
    told.client.socket.shutdown_write()
    told.run(5.0)
    assert len(introduced(told.target)[1]) == 300_000
    told.target.socket.shutdown_write()
    told.run(2.0)
    assert told.is_over


def test_a_target_that_is_to_know_agents_by_their_addresses_sees_them():
    subnet = IPv4Network("127.64.0.0/16")
    section = EndpointSection(key=KEY, target=TcpAddress("target", 80), source_address=subnet)
    scene = Answering(special={KEY: section})
    scene.ask()
    seen = scene.take_target().socket.peer_name.rpartition(":")[0]
    assert seen == source_address(subnet, INGRESS.id, b"")
    assert IPv4Address(seen) in subnet
    scene.world.stop()


@pytest.mark.parametrize("text", ["127.0.0.0/8", "127.64.0.0/16", "127.1.2.0/24"])
def test_an_agent_has_one_address_of_a_subnet_and_others_mostly_have_others(text):
    subnet = IPv4Network(text)
    agents = [AgentId(number.to_bytes(16, "big")) for number in range(50)]
    found = [source_address(subnet, agent, b"1") for agent in agents]
    assert found == [source_address(subnet, agent, b"1") for agent in agents]
    assert all(subnet[0] < IPv4Address(each) < subnet[-1] for each in found)
    assert len(set(found)) > 40


def test_nobody_can_choose_an_address_who_has_not_the_exits_secret():
    """Else an agent could try keys of its own until it had another's address."""
    subnet = IPv4Network("127.0.0.0/8")
    secrets = [Identity(bytes([number]) * 32).secret_for(SECRET_FOR) for number in range(20)]
    assert len({source_address(subnet, INGRESS.id, secret) for secret in secrets}) == 20


@pytest.fixture
def asked():
    """An exit whose target is to be told who connects."""
    scene = Answering(special=SPECIAL)
    yield scene
    scene.world.stop()


def test_an_ingress_of_an_earlier_version_is_introduced_without_its_client(asked):
    asked.ask()
    target = asked.take_target()
    asked.read_answer()
    asked.tell(asked.session.seal_segment(FrameType.DATA, 0, b"hello"))
    asked.run(0.2)
    parsed, rest = introduced(target)
    assert (parsed.source, rest) == (("0.0.0.0", 0), b"hello")


def test_what_is_no_preface_ends_the_connection_and_reaches_no_target(asked):
    asked.ask(Asker(tells_client=True))
    target = asked.take_target()
    asked.read_answer()
    asked.tell(asked.session.seal_segment(FrameType.DATA, 0, b"\xff\xffhello"))
    asked.run(0.2)
    assert target.end == RESET
    assert not target.received
    (reset,) = asked.wire.of(FrameType.RESET)
    assert decode_reset(asked.session.open_control(reset)).code is ResetCode.PROTOCOL_ERROR


def test_an_exit_that_asks_who_connects_and_takes_no_bytes_is_reset(caplog):
    scene = Opening(EXIT)
    (exit_,) = scene.exits
    exit_.credit, exit_.wants_client = 10, True
    exit_.answer()
    assert len(exit_.wire.of(FrameType.RESET)) == 1
    assert caplog.text == ""
    scene.run(10.0)
    scene.world.stop()
