import itertools
from collections.abc import Iterable
from hashlib import blake2s

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import LocalProtocolError, RemoteProtocolError, TrustError, UnexpectedPeerError
from mesh.link.established import EstablishedLink
from mesh.link.handshake import MAX_MESSAGE_BYTES, LinkHandshake, State
from mesh.link.opening import Versions
from mesh.link.proof import Statement
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES
from mesh.trust.identity import LINK_PROOF_CONTEXT, short_id
from mesh.trust.noise import Handshake
from tests.mesh.link.handshake_company import (
    ALICE,
    AUTHORITY,
    BOB,
    FIRST,
    MALLORY,
    NOW,
    PREAMBLE,
    SECOND,
    START,
    THIRD,
    alice,
    assert_over,
    bob,
    certificate,
    established,
    halfway,
    side,
    started,
)


def feed(handshake: LinkHandshake, chunks: Iterable[bytes]) -> tuple[bytes, EstablishedLink | None, bytes]:
    """What is sent, the link, and the bytes that arrive once it stands (with its surplus)."""
    sent, link, behind = b"", None, b""
    for chunk in chunks:
        if link is not None:
            behind += chunk
            continue
        progress = handshake.receive(chunk, NOW)
        sent += progress.to_send
        link = progress.established
        behind = b"" if link is None else link.surplus
        assert handshake.buffered_bytes <= MAX_MESSAGE_BYTES + 2
    return sent, link, behind


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted({point % (len(data) + 1) for point in points}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def test_two_agents_meet():
    initiator, responder = alice(), bob()
    assert responder.start() == b""
    assert (initiator.state, responder.state) == (State.NEW, State.OPENING)
    answer = responder.receive(initiator.start(), NOW)
    assert answer.established is None
    last = initiator.receive(answer.to_send, NOW)
    ours = established(last)
    progress = responder.receive(last.to_send, NOW)
    theirs = established(progress)
    assert progress.to_send == b""
    assert (initiator.state, responder.state) == (State.ESTABLISHED, State.ESTABLISHED)

    assert (ours.peer_id, ours.peer.name, ours.peer_instance) == (BOB.identity.id, "bob", BOB.instance)
    assert (theirs.peer_id, theirs.peer.name, theirs.peer_instance) == (
        ALICE.identity.id,
        "alice",
        ALICE.instance,
    )
    assert ours.send_key == theirs.receive_key
    assert ours.receive_key == theirs.send_key
    assert ours.send_key != ours.receive_key
    assert len(ours.send_key) == len(ours.receive_key) == 32
    assert (ours.peer_static, theirs.peer_static) == (BOB.static.public, ALICE.static.public)
    assert (ours.version, theirs.version) == (1, 1)
    assert ours.features == theirs.features == {"rekey"}
    assert ours.binding == theirs.binding
    assert len(ours.binding) == 32
    assert ours.surplus == theirs.surplus == b""


def test_the_wire_form():
    assert PREAMBLE == b"MESH\x01\x01"
    key = blake2s(b"mesh link mac v1" + AUTHORITY.public_key).digest()
    covered = PREAMBLE + b"\x00\x30" + ALICE.ephemeral.public
    assert covered + blake2s(covered, digest_size=16, key=key).digest() == FIRST
    assert SECOND.startswith(PREAMBLE)
    assert int.from_bytes(SECOND[6:8], "big") == len(SECOND) - 8
    assert SECOND[8:40] == BOB.ephemeral.public
    assert int.from_bytes(THIRD[:2], "big") == len(THIRD) - 2


def test_the_proofs_read_as_documented():
    noise = Handshake(
        "XX", initiator=True, prologue=PREAMBLE + PREAMBLE, static=ALICE.static, ephemeral=ALICE.ephemeral
    )
    assert noise.write_message(FIRST[-16:]) == FIRST[START:]
    binding = noise.handshake_hash
    statement, signature = msgspec.msgpack.decode(noise.read_message(SECOND[START:]))
    assert msgspec.msgpack.decode(statement) == [BOB.certificate, BOB.instance, 1, ["rekey"], NOW * 1000]
    assert signature == BOB.identity.sign(LINK_PROOF_CONTEXT, binding + BOB.static.public + statement)


@pytest.mark.parametrize(("clock_ms", "ahead_s"), [(0, None), (100_500, 0.5), (1, -99.999)])
def test_a_statement_says_how_the_clocks_differ(clock_ms, ahead_s):
    assert Statement(b"", bytes(16), 1, (), clock_ms).clock_ahead_s(100.0) == ahead_s


def test_each_side_learns_how_far_the_other_clock_is_ahead():
    here, there = started(), bob()
    answer = there.receive(FIRST, NOW + 60)
    proof = here.receive(answer.to_send, NOW)
    met = there.receive(proof.to_send, NOW + 60)
    assert (proof.established.clock_ahead_s, met.established.clock_ahead_s) == (60.0, -60.0)


def test_no_identity_crosses_in_the_clear():
    for byte_count in (FIRST, SECOND, THIRD):
        for secret in (ALICE.identity.public_key, BOB.identity.public_key, b"alice", b"bob", ALICE.instance):
            assert secret not in byte_count
    assert ALICE.static.public not in THIRD
    assert BOB.static.public not in SECOND


@given(points=st.lists(st.integers(min_value=0), max_size=12), surplus=st.binary(max_size=300))
def test_chunks_make_no_difference_to_the_responder(points: list[int], surplus: bytes):
    sent, link, behind = feed(bob(), cut(FIRST + THIRD + surplus, points))
    assert sent == SECOND
    assert link is not None
    assert (link.peer_id, behind) == (ALICE.identity.id, surplus)


@given(points=st.lists(st.integers(min_value=0), max_size=12), surplus=st.binary(max_size=300))
def test_chunks_make_no_difference_to_the_initiator(points: list[int], surplus: bytes):
    sent, link, behind = feed(started(), cut(SECOND + surplus, points))
    assert sent == THIRD
    assert link is not None
    assert (link.peer_id, behind) == (BOB.identity.id, surplus)


def test_byte_by_byte():
    assert feed(bob(), [bytes([byte]) for byte in FIRST + THIRD])[0] == SECOND
    assert feed(started(), [bytes([byte]) for byte in SECOND])[0] == THIRD


def test_any_bytes_object_will_do():
    responder = bob()
    assert responder.receive(memoryview(bytearray(FIRST)), NOW).to_send == SECOND
    assert established(responder.receive(bytearray(THIRD), NOW)).peer_id == ALICE.identity.id


def test_the_surplus_does_not_pin_the_callers_buffer():
    buffer = bytearray(SECOND + b"frames")
    link = established(started().receive(memoryview(buffer), NOW))
    buffer[:] = bytes(len(buffer))
    assert link.surplus == b"frames"


def outcome(handshake: LinkHandshake, chunks: Iterable[bytes]) -> tuple[type[Exception], str] | bool:
    try:
        return feed(handshake, chunks)[1] is not None
    except RemoteProtocolError as error:
        assert_over(handshake)
        return type(error), str(error)


@given(
    garbage=st.binary(max_size=300),
    kept=st.integers(min_value=0, max_value=8),
    points=st.lists(st.integers(min_value=0), max_size=8),
    initiator=st.booleans(),
)
def test_chunks_make_no_difference_to_garbage(garbage: bytes, kept: int, points: list[int], initiator: bool):
    byte_count = (SECOND if initiator else FIRST)[:kept] + garbage
    make = started if initiator else bob
    whole = outcome(make(), [byte_count])
    assert whole is not True
    assert outcome(make(), cut(byte_count, points)) == whole


def test_the_longest_certificate_fits():
    long_certificate = certificate(
        BOB.identity, "bob", may_register=["x" * 255] * 6 + ["x" * 100], may_use=["x" * 100]
    )
    assert MAX_CERTIFICATE_BYTES - 200 < len(long_certificate) <= MAX_CERTIFICATE_BYTES
    responder = bob(certificate=long_certificate)
    answer = responder.receive(FIRST, NOW).to_send
    assert established(started().receive(answer, NOW)).peer_id == BOB.identity.id


def test_a_cut_answer_is_waited_for_and_said_at_the_end():
    for byte_count in range(len(SECOND)):
        initiator = started()
        progress = initiator.receive(SECOND[:byte_count], NOW)
        assert (progress.to_send, progress.established) == (b"", None)
        with pytest.raises(RemoteProtocolError, match="closed the connection"):
            initiator.end_of_stream()
        assert_over(initiator)


def test_the_end_of_the_stream_is_explained():
    with pytest.raises(RemoteProtocolError, match="without a word: it does not trust the authority"):
        started().end_of_stream()
    with pytest.raises(RemoteProtocolError, match="too many handshakes from this address"):
        started().end_of_stream()
    with pytest.raises(RemoteProtocolError, match="without a word: is it a mesh agent"):
        bob().end_of_stream()
    with pytest.raises(RemoteProtocolError, match="its log says why if it refused us"):
        halfway().end_of_stream()
    responder = bob()
    responder.receive(FIRST[:3], NOW)
    with pytest.raises(RemoteProtocolError, match="in the middle"):
        responder.end_of_stream()


def in_state(state: State) -> LinkHandshake:
    match state:
        case State.NEW:
            return alice()
        case State.OPENING:
            return bob()
        case State.PROOF:
            handshake = halfway()
        case State.ESTABLISHED:
            handshake = halfway()
            handshake.receive(THIRD, NOW)
        case State.ITSELF:
            handshake = alice()
            assert meeting_of(handshake, twin_of_alice()) == (True, True)
        case State.FAILED:
            handshake = bob()
            with pytest.raises(RemoteProtocolError):
                handshake.receive(bytes(6), NOW)
    return handshake


@pytest.mark.parametrize("state", State)
def test_every_state_knows_what_it_takes(state: State):
    assert in_state(state).state is state
    if state in (State.NEW, State.ESTABLISHED, State.ITSELF, State.FAILED):
        with pytest.raises(LocalProtocolError, match=f"{state.value} takes no bytes"):
            in_state(state).receive(b"bytes", NOW)
        with pytest.raises(LocalProtocolError, match=f"{state.value} waits for nothing"):
            in_state(state).end_of_stream()
    else:
        progress = in_state(state).receive(b"", NOW)
        assert (progress.to_send, progress.established) == (b"", None)
        with pytest.raises(RemoteProtocolError, match="closed the connection"):
            in_state(state).end_of_stream()


def test_an_initiator_starts_once():
    with pytest.raises(LocalProtocolError, match="started already"):
        started().start()


def meet(initiator: LinkHandshake, responder: LinkHandshake, now: float = NOW) -> EstablishedLink:
    """Let both run; the responder's link, if nobody objects."""
    answer = responder.receive(initiator.start(), now)
    return established(responder.receive(initiator.receive(answer.to_send, now).to_send, now))


SAME = "that is this agent's own identity"


def twin_of_alice(**changes) -> LinkHandshake:
    return side(ALICE, initiator=False, ephemeral=BOB.ephemeral, **changes)


def meeting_of(initiator: LinkHandshake, responder: LinkHandshake) -> tuple[bool, bool]:
    """Whether each side has recognised itself."""
    third = initiator.receive(responder.receive(initiator.start(), NOW).to_send, NOW)
    last = responder.receive(third.to_send, NOW)
    assert third.established is None
    assert last.established is None
    return third.met_itself, last.met_itself


def test_an_agent_that_dials_itself_recognises_itself_at_both_ends():
    assert meeting_of(alice(), twin_of_alice()) == (True, True)


def test_an_agent_that_meets_another_instance_of_itself_is_told():
    with pytest.raises(
        RemoteProtocolError, match=rf"{SAME} \({short_id(ALICE.identity.id)}\).* copy of its key"
    ):
        meet(alice(), twin_of_alice(instance=BOB.instance))


def test_the_highest_version_that_both_speak_is_the_links():
    dialed = alice(versions=Versions(1, 2))
    theirs = meet(dialed, bob(versions=Versions(1, 4)))
    assert theirs.version == 2
    assert meet(alice(versions=Versions(1, 2)), bob()).version == 1
    assert meet(alice(), bob(versions=Versions(1, 9))).version == 1


def test_two_without_a_common_version_both_say_so():
    initiator, responder = alice(versions=Versions(2, 2)), bob()
    progress = responder.receive(initiator.start(), NOW)
    assert progress.refusal == "the other side speaks link protocol version 2, this agent version 1"
    assert (progress.to_send, progress.established) == (PREAMBLE, None)
    assert_over(responder)
    with pytest.raises(RemoteProtocolError, match="speaks link protocol version 1, this agent version 2"):
        initiator.receive(progress.to_send, NOW)
    assert_over(initiator)


def test_features_are_those_that_both_have():
    theirs = meet(alice(features=("later", "both")), bob(features=("both", "mine")))
    assert theirs.features == {"both"}
    assert meet(alice(features=("later",)), bob()).features == frozenset()


def test_another_agent_than_the_expected_one_learns_nothing():
    initiator = alice(expected=MALLORY.identity.id)
    second = bob().receive(initiator.start(), NOW).to_send
    expected = f"expected agent {MALLORY.identity.id.hex()}, found 'bob', agent {BOB.identity.id.hex()}"
    with pytest.raises(UnexpectedPeerError, match=expected):
        initiator.receive(second, NOW)
    assert_over(initiator)
    assert meet(alice(expected=BOB.identity.id), bob()).peer_id == ALICE.identity.id


def test_an_agent_that_expects_another_at_its_own_address_recognises_itself():
    assert meeting_of(alice(expected=BOB.identity.id), twin_of_alice()) == (True, True)


def test_the_clock_is_the_callers():
    assert meet(alice(), bob(), NOW + 999).peer_id == ALICE.identity.id
    with pytest.raises(TrustError, match="expired"):
        meet(alice(), bob(), NOW + 1000)


def test_a_repr_shows_no_key():
    progress = halfway().receive(THIRD, NOW)
    link = established(progress)
    for key in (link.send_key, link.receive_key, ALICE.static.private, ALICE.ephemeral.private):
        for shown in (repr(link), repr(progress), str(link), repr(alice()), repr(bob())):
            assert repr(key)[2:-1] not in shown
    assert "send_key" not in repr(link)
