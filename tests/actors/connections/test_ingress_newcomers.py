"""Exits that offer the key only after the client was accepted."""

import msgspec
import pytest

from actors.connections.due import HANG_UP_POLL_S
from actors.messages import connection as messages
from actors.messages import listener as listener_messages
from mesh.connection.patience import HEDGE_AFTER_S
from mesh.link.frames import FrameType
from mesh.trust.identity import Instance
from tests.actors.company import IDENTITIES
from tests.actors.connections.end_company import EXIT, OTHER_EXIT, RESET
from tests.actors.connections.ingress_company import Opening

pytestmark = pytest.mark.usefixtures("no_crashes")


@pytest.fixture
def later():
    scene = Opening(EXIT, OTHER_EXIT, known=1)
    yield scene
    scene.world.stop()


def test_behind_the_last_that_refuses_one_that_has_come_since_is_tried_at_once(later):
    first, second = later.exits
    later.offer(first, second)
    first.answer("refused")
    assert len(second.opens) == 1
    second.answer("refused")
    later.run(0.01)
    assert later.client.end == RESET
    assert later.looks == 2
    assert len(first.opens) == 1
    assert later.is_over


def test_a_client_whose_candidates_have_all_refused_does_not_wait_for_others(later):
    later.exits[0].answer("refused")
    later.run(0.01)
    assert later.client.end == RESET
    assert later.looks == 1
    assert later.is_over


def test_without_a_listener_a_refusal_is_as_prompt(later):
    later.listener.ref.stop(block=False)
    later.run(0.0)
    later.exits[0].answer("refused")
    later.run(0.01)
    assert later.client.end == RESET
    assert later.is_over


@pytest.mark.parametrize("has_path", [True, False], ids=["silent", "without a path"])
def test_beside_a_candidate_in_vain_one_that_comes_later_is_tried(later, has_path):
    first, second = later.exits
    if not has_path:
        later.tell(messages.PathChanged(EXIT.id, None))
    later.run(3.0)
    assert second.opens == []
    later.offer(first, second)
    later.run(HEDGE_AFTER_S)
    assert len(second.opens) == 1
    session = second.answer()
    second.send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    looks = later.looks
    later.run(5.0)
    assert bytes(later.client.received) == b"welcome"
    assert later.looks == looks <= 3.0 / HEDGE_AFTER_S + 2


def test_nobody_is_looked_for_while_a_candidate_may_answer(later):
    later.run(HEDGE_AFTER_S - 0.05)
    assert later.looks == 0
    later.run(0.1)
    assert later.looks == 1


def test_one_that_has_refused_is_not_asked_again_but_as_another_instance(later):
    first, second = later.exits
    later.offer(first, second)
    later.run(HEDGE_AFTER_S + 0.1)
    second.answer("unavailable")
    later.run(3.0)
    assert len(second.opens) == 1
    anew = msgspec.structs.replace(second.settings.party, instance=Instance(b"n" * 16))
    second.settings = msgspec.structs.replace(second.settings, party=anew)
    later.offer(first, second)
    later.run(HEDGE_AFTER_S)
    assert len(second.opens) == 2
    second.answer()
    assert later.client.end == ""
    assert len({frame.connection for frame in first.opens}) == 1


def test_what_is_found_for_a_client_that_has_left_is_not_asked(later):
    first, second = later.exits
    later.client.socket.abort()
    later.run(HANG_UP_POLL_S + 0.2)
    later.offer(first, second)
    later.tell(listener_messages.CandidatesFound((later.listener.offer(second.settings.party),)))
    later.run(HEDGE_AFTER_S)
    assert second.opens == []
    first.answer("refused")
    assert later.is_over


def test_while_an_exit_is_waited_for_the_others_are_tried_no_faster():
    scene = Opening(*IDENTITIES[1:5])
    restarting, *others = scene.exits
    scene.offer(*others)
    scene.tell(messages.PeerRestarted(restarting.settings.party.id))
    began = scene.world.now()
    asked = []
    for until in (0.8, 1.2, 1.8, 2.2):
        scene.run(until * HEDGE_AFTER_S - (scene.world.now() - began))
        asked.append(sum(bool(exit_.opens) for exit_ in others))
    scene.world.stop()
    assert asked == [1, 2, 2, 3]
