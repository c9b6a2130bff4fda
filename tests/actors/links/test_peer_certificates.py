"""Which certificate a link goes by while it is up, and how long what was passed on before is excused."""

import msgspec
import pytest

from actors.links.linked_peer import RIGHTS_GONE_S
from actors.links.peer_directory import CHALLENGE_TIMEOUT_S
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from mesh.link.frames import Frame, FrameType
from mesh.trust.certificates import Certificate, TrustStore, read_certificate
from tests.actors.company import Ear, record_of, routes_of
from tests.actors.links.link_company import BOB, OWN, PEER, LinkScene, certificate_of
from tests.actors.links.test_peer_directory import CERTIFICATE, FIRST, HIGH, SECOND, House, closed
from tests.frame_sizes import smallest_body

IDLE = certificate_of(HIGH, may_relay=False)
"""Of one that may not relay; the first one that it shows lets it."""


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def show(house: House, certificate: Certificate) -> None:
    """The peer's record comes with this certificate."""
    record = record_of(HIGH, instance=FIRST[:1])
    house.tell(
        route_messages.RoutesChanged(
            routes_of(OWN, msgspec.structs.replace(record, certificate=certificate)),
        )
    )


def told(link: Ear) -> list[tuple[bool, bool]]:
    """Of what a link was told of its peer: whether that may relay, and is excused if not."""
    heard = link.of(link_messages.PeerCertified)
    return [(each.certificate.may_relay, each.is_excused) for each in heard]


def test_a_link_hears_at_once_of_another_certificate_and_only_of_another(house):
    link = house.establish()
    show(house, read_certificate(certificate_of(HIGH)))
    assert told(link) == []
    renewed = read_certificate(certificate_of(HIGH, valid_s=5))
    show(house, renewed)
    assert [each.certificate for each in link.of(link_messages.PeerCertified)] == [renewed]


@pytest.mark.parametrize("is_read_anew", [False, True])
def test_who_loses_the_right_to_relay_is_excused_for_a_while_and_no_longer(house, is_read_anew):
    """Another trust store, such as comes of a revocation, reads all certificates anew."""
    link = house.establish()
    idle = read_certificate(IDLE)
    show(house, idle)
    house.world.run(RIGHTS_GONE_S / 2)
    show(house, read_certificate(IDLE) if is_read_anew else idle)
    assert told(link) == [(False, True)]
    house.world.run(RIGHTS_GONE_S / 2 + 0.1)
    assert told(link) == [(False, True), (False, False)]


def test_another_certificate_in_that_while_does_not_end_it(house):
    link = house.establish()
    show(house, read_certificate(IDLE))
    house.world.run(RIGHTS_GONE_S / 2)
    show(house, read_certificate(certificate_of(HIGH, may_relay=False, valid_s=5)))
    assert told(link) == [(False, True), (False, True)]
    house.world.run(RIGHTS_GONE_S / 2 + 0.1)
    assert told(link)[-1] == (False, False)


def test_a_right_that_is_lost_twice_is_excused_from_the_second_time_on(house):
    link = house.establish()
    for certificate in (read_certificate(IDLE), CERTIFICATE, read_certificate(IDLE)):
        show(house, certificate)
        house.world.run(RIGHTS_GONE_S * 0.3)
    house.world.run(RIGHTS_GONE_S * 0.3)  # the first while is over
    assert told(link)[-1] == (False, True)
    house.world.run(RIGHTS_GONE_S * 0.5)
    assert told(link)[-1] == (False, False)


def test_a_link_whose_handshake_is_older_than_the_record_hears_of_that_when_it_comes_up(house):
    """It takes the place of another, so that no route changes."""
    house.establish()
    show(house, read_certificate(IDLE))
    newer = house.establish()
    assert told(newer) == [(False, True)]
    house.world.run(RIGHTS_GONE_S + 0.1)
    assert told(newer)[-1] == (False, False)


def test_who_contests_a_link_and_is_trusted_no_more_does_not_take_its_place(house):
    old, new = house.establish(), house.establish(instance=SECOND)
    house.tell(directory_messages.TrustChanged(TrustStore([OWN.public_key])))
    assert closed(old)
    assert closed(new)
    house.world.run(2 * CHALLENGE_TIMEOUT_S)
    assert not new.of(link_messages.AdmitLink)


def test_a_link_ends_with_the_certificate_that_its_peer_shows_since(scene):
    peer = scene.admitted()
    certificate = read_certificate(certificate_of(PEER, valid_s=100, may_relay=False))
    scene.tell(link_messages.PeerCertified(certificate, is_excused=True))
    scene.run(99.0)
    assert scene.is_alive
    scene.run(1.0)
    assert scene.link_ended
    assert peer.reasons == ["certificate expired"]


def test_who_is_excused_may_bring_what_others_say_until_that_is_over(scene: LinkScene):
    peer = scene.admitted()
    certificate = read_certificate(certificate_of(PEER, may_relay=False))
    of_bob = Frame(FrameType.DATA, False, BOB.id, OWN.id, 1, 0, smallest_body(FrameType.DATA))
    scene.tell(link_messages.PeerCertified(certificate, is_excused=True))
    peer.send_frames(of_bob)
    scene.run(0.1)
    assert scene.is_alive
    scene.tell(link_messages.PeerCertified(certificate, is_excused=False))
    peer.send_frames(of_bob)
    scene.run(0.1)
    assert scene.link_ended
