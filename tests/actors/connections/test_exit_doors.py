"""An exit whose endpoint leaves its door open, or does not."""

import pytest

from actors.messages.connection import CloseConnection
from actors.messages.endpoint import AdmitConnection
from mesh.connection.door import Door
from mesh.link.frames import FrameType
from tests.actors.connections.end_company import KEY, TARGET
from tests.actors.connections.exit_company import Answering

pytestmark = pytest.mark.usefixtures("no_crashes")


def answering(*, is_open: bool, target=TARGET):
    door = Door(target)
    door.is_open = is_open
    return Answering(doors={KEY: door}), door


def test_by_an_open_door_it_enters_without_asking():
    scene, door = answering(is_open=True)
    scene.ask()
    assert scene.read_answer().accepted
    assert scene.endpoint.heard == []
    assert door.inside == 1
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    scene.exit.ref.tell(CloseConnection("the agent is leaving"))
    scene.run(0.0)
    assert scene.is_over
    assert (door.inside, scene.left_endpoint) == (0, 0)
    scene.world.stop()


def test_where_the_door_is_shut_it_asks():
    scene, door = answering(is_open=False)
    scene.ask()
    assert scene.read_answer().accepted
    assert len(scene.endpoint.of(AdmitConnection)) == 1
    assert door.inside == 0
    scene.world.stop()


def test_one_that_does_not_reach_the_target_leaves_at_once():
    scene, door = answering(is_open=True)
    scene.door.close()
    scene.ask()
    assert scene.rejection == "refused"
    assert door.inside == 0
    scene.world.stop()


def test_one_that_has_crashed_has_left():
    scene, door = answering(is_open=True)
    scene.ask()
    scene.exit.ref.stop(block=False)
    scene.run(0.0)
    assert scene.is_over
    assert door.inside == 0
    scene.world.stop()
