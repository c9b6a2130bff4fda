"""An ingress connection that is started before its client comes; the exits are in the hands of the test."""

import msgspec
import pytest

from actors.connections.due import HANG_UP_POLL_S
from actors.messages import connection as messages
from actors.messages.connection_table import RegisterIngress
from actors.messages.listener import CandidateFailed, CandidateServed
from mesh.connection.ahead import NOTHING_AHEAD
from mesh.connection.key_stock import EPHEMERAL_AGE_S, KeyStock
from mesh.connection.open_attempt import STANDBY_NUMBERS
from mesh.link.frames import Frame, FrameType
from mesh.trust.certificates import Certificate
from mesh.trust.identity import NO_AGENT
from mesh.trust.noise.primitives import key_pair
from mesh.trust.policy import Policy
from tests.actors.connections.end_company import EXIT, INGRESS, OTHER_EXIT, RESET
from tests.actors.connections.ingress_company import Opening


@pytest.fixture
def scenes():
    made = []

    def make(*identities, **settings):
        made.append(Opening(*(identities or (EXIT,)), stands_by=True, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.world.stop()


def serve(scene):
    scene.serve(*scene.parties)
    scene.run(0.0)


def test_it_keeps_nothing_that_comes_before_it_has_asked(scenes):
    one = scenes()
    forged = Frame(FrameType.DATA, True, EXIT.id, INGRESS.id, 1, 0, bytes(100))
    one.tell(messages.SegmentsArrived((forged,), OTHER_EXIT.id))
    assert one.ingress._ahead is NOTHING_AHEAD


def test_it_sends_nothing_and_has_no_timer_until_its_client_comes(scenes):
    one = scenes()
    one.run(50.0)
    assert one.exits[0].opens == []
    assert not one.ingress._timers
    assert one.listener.heard == []
    assert one.settings.numbers.is_reserved(1)
    assert "standing by" in str(one.ingress)


def test_the_open_leaves_without_another_registration(scenes):
    one = scenes()
    one.run(5.0)
    serve(one)
    assert [frame.connection for frame in one.exits[0].opens] == [1]
    assert len(one.table.of(RegisterIngress)) == 1
    assert not one.settings.numbers.is_reserved(1)


@pytest.mark.parametrize(("named", "numbers"), [("hq", [1]), ("other", [2])])
def test_a_list_that_has_come_since_is_heeded_before_the_listener_has_heard_of_it(scenes, named, numbers):
    """Whom it does not name is registered anew, and judged then as any other."""
    one = scenes()
    one.clients.listener = "listener"
    certificate = Certificate(bytes(32), "hq", 0, 1, ("*",), (), False, False, bytes(32))
    policy = Policy({}, {"listener": frozenset({named})})
    one.tell(messages.RightsChanged(EXIT.id, certificate, policy))
    serve(one)
    assert [frame.connection for frame in one.exits[0].opens] == numbers
    assert len(one.table.of(RegisterIngress)) == numbers[0]


def test_it_serves_its_client_as_any_other_does(scenes):
    one = scenes()
    serve(one)
    one.client.send(b"hello")
    one.run(0.1)
    session = one.exits[0].answer()
    assert len(one.exits[0].wire.of(FrameType.DATA)) == 1
    one.exits[0].send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    one.run(0.1)
    assert bytes(one.client.received) == b"welcome"
    assert one.listener.of(CandidateServed) == [CandidateServed(EXIT.id)]


def test_the_time_to_open_begins_when_the_client_comes(scenes):
    one = scenes()
    one.run(30.0)
    serve(one)
    one.run(9.9)
    assert one.client.end == ""
    assert len(one.exits[0].opens) == 8  # repeated as ever
    one.run(0.2)
    assert one.client.end == RESET
    assert one.is_over


def test_a_silent_candidate_is_hedged_from_when_the_client_came(scenes):
    two = scenes(EXIT, OTHER_EXIT)
    two.run(30.0)
    serve(two)
    two.run(0.4)
    assert two.exits[1].opens == []
    two.run(0.2)
    assert len(two.exits[1].opens) == 1


def test_a_client_that_comes_before_the_registration_is_done_waits_for_it(scenes):
    two = scenes(EXIT, OTHER_EXIT, register=False)
    serve(two)
    assert not two.settings.numbers.is_reserved(1)
    two.tell(messages.IngressRegistered(EXIT.id, 1, two.exits[0].wire.ref))
    assert [len(each.opens) for each in two.exits] == [1, 0]
    two.exits[0].answer("refused")
    assert [len(each.opens) for each in two.exits] == [1, 0]
    two.tell(messages.IngressRegistered(OTHER_EXIT.id, 2, two.exits[1].wire.ref))
    assert [len(each.opens) for each in two.exits] == [1, 1]


def grow_old(scene):
    scene.run(EPHEMERAL_AGE_S + 0.1)


def be_overtaken(scene):
    for _ in range(STANDBY_NUMBERS + 1):
        scene.settings.numbers.take()


def lose_the_exit(scene):
    scene.tell(messages.PeerRestarted(EXIT.id))


def let_its_certificate_end(scene):
    scene.tell(messages.PeerExpired(EXIT.id))


@pytest.mark.parametrize("spoil", [grow_old, be_overtaken, lose_the_exit, let_its_certificate_end])
def test_what_is_no_longer_of_use_is_made_anew_for_the_client(scenes, spoil):
    one = scenes()
    spoil(one)
    assert one.ingress.ref.is_alive()
    serve(one)
    newest = one.settings.numbers.last
    assert [frame.connection for frame in one.exits[0].opens] == [newest] != [1]
    assert one.table.ended == [(1, False)]
    assert one.listener.heard == []


def test_what_is_just_young_enough_is_used(scenes):
    one = scenes()
    one.run(EPHEMERAL_AGE_S - 0.1)
    for _ in range(STANDBY_NUMBERS):
        one.settings.numbers.take()
    serve(one)
    assert [frame.connection for frame in one.exits[0].opens] == [1]


def test_without_a_path_by_then_the_next_candidate_is_tried(scenes):
    two = scenes(EXIT, OTHER_EXIT)
    two.tell(messages.PathChanged(EXIT.id, None))
    assert two.ingress.ref.is_alive()
    serve(two)
    assert [len(each.opens) for each in two.exits] == [0, 1]
    two.tell(messages.PathChanged(EXIT.id, two.exits[0].wire.ref))
    assert [len(each.opens) for each in two.exits] == [1, 1]


def test_a_path_that_comes_back_or_moves_meanwhile_is_used(scenes):
    two = scenes(EXIT, OTHER_EXIT)
    two.tell(messages.PathChanged(EXIT.id, None))
    two.tell(messages.PathChanged(EXIT.id, two.exits[1].wire.ref))  # by the link that leads to the other, too
    assert [each.opens for each in two.exits] == [[], []]
    serve(two)
    (frame,) = two.exits[1].opens
    assert frame.destination == EXIT.id


def test_one_that_is_discarded_gives_back_its_number_and_counts_nowhere(scenes, caplog):
    one = scenes()
    with caplog.at_level("INFO"):
        one.tell(messages.CloseConnection("another candidate is tried first by now"))
    assert not one.ingress.ref.is_alive()
    assert one.table.ended == [(1, False)]
    assert one.ingress_meters.connections_reset == 0
    assert caplog.records == []


def test_one_that_is_discarded_before_it_is_registered_gives_back_its_number(scenes):
    one = scenes(register=False)
    one.tell(messages.CloseConnection("the listener has ended"))
    assert not one.ingress.ref.is_alive()
    assert one.table.ended == [(1, False)]


def test_the_client_of_one_that_crashes_over_an_earlier_message_is_reset_and_counted_out(scenes):
    one = scenes()
    mailbox = one.ingress.actor_inbox
    mailbox.scheduled = True  # its turn comes once the client is there too
    one.ingress.ref.tell("no such message")
    one.serve(*one.parties)
    mailbox.announce(mailbox)
    one.run(0.1)
    assert one.client.end == RESET
    assert one.is_over


def test_a_client_that_is_reset_right_after_it_was_handed_over_costs_the_exit_nothing(scenes):
    one = scenes()
    serve(one)
    one.client.socket.abort()
    one.run(HANG_UP_POLL_S + 0.1)
    assert one.clients_left == 1
    session = one.exits[0].answer()
    (reset,) = one.exits[0].wire.of(FrameType.RESET)
    assert session.open_control(reset)
    assert one.is_over


def test_a_client_that_had_been_reset_before_it_was_handed_over_is_noticed(scenes):
    one = scenes()
    one.serve(*one.parties)
    one.client.socket.abort()
    one.run(HANG_UP_POLL_S + 0.1)
    one.exits[0].answer("refused")
    assert one.is_over


def test_a_client_that_finishes_before_the_connection_is_open_is_still_served(scenes):
    one = scenes()
    serve(one)
    one.client.send(b"question")
    one.client.socket.shutdown_write()
    one.run(3.0)
    session = one.exits[0].answer()
    assert [f.type for f in one.exits[0].wire.frames[-2:]] == [FrameType.DATA, FrameType.FIN]
    one.exits[0].send(session.seal_segment(FrameType.DATA, 0, b"answer"))
    one.run(0.1)
    assert bytes(one.client.received) == b"answer"


def test_frames_that_nobody_asked_for_change_nothing(scenes):
    one, other = scenes(), scenes()
    serve(other)
    frame, _ = other.exits[0].reply()
    one.tell(messages.SegmentsArrived((frame,), NO_AGENT))
    assert one.ingress.stands_by
    serve(one)
    assert len(one.exits[0].opens) == 1


def prepare_in_vain(scene):
    """Let its candidate turn out to have a key of no use; nobody else is told who that is."""
    ((offer, number),) = scene.ingress._opening._registering
    useless = msgspec.structs.replace(offer.party, session_key=bytes(32))
    scene.ingress._opening._registering = ((offer._replace(party=useless), number),)
    scene.ingress.ref.tell(messages.IngressRegistered(EXIT.id, 1, scene.exits[0].wire.ref))


def test_an_exit_whose_key_is_of_no_use_is_set_aside_and_the_client_has_others_tried(scenes):
    two = scenes(EXIT, OTHER_EXIT, register=False)
    prepare_in_vain(two)
    two.run(0.0)
    assert two.ingress.ref.is_alive()
    assert two.listener.heard == [CandidateFailed(EXIT.id, "unusable-key")]
    assert two.table.ended == [(1, False)]
    two.serve(*reversed(two.parties))
    two.run(0.0)
    two.tell(messages.IngressRegistered(OTHER_EXIT.id, 2, two.exits[1].wire.ref))
    two.exits[1].answer()
    two.run(0.1)
    assert two.listener.of(CandidateServed) == [CandidateServed(OTHER_EXIT.id)]


def test_a_client_that_is_on_its_way_when_the_key_turns_out_to_be_of_no_use_has_others_tried(scenes):
    two = scenes(EXIT, OTHER_EXIT, register=False)
    mailbox = two.ingress.actor_inbox
    mailbox.scheduled = True  # its turn comes once the client is there too
    prepare_in_vain(two)
    two.serve(*reversed(two.parties))
    mailbox.announce(mailbox)
    two.run(0.0)
    assert two.client.end == ""
    two.tell(messages.IngressRegistered(OTHER_EXIT.id, 2, two.exits[1].wire.ref))
    assert len(two.exits[1].opens) == 1


def test_its_key_pair_is_as_old_as_itself_whatever_was_in_stock(scenes):
    now = [0.0]
    stock = KeyStock(lambda count: bytes((int(now[0]) + 1,)) * count, lambda: now[0])
    stock.refill()
    now[0] = EPHEMERAL_AGE_S - 1
    one = scenes(ephemerals=stock)
    one.run(EPHEMERAL_AGE_S - 1)
    serve(one)
    (frame,) = one.exits[0].opens
    assert key_pair(bytes((int(EPHEMERAL_AGE_S),)) * 32).public in frame.body
    assert stock.take().public == key_pair(b"\1" * 32).public
