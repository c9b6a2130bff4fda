"""What an exit makes of early data when its target does as it likes."""

from typing import Any

import pytest

from mesh.connection.opening_payloads import OpenRequest
from mesh.connection.pair_session import PairSession
from mesh.connection.short_open import ShortInitiator
from mesh.connection.stream import INITIAL_WINDOW_BYTES, ResetCode, Stream, StreamBudget
from mesh.connection.stream.control import decode_reset
from mesh.link.frames import FrameType
from tests.actors.connections.end_company import EXIT, INGRESS, KEY, settings_of
from tests.actors.connections.exit_company import Answering

pytestmark = pytest.mark.usefixtures("no_crashes")

OF_INGRESS, OF_EXIT = settings_of(INGRESS).party, settings_of(EXIT).party
PAIR = PairSession(b"p" * 32, OF_INGRESS.instance, OF_EXIT.instance)


class EarlyAsker:
    """An ingress that has a pair session, and a client that has spoken."""

    def __init__(self) -> None:
        self.initiator = ShortInitiator(local=OF_INGRESS, remote=OF_EXIT, connection=7, pair=PAIR)
        self.open = self.initiator.open_frame(OpenRequest(KEY, INITIAL_WINDOW_BYTES, early=b"hello"))


@pytest.fixture
def scene():
    scene = Answering()
    scene.pair_keys = PAIR.keys(7)
    yield scene
    scene.world.stop()


def ingress_of(scene):
    """The stream of an ingress that has heard five bytes of the answer."""
    ingress = Stream(
        session=scene.session,
        send_credit=65_536,
        budget=StreamBudget(2**20),
        reroute_timeout_s=30.0,
        idle_probe_s=15.0,
        terms=scene.settings.terms,
        opened_at=scene.world.now(),
    )
    ingress.accepted(5, b"", scene.world.now())
    return ingress


def test_an_ingress_whose_client_resets_as_soon_as_it_is_answered_has_been_served(scene):
    scene.ask(EarlyAsker())
    scene.take_target().send(b"world")
    scene.run(0.1)
    scene.read_answer()
    scene.tell(*ingress_of(scene).reset(ResetCode.RESET, scene.world.now()).frames)
    assert scene.pending.settled_as[:1] == [True]


def test_an_ingress_whose_first_frame_ends_the_connection_has_been_served(scene):
    scene.ask(EarlyAsker())
    target = scene.take_target()
    target.send(b"world")
    scene.run(0.0)
    scene.read_answer()
    target.socket.shutdown_write()
    scene.run(0.1)
    ingress = ingress_of(scene)
    segments = [frame for frame in scene.wire.frames if frame.type in (FrameType.DATA, FrameType.FIN)]
    ingress.receive(segments, scene.world.now())
    scene.tell(*ingress.finish(scene.world.now()).frames)
    scene.run(0.1)
    assert scene.is_over
    assert scene.pending.settled_as[:1] == [True]


@pytest.mark.parametrize("said", [b"", b"go away"])
def test_a_target_that_resets_before_it_is_told_anything_has_not_finished(scene, said):
    scene.world.network.shape("hq", "target", latency_s=0.001)
    agent: Any = scene.world.dispatcher("hq")
    scene.ask(EarlyAsker(), run_s=0.0015)
    agent.pause()
    scene.run(0.01)
    target = scene.take_target()
    if said:
        target.send(said)
        scene.run(0.01)
    target.socket.abort()
    scene.run(0.01)
    agent.resume()
    scene.run(0.1)
    assert scene.read_answer().accepted
    segments = scene.wire.of(FrameType.DATA)
    assert [scene.session.open_segment(frame) for frame in segments] == ([said] if said else [])
    assert scene.wire.of(FrameType.FIN) == []
    (reset,) = scene.wire.of(FrameType.RESET)
    assert decode_reset(scene.session.open_control(reset)).code is ResetCode.RESET
