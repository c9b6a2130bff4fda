"""Whatever a peer sends and whatever happens in any order: a link ends at most once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import LocalProtocolError
from mesh.link import bodies
from mesh.link.bodies import Records
from mesh.link.effects import (
    LinkBroken,
    LinkLost,
    LinkMetItself,
    LinkOver,
    LinkOverdue,
    LinkRefused,
    LinkRetires,
    LinkTurnedAway,
    LinkUnwanted,
    PeerChallenged,
    SendHandshake,
    SendOwn,
    StartSealing,
)
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import FrameType, link_frame
from mesh.link.handshake import LinkHandshake
from mesh.link.link import Link
from mesh.link.own_frames import CHALLENGE_REPORT_S, digest_budgets
from mesh.link.rekeying import KeySource, RekeyLimits
from mesh.link.states import UNADMITTED, LinkState
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import KeyPair, key_pair
from tests.examples import examples

NOW, UNIX = 100.0, 1_750_000_000.0
AUTHORITY = Identity(bytes([9]) * 32)
VERDICTS = (
    LinkBroken,
    LinkLost,
    LinkMetItself,
    LinkOver,
    LinkOverdue,
    LinkRefused,
    LinkTurnedAway,
    LinkUnwanted,
)
BODIES = (
    (FrameType.PING, bodies.encode_ping(1)),
    (FrameType.PONG, bodies.encode_pong(1)),
    (FrameType.RECORDS, bodies.encode_records(Records(()))),
    (FrameType.CHALLENGE, bodies.encode_challenge(bytes(16))),
    (FrameType.CHALLENGE_ANSWER, bodies.encode_challenge(bytes(16))),
    (FrameType.CLOSE, bodies.encode_close("enough")),
    (FrameType.RETIRE, bodies.encode_retire("enough")),
    (FrameType.REKEY, bodies.encode_rekey(bytes(48))),
    (FrameType.NEW_KEY, bodies.encode_rekey(b"")),
    (FrameType.WANT_PAGES, bodies.encode_want_pages(())),
    (FrameType.PAGES, bodies.encode_pages(())),
    (FrameType.DIGEST, b"\xc1"),
    (FrameType.RECORDS, b"no msgpack"),
)


def handshake_of(seed: int, *, initiator: bool) -> LinkHandshake:
    identity = Identity(bytes([seed]) * 32)
    certificate = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name=f"agent{seed}",
        not_before=int(UNIX) - 60,
        not_after=int(UNIX) + 60,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
    )
    return LinkHandshake(
        initiator=initiator,
        identity=identity,
        certificate=certificate,
        instance=Instance(bytes([seed]) * 16),
        static=key_pair(bytes([seed + 10]) * 32),
        ephemeral=key_pair(bytes([seed + 20]) * 32),
        trust=TrustStore([AUTHORITY.public_key]),
        expected=None,
    )


class Ends:
    """A link and its peer, of which only the handshake and the sealing are real."""

    def __init__(self, *, is_dialer: bool) -> None:
        own = Identity(bytes([1]) * 32)
        self._fresh_keys = 0
        handshake = handshake_of(1, initiator=is_dialer)
        self.link = Link(
            is_dialer=is_dialer,
            handshake=handshake,
            own_id=own.id,
            timeout_s=3.0,
            now=NOW,
            digests=digest_budgets(),
            key_source=KeySource(
                key_pair(bytes([11]) * 32), lambda: key_pair(bytes([31]) * 32), RekeyLimits()
            ),
        )
        self.peer = handshake_of(2, initiator=not is_dialer)
        self.now = NOW
        self.writer: FrameWriter | None = None
        self.verdicts: list[object] = []
        self.to_link = self.peer.start()
        self.do(self.link.start())

    def _fresh(self) -> KeyPair:
        self._fresh_keys += 1
        return key_pair(bytes([31, self._fresh_keys]) * 16)

    def do(self, wanted) -> None:
        for effect in wanted:
            if isinstance(effect, SendHandshake) and self.writer is None:
                progress = self.peer.receive(effect.data, UNIX)
                self.to_link += progress.to_send
                if progress.established is not None:
                    self.writer = FrameWriter(progress.established.send_key)
            elif isinstance(effect, SendOwn):
                assert self.link.state is not LinkState.HANDSHAKE
            elif isinstance(effect, StartSealing):
                assert self.link.name == "agent2"
            elif isinstance(effect, VERDICTS):
                self.verdicts.append(effect)

    def shake(self) -> None:
        said, self.to_link = self.to_link, b""
        if said and self.link.state is LinkState.HANDSHAKE:
            self.do(self.link.shaken(said, self.now, UNIX))

    def say(self, frame_type: FrameType, body: bytes) -> None:
        if self.writer is not None and self.link.state not in (LinkState.HANDSHAKE, LinkState.WAITING):
            data = b"".join(self.writer.seal(link_frame(frame_type, body)))
            self.do(self.link.received(memoryview(data), self.now))

    def step(self, what: int, draw) -> None:
        link = self.link
        match what:
            case 0 | 1 | 2:
                self.shake()
            case 3:
                self.do(link.admit(self.now, UNIX))
            case 4 | 5 | 6:
                self.say(*draw(st.sampled_from(BODIES)))
            case 7:
                self.now += draw(st.sampled_from((0.1, 1.0, 5.0)))
                unix_now, carried_bytes = draw(st.sampled_from(((UNIX, 0), (UNIX + 100, 0), (UNIX, 2**36))))
                self.do(link.ping(self.now, unix_now, took_at=self.now, carried_bytes=carried_bytes))
            case 8:
                self.do(link.sent())
            case 9:
                self.do(link.close("not needed"))
            case 10:
                self.do(link.disconnected("reset"))
            case 11:
                self.do(link.handshake_timed_out(10.0))
            case 12:
                self.do(link.leave_timed_out())
            case 13:
                self.do(link.break_off("too much"))
            case 14:
                self.do(link.retire("not dialed"))
            case _ if link.state not in UNADMITTED:
                self.do(link.challenge(bytes(16)))


@examples(3)
@given(data=st.data(), is_dialer=st.booleans(), first=st.integers(0, 4), steps=st.integers(0, 25))
def test_a_link_ends_at_most_once_whatever_happens(data, is_dialer, first, steps):
    ends = Ends(is_dialer=is_dialer)
    for _ in range(first):  # most runs get beyond the handshake
        ends.shake()
    for _ in range(steps):
        ends.step(data.draw(st.integers(0, 15)), data.draw)
        if ends.link.state is LinkState.CLOSED:
            break
    assert len(ends.verdicts) == (ends.link.state is LinkState.CLOSED)
    ends.do(ends.link.disconnected("reset"))
    for what in range(3, 16):  # what is late changes nothing
        ends.step(what, data.draw)
        assert len(ends.verdicts) == 1


def up() -> Ends:
    ends = Ends(is_dialer=False)
    ends.shake()
    ends.shake()
    ends.do(ends.link.admit(NOW, UNIX))
    assert ends.link.state is LinkState.UP
    return ends


def wanted_by(ends: Ends, *frames: tuple[FrameType, bytes]) -> list[object]:
    data = b"".join(piece for frame in frames for piece in ends.writer.seal(link_frame(*frame)))
    return list(ends.link.received(memoryview(data), ends.now))


def test_nothing_is_read_of_a_link_that_is_not_admitted():
    ends = Ends(is_dialer=False)
    with pytest.raises(LocalProtocolError, match="takes no frames"):
        ends.link.received(memoryview(b"frames"), NOW)
    ends.shake()
    ends.shake()
    assert ends.link.state is LinkState.WAITING
    with pytest.raises(LocalProtocolError, match="waiting for admission takes no frames"):
        wanted_by(ends, (FrameType.PING, bodies.encode_ping(1)))


def test_each_challenge_is_answered_and_the_first_reported_and_then_rarely():
    challenge = FrameType.CHALLENGE, bodies.encode_challenge(bytes(16))
    ends = up()
    wanted = wanted_by(ends, *[challenge] * 3) + wanted_by(ends, challenge)
    assert wanted.count(SendOwn(FrameType.CHALLENGE_ANSWER, challenge[1])) == 4
    assert wanted.count(PeerChallenged()) == 1
    ends.now += CHALLENGE_REPORT_S
    again = wanted_by(ends, *[challenge] * 3)
    assert again.count(PeerChallenged()) == 1, "another agent with its key still runs"


def test_a_link_retires_once_whoever_says_so_and_how_often():
    retire = FrameType.RETIRE, bodies.encode_retire("not dialed\x1b[2J")
    ends = up()
    assert list(ends.link.retire("unwanted")) == [
        SendOwn(FrameType.RETIRE, bodies.encode_retire("unwanted")),
        LinkRetires("unwanted"),
    ]
    assert wanted_by(ends, *[retire] * 3) == []
    ends = up()
    [fact] = wanted_by(ends, *[retire] * 3) + wanted_by(ends, retire)
    assert fact == LinkRetires("the peer is about to close it: not dialed\\x1b[2J")
    assert list(ends.link.retire("unwanted")) == []
    assert ends.link.state is LinkState.UP, "what is under way is carried"


@pytest.mark.parametrize("state", [LinkState.CONFIRMING, LinkState.WAITING])
def test_a_link_that_the_peer_may_have_admitted_is_admitted_and_retires(state):
    ends = Ends(is_dialer=True)
    ends.shake()
    ends.shake()
    if state is LinkState.WAITING:
        ends.say(FrameType.PING, bodies.encode_ping(1))
    assert ends.link.state is state
    assert list(ends.link.retire("unwanted")) == []
    if state is LinkState.CONFIRMING:
        ends.say(FrameType.PING, bodies.encode_ping(1))
    wanted = list(ends.link.admit(NOW, UNIX))
    assert wanted.count(SendOwn(FrameType.RETIRE, bodies.encode_retire("unwanted"))) == 1
    assert wanted.count(LinkRetires("unwanted")) == 1


def test_a_handshake_that_nobody_wants_is_given_up_and_a_link_that_closes_does_not_retire():
    ends = Ends(is_dialer=True)
    assert list(ends.link.retire("unwanted")) == [LinkUnwanted()]
    ends = up()
    ends.do(ends.link.close("the agent has left"))
    assert list(ends.link.retire("unwanted")) == []


def test_a_peer_that_asks_too_much_is_cut_off_though_the_link_is_closing():
    ends = up()
    ends.do(ends.link.close("not needed"))
    assert ends.link.state is LinkState.LEAVING
    assert list(ends.link.break_off("too much")) == [LinkBroken("too much")]
    assert list(ends.link.break_off("too much")) == []


def test_a_link_is_proven_confirmed_admitted_and_closed_in_order():
    ends = Ends(is_dialer=True)
    ends.shake()
    ends.shake()
    assert ends.link.state is LinkState.CONFIRMING
    ends.say(FrameType.PING, bodies.encode_ping(1))
    assert ends.link.state is LinkState.WAITING
    ends.do(ends.link.admit(NOW, UNIX))
    ends.do(ends.link.close("the agent has left"))
    assert ends.link.state is LinkState.LEAVING
    assert [effect.frame_type for effect in ends.link.sent()] == [FrameType.CLOSE]
    ends.do(ends.link.sent())
    assert ends.link.state is LinkState.FAREWELL
    ends.do(ends.link.disconnected("the peer closed the connection"))
    assert [type(verdict) for verdict in ends.verdicts] == [LinkOver]
