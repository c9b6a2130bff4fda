"""One link for each peer, and where frames go; links, dialers and the tables are actors that only listen."""

from typing import Any

import pytest

from actors.links.peer_directory import (
    CHALLENGE_TIMEOUT_S,
    RETIRE_AFTER_S,
    PeerDirectory,
)
from actors.links.twins import TWIN_WARNING_S
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.alarms import AlarmKind
from mesh.link.arrivals import ADMISSION_BURST, ADMISSION_RATE
from mesh.sampling import ALARM_MARK
from mesh.trust.certificates import Certificate, read_certificate
from mesh.trust.identity import AgentId, Instance, short_id
from tests.actors.company import IDENTITIES, Ear, routes_of, start
from tests.actors.links.link_company import TRUST, certificate_of

LOW, OWN, HIGH, FAR = IDENTITIES[:4]
FIRST, SECOND, THIRD = (Instance(byte * 16) for byte in (b"1", b"2", b"3"))
NO_WAIT = 0.0

CERTIFICATE = read_certificate(certificate_of(HIGH))


class House:
    """A directory among actors that only listen."""

    def __init__(self, *, relays: bool = True) -> None:
        self.world = VirtualWorld(1)
        self.routes, self.connections, self.loopback = (start(self.world) for _ in range(3))
        self.meters = Meters()
        self.directory = start(
            self.world,
            PeerDirectory,
            own_id=OWN.id,
            relays=relays,
            trust=TRUST,
            route_table=self.routes.ref,
            connection_table=self.connections.ref,
            loopback=self.loopback.ref,
            meters=self.meters,
        )

    def tell(self, *told: Any) -> None:
        for message in told:
            self.directory.ref.tell(message)
        self.world.run(NO_WAIT)

    def establish(
        self,
        peer_id: AgentId = HIGH.id,
        instance: Instance = FIRST,
        *,
        static: bytes | None = None,
        dialer: Ear | None = None,
        rtt_s: float = 0.01,
        certificate: Certificate | None = None,
    ) -> Ear:
        link = start(self.world)
        self.tell(
            messages.LinkEstablished(
                link=link.ref,
                peer_id=peer_id,
                peer_instance=instance,
                peer_static=instance * 2 if static is None else static,
                peer_name="peer",
                certificate=certificate or CERTIFICATE,
                address="10.0.0.1:4433",
                is_dialer=dialer is not None,
                rtt_s=rtt_s,
                dialer=dialer.ref if dialer is not None else None,
            )
        )
        return link

    def end(self, link: Ear, peer_id: AgentId = HIGH.id, why: str = "", *, has_left: bool = False) -> None:
        link.ref.stop(block=False)
        self.tell(messages.LinkEnded(link.actor_urn, peer_id, why, has_left))

    def peers(self) -> tuple[messages.PeerStatus, ...]:
        return self.world.ask(self.directory.ref, messages.GetPeers())

    def forwarding(self) -> dict[AgentId, Any]:
        return dict(self.connections.of(link_messages.ForwardingChanged)[-1].links)


def admitted(link: Ear) -> bool:
    return bool(link.of(link_messages.AdmitLink)) and not link.of(link_messages.CloseLink)


def closed(link: Ear) -> bool:
    return bool(link.of(link_messages.CloseLink))


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def test_admits_the_first_link_and_says_so(house):
    dialer = start(house.world)
    link = house.establish(dialer=dialer)
    assert admitted(link)
    assert dialer.heard == [dialer_messages.LinkAdmitted(HIGH.id, "peer")]
    assert house.routes.heard[-1] == route_messages.LinkUp(HIGH.id, FIRST, link.ref, 0.01)


def test_says_when_a_link_has_ended(house):
    link = house.establish()
    house.end(link)
    assert house.routes.heard[-1] == route_messages.LinkDown(HIGH.id, link.actor_urn)
    house.tell(messages.LinkEnded("urn:unknown", HIGH.id))
    assert len(house.routes.of(route_messages.LinkDown)) == 1


@pytest.mark.parametrize("own_comes_first", [True, False])
@pytest.mark.parametrize(("peer_id", "own_stays"), [(HIGH.id, True), (LOW.id, False)])
def test_of_simultaneous_dials_the_one_of_the_lower_id_stays(house, peer_id, own_stays, own_comes_first):
    dialer = start(house.world)
    if own_comes_first:
        dialed = house.establish(peer_id, dialer=dialer)
        accepted = house.establish(peer_id)
    else:
        accepted = house.establish(peer_id)
        dialed = house.establish(peer_id, dialer=dialer)
    stays, goes = (dialed, accepted) if own_stays else (accepted, dialed)
    assert stays.of(link_messages.AdmitLink)
    house.world.run(RETIRE_AFTER_S + 0.1)
    assert admitted(stays)
    assert closed(goes)
    assert not closed(stays)
    rests = dialer_messages.PeerAlreadyLinked(peer_id) in dialer.heard
    assert rests is not own_stays
    # The link that lost ends now; what stays is not touched, and a resting dialer hears of its end only.
    house.end(goes, peer_id)
    assert dialer_messages.PeerLost(peer_id) not in dialer.heard
    house.end(stays, peer_id)
    assert (dialer_messages.PeerLost(peer_id) in dialer.heard) is rests


def test_a_peer_that_dials_again_has_lost_its_first_link(house):
    first, second = house.establish(), house.establish()
    assert not closed(first), "the other end may not have admitted the second yet"
    house.world.run(RETIRE_AFTER_S + 0.1)
    assert closed(first)
    assert admitted(second)
    house.end(first)
    assert [status.state for status in house.world.ask(house.directory.ref, messages.GetPeers())] == [
        "connected"
    ]


def test_another_instance_must_wait_until_the_first_has_been_silent(house):
    old, new = house.establish(), house.establish(instance=SECOND)
    assert len(old.of(link_messages.ChallengePeer)) == 1
    assert new.heard == []
    house.world.run(CHALLENGE_TIMEOUT_S)
    assert closed(old)
    assert admitted(new)


def test_another_instance_is_a_duplicate_where_the_first_answers(house, caplog):
    old, new = house.establish(), house.establish(instance=SECOND)
    house.tell(messages.PeerAnswered(old.actor_urn, HIGH.id))
    house.world.run(2 * CHALLENGE_TIMEOUT_S)
    assert admitted(old)
    assert [type(message) for message in new.heard] == [link_messages.CloseLink]
    assert "duplicate identity" in new.heard[0].reason
    assert [record.levelname for record in caplog.records if "duplicate identity" in record.message] == [
        "ERROR"
    ]


def test_each_duplicate_is_reported_once_and_refused_each_time(house, caplog):
    old = house.establish()
    for instance in (SECOND, SECOND, THIRD, SECOND, THIRD):
        again = house.establish(instance=instance)
        house.tell(messages.PeerAnswered(old.actor_urn, HIGH.id))
        assert closed(again)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert [getattr(record, ALARM_MARK) for record in caplog.records] == ["identity"] * 2
    assert house.meters.alarms.counts() == ((AlarmKind.IDENTITY, f"peer {short_id(HIGH.id)}", 5),)


def test_an_instance_with_another_static_key_is_a_duplicate_at_once(house, caplog):
    """An instance can be copied from a record; whoever has another static key is not that process."""
    old = house.establish()
    copies = [house.establish(static=byte * 32) for byte in (b"x", b"x", b"y")]
    assert admitted(old)
    assert not closed(old)
    for copy in copies:
        assert [type(message) for message in copy.heard] == [link_messages.CloseLink]
        assert "duplicate identity" in copy.heard[0].reason
    assert house.meters.alarms.counts() == ((AlarmKind.IDENTITY, f"peer {short_id(HIGH.id)}", 3),)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert len(old.of(link_messages.ChallengePeer)) == 3, "its own agent hears of it"
    house.world.run(2 * CHALLENGE_TIMEOUT_S)
    assert not closed(old)


def test_who_is_challenged_says_once_for_each_link_that_there_is_another(house, caplog):
    house.tell(messages.ChallengeArrived(HIGH.id))
    assert caplog.records == []
    for told in (1, 2):
        link = house.establish()
        house.tell(*[messages.ChallengeArrived(HIGH.id)] * 3)
        assert sum("this agent's identity key" in record.message for record in caplog.records) == told
        house.end(link)
    assert {getattr(record, ALARM_MARK) for record in caplog.records} == {"identity"}
    assert house.meters.alarms.counts() == ((AlarmKind.IDENTITY, "this agent", 6),)


@pytest.mark.parametrize("sign", [messages.ChallengeArrived(HIGH.id), messages.TwinMet()])
def test_a_twin_is_warned_of_for_a_while_after_the_latest_sign_of_it(house, sign):
    def warnings() -> tuple[str, ...]:
        return house.world.ask(house.directory.ref, messages.GetWarnings())

    house.establish()
    assert warnings() == ()
    for _ in range(3):
        house.tell(sign)
        house.world.run(TWIN_WARNING_S - 1.0)
        assert ["this agent's identity key" in warning for warning in warnings()] == [True]
    house.world.run(1.1)
    assert warnings() == ()


def test_an_answer_on_another_link_saves_nobody(house):
    old, new = house.establish(), house.establish(instance=SECOND)
    house.tell(messages.PeerAnswered(new.actor_urn, HIGH.id), messages.PeerAnswered(old.actor_urn, LOW.id))
    house.world.run(CHALLENGE_TIMEOUT_S)
    assert closed(old)
    assert admitted(new)


def test_a_challenged_link_that_ends_makes_room_at_once(house):
    old, new = house.establish(), house.establish(instance=SECOND)
    house.end(old)
    assert admitted(new)
    house.world.run(2 * CHALLENGE_TIMEOUT_S)
    assert admitted(new)


def test_a_challenger_that_ends_is_forgotten(house):
    old, new = house.establish(), house.establish(instance=SECOND)
    house.end(new)
    house.world.run(2 * CHALLENGE_TIMEOUT_S)
    assert admitted(old)
    third = house.establish(instance=THIRD)
    assert len(old.of(link_messages.ChallengePeer)) == 2
    assert third.heard == []


def test_one_challenger_at_a_time(house):
    house.establish()
    second = house.establish(instance=SECOND)
    third = house.establish(instance=THIRD)
    assert closed(third)
    assert second.heard == []


def test_measurements_count_for_the_admitted_link_only(house):
    first = house.establish()
    second = house.establish()
    house.tell(
        messages.LinkMeasured(first.actor_urn, HIGH.id, 9.0),
        messages.LinkMeasured(second.actor_urn, HIGH.id, 0.5),
    )
    assert house.routes.of(route_messages.LinkMeasured) == [route_messages.LinkMeasured(HIGH.id, 0.5)]
    (status,) = house.world.ask(house.directory.ref, messages.GetPeers())
    assert status.rtt_s == 0.5


def test_forwarding_follows_routes_and_links(house):
    house.tell(route_messages.RoutesChanged(routes_of(OWN, next_hops={HIGH.id: HIGH.id, FAR.id: HIGH.id})))
    assert house.forwarding() == {OWN.id: house.loopback.ref}, "there is no link yet"
    link = house.establish()
    assert house.forwarding() == {OWN.id: house.loopback.ref, HIGH.id: link.ref, FAR.id: link.ref}
    assert dict(link.of(link_messages.ForwardingChanged)[-1].links) == house.forwarding()
    house.end(link)
    assert house.forwarding() == {OWN.id: house.loopback.ref}


def test_links_of_an_agent_that_does_not_relay_hear_of_no_routes():
    house = House(relays=False)
    link = house.establish()
    house.tell(route_messages.RoutesChanged(routes_of(OWN, next_hops={HIGH.id: HIGH.id})))
    assert house.forwarding()[HIGH.id] is link.ref
    assert link.heard == [link_messages.AdmitLink()]
    house.world.stop()


def test_shows_peers_and_what_dialers_are_about(house):
    house.establish(rtt_s=0.25)
    house.tell(
        messages.DialerReported("relay:4433", "dialing", "Connection refused"),
        messages.DialerReported("hq:4433", "waiting"),
        messages.DialerReported("hq:4433", None),
    )
    peers = house.world.ask(house.directory.ref, messages.GetPeers())
    assert [(peer.peer_id, peer.state, peer.address, peer.rtt_s) for peer in peers] == [
        (HIGH.id, "connected", "10.0.0.1:4433", 0.25),
        (None, "dialing", "relay:4433", None),
    ]
    assert [peer.problem for peer in peers] == [None, "Connection refused"]


def test_dialers_that_have_ended_wait_for_nothing(house):
    link = house.establish(LOW.id)
    stays, goes, is_late = (start(house.world) for _ in range(3))
    for dialer in (stays, goes, goes):
        house.establish(LOW.id, dialer=dialer)
    for dialer in (goes, is_late):
        dialer.ref.stop(block=False)
    house.tell(messages.DialerReported("goes:4433", None))
    house.tell(messages.LinkTurnedAway(LOW.id, "peer", "is-late:4433", "another link", is_late.ref))
    assert list(house.directory._peers[LOW.id].waiting_dialers) == [stays.ref]
    house.end(link, LOW.id)
    assert stays.of(dialer_messages.PeerLost) == [dialer_messages.PeerLost(LOW.id)]


def test_shows_what_is_wrong_with_the_path_of_a_link_while_it_is(house):
    dialer, other = start(house.world), start(house.world)
    house.establish(dialer=dialer)

    def problem() -> str | None:
        (peer,) = house.world.ask(house.directory.ref, messages.GetPeers())
        return peer.problem

    assert problem() is None
    house.tell(messages.PathJudged(dialer.ref.actor_urn, "small packets only"))
    house.tell(messages.PathJudged(other.ref.actor_urn, "nothing of this link"))
    assert problem() == "small packets only"
    house.tell(messages.PathJudged(dialer.ref.actor_urn, ""))
    assert problem() is None


def test_closes_all_links_and_reports_when_none_is_left(house):
    root = start(house.world)
    links = {peer_id: house.establish(peer_id) for peer_id in (LOW.id, HIGH.id)}
    house.tell(messages.CloseAllLinks("leaving", root.ref))
    assert all(link.heard[-1] == link_messages.CloseLink("leaving") for link in links.values())
    house.end(links[LOW.id], LOW.id)
    assert root.heard == []
    late = house.establish(FAR.id)
    assert late.heard == [link_messages.CloseLink("leaving")]
    house.end(links[HIGH.id])
    assert root.heard == [messages.LinksClosed()]


def test_who_contests_a_link_while_all_are_closed_is_closed_too(house):
    root, old, new = start(house.world), house.establish(), house.establish(instance=SECOND)
    house.tell(messages.CloseAllLinks("leaving", root.ref))
    house.world.run(CHALLENGE_TIMEOUT_S)  # a link to a machine that is gone takes as long to end
    assert new.heard == [link_messages.CloseLink("leaving")]
    house.end(old)
    assert root.heard == [messages.LinksClosed()]


def test_without_links_all_are_closed_at_once(house):
    root = start(house.world)
    house.tell(messages.CloseAllLinks("leaving", root.ref))
    assert root.heard == [messages.LinksClosed()]


def test_one_identity_is_let_in_so_often_and_no_more(house, caplog):
    came = 0
    for _ in range(200):
        link = house.establish()
        came += admitted(link)
        house.end(link)
    assert came == ADMISSION_BURST
    assert len(house.routes.of(route_messages.LinkUp)) == ADMISSION_BURST
    assert house.meters.links_refused == 200 - ADMISSION_BURST
    assert "links of this agent come and go too often" in caplog.text
    assert admitted(house.establish(FAR.id))
    house.world.run(1.0 / ADMISSION_RATE)
    assert admitted(house.establish())


def test_links_that_this_agent_dials_come_at_its_own_pace(house):
    dialer = start(house.world)
    for _ in range(2 * int(ADMISSION_BURST)):
        link = house.establish(dialer=dialer)
        assert admitted(link)
        house.end(link)
