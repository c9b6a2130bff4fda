"""Dialing, and redialing for ever; links and the directory are actors that only listen."""

import logging

import msgspec
import pytest

from actors.links.dialer import (
    DIAL_TIMEOUT_S,
    FIRST_REDIAL_S,
    HANDSHAKE_HINT_S,
    MAX_REDIAL_S,
    QUICK_REDIALS,
    SILENT,
    State,
)
from actors.links.reports import MAX_TROUBLE_CHARACTERS
from actors.messages import dialer as messages
from actors.messages.peer_directory import PathJudged
from mesh.black_hole import KEEP_S, Evidence
from mesh.link.opening import TICKET_BYTES
from tests.actors.company import start
from tests.actors.links.dialer_company import PEER, Acceptor, House


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def test_dials_at_once_and_starts_a_link(house):
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    assert len(house.links) == len(relay.clients) == 1
    assert house.dialers == [dialer.ref]
    assert house.states() == ["dialing", State.SHAKING.value]
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    assert house.states()[2:] == [None]


def test_an_address_where_something_listens_and_says_nothing_is_told_of_while_it_is_silent(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(HANDSHAKE_HINT_S - 0.1)
    assert (house.states()[-1], house.problem(), caplog.records) == (State.SHAKING.value, None, [])
    house.world.run(0.2)
    told = f"10.0.0.2:4433 {SILENT}"
    assert house.states()[-1] == State.SHAKING.value
    assert house.problem() == told
    for _ in range(3):  # the link gives up, and the next one meets the same silence
        house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
        assert (house.states()[-1], house.problem()) == ("waiting", told)
        house.world.run(FIRST_REDIAL_S + HANDSHAKE_HINT_S + 0.1)
    assert [record.getMessage() for record in caplog.records] == [f"cannot link with peer relay:4433: {told}"]
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    assert (house.states()[-1], house.problem()) == (None, None), "late is not never"


def test_a_link_that_is_admitted_in_time_is_not_told_of_as_silent(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    house.world.run(10 * HANDSHAKE_HINT_S)
    assert (house.states()[-1], caplog.records) == (None, [])


def test_redials_until_somebody_answers(house, caplog):
    house.world.dispatcher("relay")
    with caplog.at_level(logging.WARNING, logger="mesh.links"):
        house.dial()
        house.world.run(60.0)
        assert house.links == []
        assert len(caplog.records) == 1, "the same failure for ever is one line"
        assert "cannot reach peer relay:4433" in caplog.text
    tries = house.states().count("dialing")
    assert 60.0 / MAX_REDIAL_S < tries < 5 * 60.0 / MAX_REDIAL_S
    start(house.world, Acceptor, host="relay")
    house.world.run(MAX_REDIAL_S)
    assert len(house.links) == 1


def test_a_peer_that_comes_and_goes_is_not_dialed_more_often(house):
    house.world.dispatcher("relay")
    dialer = house.dial()
    house.world.run(60.0)
    house.tell(dialer, *[messages.PeerAlreadyLinked(PEER), messages.PeerLost(PEER)] * 50)
    before = house.states().count("dialing")
    house.world.run(60.0)
    assert house.states().count("dialing") - before < QUICK_REDIALS + 5 * 60.0 / MAX_REDIAL_S


def test_a_dialer_that_ends_is_not_shown_any_more(house):
    house.world.dispatcher("relay")
    dialer = house.dial()
    house.world.run(1.0)
    assert house.states()[-1] is not None
    dialer.ref.stop(block=False)
    house.world.run(0.0)
    assert house.states()[-1] is None


def test_a_name_that_is_not_known_is_looked_up_again(house):
    house.dial("later")
    house.world.run(5.0)
    start(house.world, Acceptor, host="later")
    house.world.run(MAX_REDIAL_S)
    assert len(house.links) == 1


def test_silence_is_given_up_in_time(house):
    start(house.world, Acceptor, host="relay")
    house.world.network.cut("here", "relay")
    house.dial()
    house.world.run(DIAL_TIMEOUT_S - 0.1)
    assert house.states() == ["dialing"]
    house.world.run(0.2)
    assert house.states()[:2] == ["dialing", "waiting"]
    house.world.network.heal("here", "relay")
    house.world.run(DIAL_TIMEOUT_S + MAX_REDIAL_S)
    assert len(house.links) == 1
    assert house.world.open_sockets("here") == 1


def test_where_full_packets_seem_to_get_lost_the_next_link_has_smaller_ones_and_that_is_told(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)

    def link_ends(evidence: Evidence) -> int | None:
        house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
        house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn, evidence))
        house.world.run(MAX_REDIAL_S)
        return dialer._reach.options.max_segment_bytes

    assert link_ends(Evidence.NONE) is None
    assert house.directory.of(PathJudged) == []
    assert link_ends(Evidence.STRONG) == 1220
    [judged] = house.directory.of(PathJudged)
    assert judged.dialer_urn == dialer.ref.actor_urn
    assert "between here and relay:4433: check the MTU" in judged.problem
    assert judged.problem in caplog.text
    assert link_ends(Evidence.NONE) == 1220, "it stays so while the path may be as it was"
    house.world.run(KEEP_S)
    assert link_ends(Evidence.NONE) is None
    assert house.directory.of(PathJudged)[1:] == [PathJudged(dialer.ref.actor_urn, "")]
    assert sum("full size" in record.getMessage() for record in caplog.records) == 1


def test_a_dialer_that_ends_takes_its_problem_along(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn, Evidence.STRONG))
    dialer.ref.stop(block=False)
    house.world.run(0.1)
    assert [bool(judged.problem) for judged in house.directory.of(PathJudged)] == [True, False]


def test_redials_when_its_link_has_ended(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    house.world.run(30.0)
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(house.links) == 2


def test_links_that_end_at_once_are_dialed_less_and_less_often(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    gaps = []
    for _ in range(QUICK_REDIALS + 9):
        count, before = len(house.links), house.world.now()
        house.world.run_while(lambda count=count: len(house.links) == count, 2 * MAX_REDIAL_S)
        gaps.append(house.world.now() - before)
        house.tell(
            dialer, messages.LinkAdmitted(PEER, "relay"), messages.DialedLinkEnded(house.links[-1].actor_urn)
        )
    assert max(gaps) > 8 * max(gaps[:2])


@pytest.mark.parametrize("back_after_s", [0.4, 0.7, 1.0])
def test_a_peer_that_restarts_again_and_again_is_linked_soon_after_it_is_back(house, back_after_s):
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    relay.ref.stop(block=False)
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(back_after_s)
    start(house.world, Acceptor, host="relay")
    house.world.run(FIRST_REDIAL_S)
    assert len(house.links) == 2


def test_the_same_refusal_for_ever_is_one_line_until_something_changes(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    theirs = messages.DialRefused("relay\n", "10.0.0.1:4433", "duplicate identity")
    ours = messages.DialRefused(None, "10.0.0.1:4433", "peer not trusted")

    def told(*refusals: messages.DialRefused) -> list[str]:
        caplog.clear()
        house.tell(dialer, *refusals)
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    by_relay = "link refused by relay\\n at 10.0.0.1:4433: duplicate identity"
    assert told(*[theirs] * 3) == [by_relay]
    elsewhere = msgspec.structs.replace(theirs, address="10.0.0.2:4433")
    assert told(elsewhere, theirs) == [], "a name with several addresses changes nothing"
    assert told(ours, ours) == ["link refused: peer not trusted (dialed 10.0.0.1:4433)"]
    assert told(theirs) == [by_relay]
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    assert told(theirs) == [by_relay]
    with caplog.at_level(logging.DEBUG, logger="mesh.links"):
        house.tell(dialer, theirs)
        assert caplog.records[-1].levelno == logging.DEBUG


def test_why_a_peer_cannot_be_reached_is_shown_until_it_is_linked(house):
    house.world.dispatcher("relay")
    dialer = house.dial()
    house.world.run(1.0)
    assert "Connection refused" in house.problem()
    start(house.world, Acceptor, host="relay")
    house.world.run(MAX_REDIAL_S)
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    assert house.problem() is None
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    assert (house.states()[-1], house.problem()) == ("waiting", None), "it was linked"


@pytest.mark.parametrize(
    ("refusal", "shown"),
    [
        (messages.DialRefused("re\nlay", "relay:4433", "duplicate\n"), "refused by re\\nlay: duplicate\\n"),
        (messages.DialRefused(None, "relay:4433", "not trusted"), "no link: not trusted"),
        (messages.DialRefused(None, "relay:4433", "it is x", True), "another agent at the address: it is x"),
        (None, "is the address of an agent's accept: and that the agent there is not stuck"),
    ],
)
def test_why_a_link_came_to_nothing_is_shown_until_the_peer_is_linked_anyway(house, refusal, shown):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    told = () if refusal is None else (refusal,)
    house.tell(dialer, *told, messages.DialedLinkEnded(house.links[-1].actor_urn))
    assert house.states()[-1] == "waiting"
    assert house.problem().endswith(shown)
    house.tell(dialer, messages.PeerAlreadyLinked(PEER), messages.PeerLost(PEER))
    assert (house.states()[-1], house.problem()) == ("waiting", None)


def test_a_refusal_that_is_heard_after_the_end_of_its_link_is_shown_all_the_same(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    for _ in range(3):
        house.world.run(FIRST_REDIAL_S + 0.1)
        house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
        house.tell(dialer, messages.DialRefused("relay", "relay:4433", "duplicate identity"))
        assert (house.states()[-1], house.problem()) == ("waiting", "refused by relay: duplicate identity")


def test_a_long_reason_is_shown_in_part(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    refused = messages.DialRefused("relay", "relay:4433", "\n" * 10_000)
    house.tell(dialer, refused, messages.DialedLinkEnded(house.links[-1].actor_urn))
    assert len(house.problem()) == MAX_TROUBLE_CHARACTERS + len("...")


def test_rests_while_the_peer_is_linked_anyway(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.PeerAlreadyLinked(PEER), messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(60.0)
    assert len(house.links) == 1
    house.tell(dialer, messages.PeerLost(PEER))
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(house.links) == 2


def test_a_loss_that_concerns_others_changes_nothing(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.PeerLost(PEER))
    house.world.run(60.0)
    assert len(house.links) == 1


def test_leaves_no_socket_behind_when_it_ends_in_the_middle(house):
    start(house.world, Acceptor, host="relay")
    house.world.network.cut("here", "relay")
    dialer = house.dial()
    house.world.run(1.0)
    dialer.ref.stop(block=False)
    house.world.network.heal("here", "relay")
    house.world.run(60.0)
    assert house.links == []
    assert house.world.open_sockets("here") == 0


def test_the_end_of_an_earlier_link_says_nothing_of_the_present_one(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    first = house.links[-1].actor_urn
    house.tell(dialer, messages.PeerAlreadyLinked(PEER), messages.PeerLost(PEER))
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(house.links) == 2
    house.tell(dialer, messages.DialedLinkEnded(first))
    house.world.run(30.0)
    assert len(house.links) == 2


def test_what_a_link_leaves_is_shown_to_the_same_address_again_and_to_no_other(house):
    for host in ("first", "second"):
        start(house.world, Acceptor, host=host)
    move(house, "first")
    dialer = house.dial()
    house.world.run(0.1)
    assert len(house.tickets[0]) == TICKET_BYTES
    ticket = b"t" * TICKET_BYTES
    urn = house.links[0].actor_urn
    house.tell(dialer, messages.TicketLeft(urn, ticket), messages.TicketLeft("an earlier one", bytes(16)))
    again(house, dialer)
    assert house.tickets[1] == ticket
    again(house, dialer)
    assert house.tickets[2] == ticket, "until a link leaves another one"
    move(house, "second")
    again(house, dialer)
    assert ticket != house.tickets[3] != house.tickets[0]
    move(house, "first")
    again(house, dialer)
    assert house.tickets[4] == ticket


def move(house, host):
    """The peer's name leads there from now on."""
    house.world.network.remove_name("relay")
    house.world.network.add_name("relay", host)


def again(house, dialer):
    """Its link, which was admitted, ends, and it dials again."""
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(FIRST_REDIAL_S + 0.1)


def test_tickets_are_kept_for_some_addresses(house, monkeypatch):
    monkeypatch.setattr("actors.links.dialer.MAX_ADDRESSES", 2)
    hosts = ("first", "second", "third")
    for host in hosts:
        start(house.world, Acceptor, host=host)
    move(house, "first")
    dialer = house.dial()
    house.world.run(0.1)
    for number, host in enumerate((*hosts[1:], hosts[0])):
        left = bytes([number]) * TICKET_BYTES
        house.tell(dialer, messages.TicketLeft(house.links[-1].actor_urn, left))
        move(house, host)
        again(house, dialer)
    assert not set(house.tickets) & {bytes([number]) * TICKET_BYTES for number in range(3)}
    move(house, "third")
    again(house, dialer)
    assert house.tickets[-1] == bytes([2]) * TICKET_BYTES
