"""What an agent that was revoked is told when it comes, and what it hears of one that does not let it in."""

from itertools import pairwise

import pytest

from mesh.errors import AuthenticationError
from mesh.link import bodies
from mesh.link.effects import (
    AskForAdmission,
    LinkRefused,
    LinkTurnedAway,
    SendHandshake,
    SendOwn,
    StartSealing,
)
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import FrameType, link_frame
from mesh.link.link import Link
from mesh.link.own_frames import DIGEST_BURST, PROOF_COST, digest_budgets
from mesh.link.proof import Statement, make_proof, read_proof
from mesh.link.rekeying import KeySource, RekeyLimits
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import verify_signature
from mesh.trust.noise.primitives import key_pair
from mesh.trust.revocations import Revocation, Revocations, sign_list, verified_list
from tests.mesh.link.handshake_company import ALICE, AUTHORITY, BOB, MALLORY, NOW, TRUST, side

LIST = sign_list(AUTHORITY, 7, [Revocation(ALICE.identity.id, NOW, name="alice", reason="was stolen")])
KNOWN = Revocations([verified_list(LIST, AUTHORITY.public_key, verify_signature)])
REVOKING = TrustStore([AUTHORITY.public_key], revocations=KNOWN)
WHY = "the agent 'alice' ("


class End:
    """One end of a link: what it sends goes to ``sent``, sealed, and what else it asks for to ``asked``."""

    def __init__(self, party, *, is_dialer, trust=TRUST, digests=None):
        self.link = Link(
            is_dialer=is_dialer,
            handshake=side(party, initiator=is_dialer, trust=trust),
            own_id=party.identity.id,
            timeout_s=15.0,
            now=0.0,
            digests=digest_budgets() if digests is None else digests,
            key_source=KeySource(party.static, lambda: key_pair(bytes(32)), RekeyLimits()),
        )
        self.sent, self.asked, self._writer = b"", [], None
        self.do(self.link.start())

    def do(self, wanted):
        for effect in wanted:
            match effect:
                case SendHandshake(data=data):
                    self.sent += data
                case StartSealing(key=key):
                    self._writer = FrameWriter(key)
                case SendOwn(frame_type=frame_type, body=body):
                    self.say(frame_type, body)
                case _:
                    self.asked.append(effect)

    def say(self, frame_type, body):
        self.sent += b"".join(map(bytes, self._writer.seal(link_frame(frame_type, body))))

    def hear(self, data):
        if self.link.state.value == "handshake":
            self.do(self.link.shaken(data, 0.0, NOW))
        elif data:
            self.do(self.link.received(memoryview(data), 0.0))


def crossing(one, other):
    """Until nobody says anything."""
    while one.sent or other.sent:
        said, one.sent = one.sent, b""
        other.hear(said)
        said, other.sent = other.sent, b""
        one.hear(said)


def meeting(*, revoked_dials):
    ends = End(ALICE, is_dialer=revoked_dials), End(BOB, is_dialer=not revoked_dials, trust=REVOKING)
    crossing(*(ends if revoked_dials else reversed(ends)))
    return ends


def test_who_dials_and_was_revoked_is_turned_away_with_reason_and_proof():
    alice, bob = meeting(revoked_dials=True)
    (refused,) = bob.asked
    assert refused.is_told
    assert refused.why.startswith(f"peer not trusted: {WHY}")
    (away,) = alice.asked
    assert isinstance(away, LinkTurnedAway)
    assert away.reason.startswith(WHY)
    assert away.reason.endswith("was stolen")
    assert away.lists == (LIST,)


def test_who_is_dialed_and_was_revoked_hears_it_as_of_any_peer():
    alice, bob = meeting(revoked_dials=False)
    assert isinstance(bob.asked[0], LinkRefused)
    (asks,) = alice.asked
    assert isinstance(asks, AskForAdmission)
    alice.asked.clear()
    alice.do(alice.link.admit(0.0, NOW))
    came = [each.lists for each in alice.asked if type(each).__name__ == "RevocationsCame"]
    assert came == [(LIST,)]
    assert "was stolen" in alice.asked[-1].why


def test_who_dials_on_though_it_was_revoked_gets_the_list_no_more():
    """It would have an agent with a thin line send 48 KiB for each KiB of its own."""
    digests, shown = digest_budgets(), []
    for _ in range(40):
        alice = End(ALICE, is_dialer=True)
        crossing(alice, End(BOB, is_dialer=False, trust=REVOKING, digests=digests))
        (away,) = alice.asked
        assert away.reason.startswith(WHY)
        shown.append(away.lists == (LIST,))
    at_once = int(DIGEST_BURST / PROOF_COST)
    assert shown == [True] * at_once + [False] * (40 - at_once)


def confirming():
    """An agent that has dialed Bob, who lets it in, and has heard nothing of that yet."""
    alice, bob = End(ALICE, is_dialer=True), End(BOB, is_dialer=False)
    said, alice.sent = alice.sent, b""
    bob.hear(said)
    said, bob.sent = bob.sent, b""
    alice.hear(said)
    said, alice.sent = alice.sent, b""
    bob.hear(said)
    assert alice.link.state.value == "waiting for the peer's judgement"
    return alice, bob


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_however_it_is_cut_a_refusal_is_heard_whole(step):
    alice, bob = confirming()
    bob.say(FrameType.REVOCATIONS, bodies.encode_revocations((LIST,)))
    bob.say(FrameType.CLOSE, bodies.encode_close("no"))
    for start, end in pairwise([*range(0, len(bob.sent), step), len(bob.sent)]):
        assert not alice.asked
        alice.hear(bob.sent[start:end])
    (away,) = alice.asked
    assert (away.reason, away.lists) == ("no", (LIST,))


def test_a_peer_that_only_says_so_proves_nothing():
    alice, bob = confirming()
    bob.say(FrameType.CLOSE, bodies.encode_close("you were revoked"))
    alice.hear(bob.sent)
    (away,) = alice.asked
    assert away.lists == ()


def test_lists_before_anything_else_are_of_a_peer_that_lets_this_agent_in_and_are_not_lost():
    alice, bob = confirming()
    bob.say(FrameType.REVOCATIONS, bodies.encode_revocations((LIST,)))
    alice.hear(bob.sent)
    assert not alice.asked
    bob.sent = b""
    bob.say(FrameType.PING, bodies.encode_ping(1))
    alice.hear(bob.sent)
    (asks,) = alice.asked
    assert isinstance(asks, AskForAdmission)
    alice.do(alice.link.admit(0.0, NOW))
    assert [each.lists for each in alice.asked if type(each).__name__ == "RevocationsCame"] == [(LIST,)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"\x93\x01", bodies.encode_close("no")),
        (bodies.encode_revocations((LIST,)), b"\xc1"),
    ],
)
def test_a_refusal_that_cannot_be_read_ends_the_link_all_the_same(first, second):
    alice, bob = confirming()
    bob.say(FrameType.REVOCATIONS, first)
    bob.say(FrameType.CLOSE, second)
    alice.hear(bob.sent)
    (refused,) = alice.asked
    assert isinstance(refused, LinkRefused)


def test_lists_without_end_hold_nothing_up():
    alice, bob = confirming()
    for _ in range(2):
        bob.say(FrameType.REVOCATIONS, bodies.encode_revocations((LIST,)))
    alice.hear(bob.sent)
    assert isinstance(alice.asked[0], AskForAdmission)


def test_nobody_but_the_owner_of_the_key_is_told_who_was_revoked():
    static, binding = key_pair(bytes([5]) * 32).public, bytes(32)
    statement = Statement(ALICE.certificate, ALICE.instance, 1, (), 0)
    proof = make_proof(MALLORY.identity, statement, binding=binding, static=static)
    with pytest.raises(AuthenticationError, match="does not own it"):
        read_proof(proof, binding=binding, static=static, version=1, trust=REVOKING, now_unix_s=NOW)
