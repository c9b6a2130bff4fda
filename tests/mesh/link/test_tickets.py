"""Tickets: both ends of a link derive the same one, and a responder knows the latest of each agent."""

from mesh.link.opening import OWN_VERSIONS, TICKET_BYTES, mac_key, opening_payload, read_opening, with_length
from mesh.link.tickets import Tickets, ticket_of
from mesh.trust.identity import AgentId
from tests.mesh.link.handshake_company import AUTHORITY, NOW, PREAMBLE, alice, bob, established, opened_by

ONE, OTHER, THIRD = (AgentId(bytes([byte]) * 16) for byte in (1, 2, 3))


def ticket(number: int) -> bytes:
    return number.to_bytes(TICKET_BYTES, "big")


def test_both_ends_have_the_same_ticket_which_their_keys_alone_give():
    initiator, responder = alice(), bob()
    last = initiator.receive(responder.receive(initiator.start(), NOW).to_send, NOW)
    ours, theirs = established(last), established(responder.receive(last.to_send, NOW))
    assert ours.ticket == theirs.ticket == ticket_of(ours.send_key, ours.receive_key)
    assert len(ours.ticket) == TICKET_BYTES
    assert ours.ticket != ticket_of(ours.receive_key, ours.send_key)
    assert ours.ticket.hex() not in repr(ours)
    assert repr(ours.ticket) not in repr(ours)


def test_a_ticket_is_shown_in_message_1_under_the_mac_and_the_link_opens():
    initiator, responder = alice(ticket=b"t" * TICKET_BYTES), bob()
    first = initiator.start()
    opening = read_opening(first, [mac_key(AUTHORITY.public_key)])
    assert opening is not None
    assert opening.ticket == b"t" * TICKET_BYTES
    assert first.count(b"t" * TICKET_BYTES) == 1
    last = initiator.receive(responder.receive(first, NOW).to_send, NOW)
    assert established(responder.receive(last.to_send, NOW)).peer.name == "alice"


def test_an_opening_without_a_whole_ticket_has_none():
    key = mac_key(AUTHORITY.public_key)
    ephemeral = bytes(range(32))
    assert read_opening(opened_by(ephemeral), [key]).ticket == b""  # type: ignore[union-attr]
    for length in range(TICKET_BYTES):
        opening = _opening(ephemeral, bytes(length), key)
        assert opening.ticket == b""
    later = _opening(ephemeral, b"t" * TICKET_BYTES + b"of a later version", key)
    assert later.ticket == b"t" * TICKET_BYTES


def _opening(ephemeral, added, key):
    message = with_length(ephemeral + opening_payload(OWN_VERSIONS, ephemeral, added, key))
    opening = read_opening(PREAMBLE + message, [key])
    assert opening is not None
    return opening


def test_an_agents_latest_ticket_is_known_and_no_earlier_one():
    known = Tickets()
    assert known.owner(ticket(1)) is known.owner(b"") is None
    known.renew(ONE, ticket(1))
    known.renew(OTHER, ticket(2))
    assert (known.owner(ticket(1)), known.owner(ticket(2))) == (ONE, OTHER)
    known.renew(ONE, ticket(3))
    assert (known.owner(ticket(1)), known.owner(ticket(3)), known.owner(ticket(2))) == (None, ONE, OTHER)


def test_those_are_forgotten_whose_links_were_admitted_longest_ago():
    known = Tickets(max_kept=2)
    known.renew(ONE, ticket(1))
    known.renew(OTHER, ticket(2))
    known.renew(ONE, ticket(3))
    known.renew(THIRD, ticket(4))
    assert [known.owner(ticket(number)) for number in range(1, 5)] == [None, None, ONE, THIRD]
