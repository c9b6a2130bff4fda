"""How an exit reaches its target, by whichever of its addresses."""

import pytest

from actors.runtime.seam import NamesResolved
from mesh.addresses import TcpAddress, UnixAddress
from mesh.link.frames import FrameType
from mesh.reaching import NEXT_ADDRESS_AFTER_S

pytestmark = pytest.mark.usefixtures("no_crashes")


def several(scene, *hosts):
    """The name of the target resolves to several hosts, of which some may be black holes."""
    for host in hosts:
        scene.world.network.add_name("service.example", host)
    scene.endpoint.target = TcpAddress("service.example", 80)


def test_behind_an_address_that_does_not_answer_the_next_is_tried(scene):
    scene.world.network.cut("hq", "black-hole")
    several(scene, "black-hole", "target")
    scene.ask(run_s=NEXT_ADDRESS_AFTER_S - 0.05)
    assert scene.answers == []
    scene.run(0.1)
    assert scene.read_answer().accepted
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    target = scene.take_target()
    scene.run(20.0)
    assert bytes(target.received) == b"hello"
    assert scene.world.open_sockets("hq") == 1


def test_behind_an_address_that_refuses_the_next_is_tried_at_once(scene):
    scene.world.dispatcher("closed")
    several(scene, "closed", "target")
    scene.ask()
    assert scene.read_answer().accepted


def test_an_address_that_answers_late_still_wins_over_black_holes(scene):
    scene.world.network.cut("hq", "black-hole")
    scene.world.network.shape("hq", "target", latency_s=1.0)
    several(scene, "target", "black-hole")
    scene.ask(run_s=2.2)
    assert scene.read_answer().accepted
    assert scene.world.open_sockets("hq") == 1


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_failures_the_refusal_is_told(scene, order):
    addresses = (TcpAddress("target", 81), TcpAddress("10.99.99.99", 80))[::order]
    scene.ask(run_s=0.0)
    scene.exit.ref.tell(NamesResolved(1, addresses))
    scene.run(1.0)
    assert scene.rejection == "refused"


def test_black_holes_only_take_the_time_for_opening(scene):
    for host in ("black-hole", "blacker-hole"):
        scene.world.network.cut("hq", host)
    several(scene, "black-hole", "blacker-hole")
    scene.ask(run_s=10.1)
    assert scene.rejection == "timed-out"
    scene.run(2.0)
    assert scene.is_over


def test_a_unix_socket_is_a_target(scene):
    door = scene.world.dispatcher("hq").bind(UnixAddress("/run/service.sock"))
    door.listen()
    scene.endpoint.target = UnixAddress("/run/service.sock")
    scene.ask()
    assert scene.read_answer().accepted
    target = scene.take_target("hq", door)
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    scene.run(0.1)
    assert bytes(target.received) == b"hello"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (TcpAddress("target", 81), "refused"),
        (TcpAddress("nowhere.invalid", 80), "unresolved"),
        (TcpAddress("10.99.99.99", 80), "unreachable"),
        (UnixAddress("/run/absent.sock"), "refused"),
    ],
    ids=["refused", "unresolved", "unreachable", "absent"],
)
def test_a_target_that_cannot_be_reached_is_a_rejection_at_once(scene, target, code):
    scene.endpoint.target = target
    scene.ask()
    assert scene.rejection == code
    assert scene.left_endpoint == 1
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 1


def test_a_target_that_does_not_answer_is_a_rejection_after_the_time_for_opening(scene):
    scene.world.network.cut("hq", "target")
    scene.ask(run_s=9.9)
    assert scene.answers == []
    scene.run(0.2)
    assert scene.rejection == "timed-out"
    scene.world.network.heal("hq", "target")
    scene.run(5.0)
    assert scene.is_over
