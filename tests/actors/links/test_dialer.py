"""Dialing, and redialing for ever; links and the directory are actors that only listen."""

import logging
from typing import Any

import msgspec
import pytest

from actors.links.dialer import DIAL_TIMEOUT_S, OWN_ADDRESS_S, QUICK_REDIALS, Dialer
from actors.messages import dialer as messages
from actors.messages.peer_directory import DialerReported, PathJudged
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.backoff import FIRST_DELAY_S, MAX_DELAY_S
from mesh.black_hole import KEEP_S, Evidence
from mesh.reaching import NEXT_ADDRESS_AFTER_S
from tests.actors.company import IDENTITIES, Ear, start

PORT = 4433
PEER = IDENTITIES[0].id


class Acceptor(Ear):
    """Takes whoever comes, and keeps them."""

    def on_start(self) -> None:
        self.clients: list[Any] = []
        listening = self.own(self.dispatcher.bind(TcpAddress("", PORT)))
        listening.listen()
        listening.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        self.clients.append(self.own(socket.accept()))


class Link(Ear):
    """A link that the dialer made."""

    def __init__(self, dispatcher: Any, socket: Any) -> None:
        super().__init__(dispatcher)
        self.socket = socket

    def on_start(self) -> None:
        self.own(self.socket)


class House:
    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.directory = start(self.world)
        self.links: list[Link] = []
        self.dialers: list[Any] = []

    def dial(self, host: str = "relay") -> Any:
        return start(
            self.world,
            Dialer,
            address=TcpAddress(host, PORT),
            directory=self.directory.ref,
            start_link=self._start_link,
        )

    def _start_link(self, socket: Any, dialer: Any) -> Any:
        ref = Link.start(self.world.dispatcher("here"), socket)
        self.links.append(self.world.dispatcher("here").actors[-1])
        self.dialers.append(dialer)
        return ref

    def states(self) -> list[str | None]:
        return [report.state for report in self.directory.of(DialerReported)]

    def tell(self, dialer: Any, *told: Any) -> None:
        for message in told:
            dialer.ref.tell(message)
        self.world.run(0.0)


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
    assert house.states() == ["dialing", None]


def test_redials_until_somebody_answers(house, caplog):
    house.world.dispatcher("relay")
    with caplog.at_level(logging.WARNING, logger="mesh.links"):
        house.dial()
        house.world.run(60.0)
        assert house.links == []
        assert len(caplog.records) == 1, "the same failure for ever is one line"
        assert "cannot reach peer relay:4433" in caplog.text
    tries = house.states().count("dialing")
    assert 60.0 / MAX_DELAY_S < tries < 5 * 60.0 / MAX_DELAY_S
    start(house.world, Acceptor, host="relay")
    house.world.run(MAX_DELAY_S)
    assert len(house.links) == 1


def test_a_name_that_is_not_known_is_looked_up_again(house):
    house.dial("later")
    house.world.run(5.0)
    start(house.world, Acceptor, host="later")
    house.world.run(MAX_DELAY_S)
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
    house.world.run(DIAL_TIMEOUT_S + MAX_DELAY_S)
    assert len(house.links) == 1
    assert house.world.open_sockets("here") == 1


def several(house, *hosts: str, cut: tuple[str, ...] = ()) -> None:
    """Give the name ``several`` the addresses of ``hosts``, of which those in ``cut`` are silent."""
    for host in hosts:
        house.world.network.host(host)
        house.world.network.add_name("several", host)
    for host in cut:
        house.world.network.cut("here", host)


def test_a_name_whose_first_addresses_are_silent_costs_a_quarter_of_a_second_for_each(house):
    several(house, "silent1", "silent2", "relay", cut=("silent1", "silent2"))
    start(house.world, Acceptor, host="relay")
    house.dial("several")
    house.world.run(2 * NEXT_ADDRESS_AFTER_S - 0.01)
    assert house.links == []
    house.world.run(0.1)
    assert len(house.links) == 1
    assert house.world.open_sockets("here") == 1
    assert not house.world.network.attempts


def test_a_name_with_a_hundred_silent_addresses_is_linked_in_time_by_its_last(house):
    silent = tuple(f"silent{number}" for number in range(100))
    several(house, *silent, "relay", cut=silent)
    start(house.world, Acceptor, host="relay")
    house.dial("several")
    house.world.run(DIAL_TIMEOUT_S / 2 + 0.1)
    assert len(house.links) == 1


def test_the_time_to_dial_is_for_all_addresses_and_the_most_telling_failure_is_said(house, caplog):
    several(house, "silent1", "refusing", "silent2", cut=("silent1", "silent2"))
    house.dial("several")
    house.world.run(DIAL_TIMEOUT_S + 0.1)
    assert house.states()[:2] == ["dialing", "waiting"]
    assert "Connection refused" in caplog.text


def test_an_address_that_accepts_but_is_no_peer_does_not_hide_the_others(house):
    several(house, "other", "relay")
    start(house.world, Acceptor, host="other")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    assert relay.clients == []
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(FIRST_DELAY_S + 0.1)
    assert len(relay.clients) == 1


def test_where_full_packets_seem_to_get_lost_the_next_link_has_smaller_ones_and_that_is_told(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)

    def link_ends(evidence: Evidence) -> int | None:
        house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
        house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn, evidence))
        house.world.run(MAX_DELAY_S)
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


def meet_itself(house, dialer):
    house.tell(dialer, messages.MetItself(), messages.DialedLinkEnded(house.links[-1].actor_urn))


def test_an_agent_that_is_its_own_peer_says_so_once_and_rarely_looks_whether_that_has_changed(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    with caplog.at_level(logging.INFO, logger="mesh.links"):
        for count in range(1, 4):
            meet_itself(house, dialer)
            house.world.run(OWN_ADDRESS_S - 1)
            assert len(house.links) == count, "not dialed meanwhile"
            house.world.run(1.0 + FIRST_DELAY_S + 0.1)
            assert len(house.links) == count + 1
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "peer relay:4433 is this agent itself" in caplog.text
    assert house.states()[1:4] == [None, "waiting", "dialing"], "a name may have other addresses"
    assert house.states()[4] == "this agent itself"
    house.tell(
        dialer, messages.LinkAdmitted(PEER, "relay"), messages.DialedLinkEnded(house.links[-1].actor_urn)
    )
    house.world.run(FIRST_DELAY_S + 0.1)
    assert len(house.links) == 5, "once it is another agent, that is redialed as any"


def test_an_agent_at_its_own_literal_address_is_not_looked_up_again(house):
    dialer = house.dial("127.0.0.1")
    start(house.world, Acceptor, host="here")
    house.world.run(MAX_DELAY_S)
    assert len(house.links) == 1
    meet_itself(house, dialer)
    assert house.states()[-1] == "this agent itself"


def test_a_name_that_stands_for_this_agent_and_others_leads_to_the_others(house):
    several(house, "own", "relay")
    start(house.world, Acceptor, host="own")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(FIRST_DELAY_S + 0.1)
    assert len(relay.clients) == len(house.links) - 1 == 1


def test_an_own_name_with_an_address_that_refuses_is_the_own_one_still(house, caplog):
    several(house, "own", "own-by-ipv6")
    start(house.world, Acceptor, host="own")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(OWN_ADDRESS_S - 1.0)
    assert house.states()[-1] == "this agent itself"
    assert house.states().count("dialing") == 2
    assert len(house.links) == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_another_agent_behind_the_own_name_that_is_silent_is_dialed_on_as_any(house, caplog):
    several(house, "own", "relay", cut=("relay",))
    start(house.world, Acceptor, host="own")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(DIAL_TIMEOUT_S + 1.0)
    assert "cannot reach peer several:4433: no answer within 10 s" in caplog.text
    house.world.network.heal("here", "relay")
    house.world.run(MAX_DELAY_S + DIAL_TIMEOUT_S)
    assert len(relay.clients) == 1


def test_redials_when_its_link_has_ended(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.LinkAdmitted(PEER, "relay"))
    house.world.run(30.0)
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(FIRST_DELAY_S + 0.1)
    assert len(house.links) == 2


def test_links_that_end_at_once_are_dialed_less_and_less_often(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    gaps = []
    for _ in range(QUICK_REDIALS + 9):
        count, before = len(house.links), house.world.now()
        house.world.run_while(lambda count=count: len(house.links) == count, 2 * MAX_DELAY_S)
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
    house.world.run(FIRST_DELAY_S)
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


def test_rests_while_the_peer_is_linked_anyway(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(dialer, messages.PeerAlreadyLinked(PEER), messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(60.0)
    assert len(house.links) == 1
    house.tell(dialer, messages.PeerLost(PEER))
    house.world.run(FIRST_DELAY_S + 0.1)
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
    house.world.run(FIRST_DELAY_S + 0.1)
    assert len(house.links) == 2
    house.tell(dialer, messages.DialedLinkEnded(first))
    house.world.run(30.0)
    assert len(house.links) == 2
