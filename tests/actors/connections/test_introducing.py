"""A target that wants to know who connects is told before it hears the client's first byte."""

import pytest

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.connection.stream import ResetCode
from mesh.connection.stream.control import decode_reset
from mesh.link.frames import FrameType
from mesh.trust.identity import display_id
from tests.actors.connections.both_ends_company import Ends
from tests.actors.connections.end_company import INGRESS, KEY, RESET
from tests.actors.connections.exit_company import Answering, Asker
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
