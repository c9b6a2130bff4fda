"""What an ingress does when an exit rejects, restarts or is silent."""

import msgspec
import pytest

from actors.connections.due import HANG_UP_POLL_S
from actors.messages import connection as messages
from actors.messages.connection_table import RegisterIngress
from actors.messages.listener import CandidateFailed, ClientGivenUp
from mesh.connection.patience import HEDGE_AFTER_S, RESTART_PATIENCE_S, RETRY_AFTER_S
from mesh.connection.reject_codes import IngressVerdict
from mesh.link.frames import FrameType
from mesh.trust.identity import Instance
from tests.actors.connections.end_company import EXIT, OTHER_EXIT, RESET
from tests.actors.connections.ingress_company import Opening

pytestmark = pytest.mark.usefixtures("no_crashes")

# Being refused


@pytest.mark.parametrize("verdict", IngressVerdict)
def test_an_exit_cannot_say_what_only_an_ingress_finds(one, verdict):
    one.exits[0].answer(verdict.value)
    one.run(0.1)
    assert one.client.end == RESET
    assert one.listener.of(CandidateFailed) == [CandidateFailed(EXIT.id, "unavailable")]
    assert one.ingress_meters.loops_cut == 0


def test_a_candidate_that_rejects_is_followed_by_the_next_at_once(two):
    first, second = two.exits
    assert second.opens == []
    first.answer("refused")
    assert len(second.opens) == 1
    assert two.listener.of(CandidateFailed) == [CandidateFailed(EXIT.id, "refused")]
    assert two.table.ended == [(1, False)]
    session = second.answer()
    second.send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    two.run(0.1)
    assert bytes(two.client.received) == b"welcome"


def test_a_client_that_all_candidates_reject_is_reset_at_once(two):
    first, second = two.exits
    first.answer("refused")
    second.answer("at-capacity")
    two.run(0.1)
    assert two.client.end == RESET
    assert two.is_over
    assert two.ingress_meters.connections_reset == 1
    (given_up,) = two.listener.of(ClientGivenUp)
    assert "at-capacity at" in given_up.why
    assert "because" in given_up.why
    assert given_up.unanswered == ()


def test_an_exit_whose_endpoint_is_being_started_again_is_asked_again(one):
    (exit_,) = one.exits
    for _ in range(3):
        exit_.answer("restarting")
        assert one.client.end == ""
        one.run(RETRY_AFTER_S)
    assert len({frame.connection for frame in exit_.opens}) == 4
    session = exit_.answer()
    exit_.send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    one.run(0.1)
    assert bytes(one.client.received) == b"welcome"
    assert one.table.ended == [(1, False), (2, False), (3, False)]


def test_another_candidate_is_asked_before_one_that_is_being_started_again(two):
    first, second = two.exits
    first.answer("restarting")
    assert len(second.opens) == 1
    second.answer("refused")
    assert two.client.end == ""
    two.run(RETRY_AFTER_S)
    first.answer()
    assert two.client.end == ""
    assert len(second.opens) == 1


def test_an_endpoint_that_stays_away_costs_the_client_its_time_and_no_more(one):
    while not one.client.end and one.world.now() < one.began_at + 20:
        one.exits[0].answer("restarting")
        one.run(RETRY_AFTER_S)
    assert one.client.end == RESET
    assert one.world.now() - one.began_at == pytest.approx(
        one.settings.config.connections.open_timeout_s, abs=2 * RETRY_AFTER_S
    )
    one.run(0.1)
    assert one.is_over


def test_a_client_that_leaves_while_its_exit_is_being_started_again_is_not_waited_for_ever(one):
    one.exits[0].answer("restarting")
    one.client.socket.abort()
    one.run(one.settings.config.connections.open_timeout_s + HANG_UP_POLL_S)
    assert one.is_over


@pytest.mark.parametrize("gone", [messages.PeerRestarted, messages.PeerExpired])
def test_a_candidate_that_is_gone_is_followed_by_the_next(two, gone):
    _, second = two.exits
    two.tell(gone(EXIT.id))
    assert len(second.opens) == 1
    assert two.table.ended == [(1, False)]


def test_an_exit_whose_certificate_has_ended_is_not_waited_for(one):
    one.listener.parties = ()
    one.tell(messages.PeerExpired(EXIT.id))
    one.run(3 * RETRY_AFTER_S)
    assert one.client.end == RESET
    one.run(0.1)
    assert one.is_over


def test_an_exit_that_was_restarted_is_asked_again_as_what_it_is_now(one):
    [exit_] = one.exits
    old = exit_.settings.party
    one.listener.parties = ()
    one.tell(messages.PeerRestarted(EXIT.id))
    one.run(5 * RETRY_AFTER_S)
    assert one.client.end == ""
    assert len(exit_.opens) == 1
    present = msgspec.structs.replace(old, instance=Instance(b"n" * 16))
    exit_.settings = msgspec.structs.replace(exit_.settings, party=present)
    one.listener.parties = (present,)
    one.run(RETRY_AFTER_S)
    session = exit_.answer()
    exit_.send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    one.run(0.1)
    assert bytes(one.client.received) == b"welcome"
    assert one.table.of(RegisterIngress)[-1].exit_instance == present.instance


@pytest.mark.parametrize("listener_is_gone", [False, True])
def test_an_exit_that_was_restarted_and_offers_nothing_is_not_waited_for_longer(one, listener_is_gone):
    one.listener.parties = ()
    if listener_is_gone:
        one.listener.ref.stop(block=False)
    one.tell(messages.PeerRestarted(EXIT.id))
    one.run(RESTART_PATIENCE_S - RETRY_AFTER_S)
    assert one.client.end == ""
    one.run(3 * RETRY_AFTER_S)
    assert one.client.end == RESET
    one.run(0.1)
    assert one.is_over


# Silence


def test_beside_a_silent_candidate_the_next_is_tried(two):
    first, second = two.exits
    two.run(HEDGE_AFTER_S - 0.05)
    assert second.opens == []
    two.run(0.1)
    assert len(second.opens) == 1
    assert two.table.ended == []
    two.run(2.0)
    assert len(first.opens) > 3


@pytest.mark.parametrize(
    ("rtt_step", "open_timeout_s", "hedged_after_s"),
    [(8, 10.0, HEDGE_AFTER_S), (10, 10.0, 1.024), (11, 10.0, 2.048), (12, 10.0, 2.5), (12, 1.0, 0.25)],
)
def test_a_far_candidate_has_the_time_that_its_path_takes(rtt_step, open_timeout_s, hedged_after_s):
    scene = Opening(EXIT, OTHER_EXIT, rtt_step=rtt_step, open_timeout_s=open_timeout_s)
    second = scene.exits[1]
    scene.run(hedged_after_s - 0.01)
    assert second.opens == []
    assert scene.listener.of(CandidateFailed) == []
    scene.run(0.02)
    assert len(second.opens) == 1
    assert scene.listener.of(CandidateFailed) == [CandidateFailed(EXIT.id, "silent")]
    scene.world.stop()


@pytest.mark.parametrize("winner", [0, 1])
def test_of_two_that_accept_the_first_wins_and_the_other_is_reset(two, winner):
    two.run(HEDGE_AFTER_S + 0.1)
    chosen, late = two.exits[winner], two.exits[1 - winner]
    session = chosen.answer()
    late.answer()
    two.run(0.1)
    assert len(late.wire.of(FrameType.RESET)) == 1
    assert chosen.wire.of(FrameType.RESET) == []
    assert two.table.ended == [(2 - winner, False)]
    chosen.send(session.seal_segment(FrameType.DATA, 0, b"winner"))
    two.run(0.1)
    assert bytes(two.client.received) == b"winner"


def test_a_late_rejection_does_no_harm(two):
    two.run(HEDGE_AFTER_S + 0.1)
    two.exits[1].answer()
    two.exits[0].answer("refused")
    two.run(0.1)
    assert two.client.end == ""
    assert two.ingress.ref.is_alive()


def test_once_one_has_accepted_the_others_are_asked_no_more(two):
    two.run(HEDGE_AFTER_S + 0.1)
    two.exits[1].answer()
    asked = len(two.exits[0].opens)
    two.run(5.0)
    assert len(two.exits[0].opens) == asked


def test_when_nobody_answers_in_time_the_client_is_reset(two, caplog):
    caplog.set_level("INFO")
    two.run(9.9)
    assert two.client.end == ""
    two.run(0.2)
    assert two.client.end == RESET
    assert two.is_over


def test_the_time_for_opening_does_not_end_an_open_connection(one):
    [candidate] = one.exits
    candidate.answer()
    one.run(15.0)
    assert one.client.end == ""
