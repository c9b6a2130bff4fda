import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, LocalProtocolError
from mesh.trust.noise import Handshake, HashName, KeyPair, PatternName, key_pair, primitives
from mesh.trust.noise.handshake import MAX_MESSAGE_BYTES
from mesh.trust.noise.primitives import SharedSecrets

INITIATOR_STATIC, INITIATOR_EPHEMERAL, RESPONDER_STATIC, RESPONDER_EPHEMERAL, STRANGER = (
    key_pair(bytes((number,)) * 32) for number in range(1, 6)
)
PAYLOADS = (b"first payload", b"second payload", b"third payload")
MESSAGES = {"XX": 3, "IK": 2}
PATTERNS = tuple(MESSAGES)


def initiator(pattern: PatternName, *, prologue: bytes = b"prologue", remote: KeyPair = RESPONDER_STATIC):
    return Handshake(
        pattern,
        initiator=True,
        prologue=prologue,
        static=INITIATOR_STATIC,
        ephemeral=INITIATOR_EPHEMERAL,
        remote_static=remote.public if pattern == "IK" else None,
    )


def responder(pattern: PatternName, *, prologue: bytes = b"prologue"):
    return Handshake(
        pattern, initiator=False, prologue=prologue, static=RESPONDER_STATIC, ephemeral=RESPONDER_EPHEMERAL
    )


def run_until(pattern: PatternName, count: int):
    """Both sides after ``count`` messages: (who writes next, who reads next)."""
    writer, reader = initiator(pattern), responder(pattern)
    for payload in PAYLOADS[:count]:
        assert reader.read_message(writer.write_message(payload)) == payload
        writer, reader = reader, writer
    return writer, reader


POINTS = [(pattern, count) for pattern in PATTERNS for count in range(MESSAGES[pattern])]
at_every_message = pytest.mark.parametrize(("pattern", "count"), POINTS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_sides_end_with_the_same(pattern: PatternName):
    one, two = run_until(pattern, MESSAGES[pattern])
    assert one.finished
    assert two.finished
    assert one.split() == two.split()
    assert one.handshake_hash == two.handshake_hash
    first, second = one.split()
    assert first != second
    assert len(first) == len(second) == 32
    statics = {one.remote_static, two.remote_static}
    assert statics == {INITIATOR_STATIC.public, RESPONDER_STATIC.public}


@at_every_message
def test_before_the_end_there_is_nothing_to_take(pattern: PatternName, count: int):
    for side in run_until(pattern, count):
        assert not side.finished
        with pytest.raises(LocalProtocolError, match="not finished"):
            side.split()
        with pytest.raises(LocalProtocolError, match="not finished"):
            _ = side.handshake_hash


@at_every_message
def test_the_sides_take_turns(pattern: PatternName, count: int):
    writer, reader = run_until(pattern, count)
    with pytest.raises(LocalProtocolError, match="other side's turn to read"):
        writer.read_message(bytes(100))
    with pytest.raises(LocalProtocolError, match="other side's turn to write"):
        reader.write_message(b"")
    assert reader.read_message(writer.write_message(b"still going")) == b"still going"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_finished_handshake_takes_nothing_and_holds_no_secrets(pattern: PatternName):
    for side in run_until(pattern, MESSAGES[pattern]):
        with pytest.raises(LocalProtocolError, match="finished"):
            side.write_message(b"")
        with pytest.raises(LocalProtocolError, match="finished"):
            side.read_message(bytes(100))
        assert side._own == {}
        assert side._symmetric.split() != side.split()


def assert_dead(side: Handshake):
    assert not side.finished
    with pytest.raises(LocalProtocolError, match="has failed"):
        side.read_message(bytes(100))
    with pytest.raises(LocalProtocolError, match="has failed"):
        side.write_message(b"")
    with pytest.raises(LocalProtocolError, match="not known"):
        _ = side.remote_static
    assert side._own == {}


@given(point=st.sampled_from(POINTS), bit=st.integers(min_value=0))
def test_a_flipped_bit_ends_it_at_the_next_check(point: tuple[PatternName, int], bit: int):
    pattern, count = point
    writer, reader = run_until(pattern, count)
    damaged = bytearray(writer.write_message(PAYLOADS[count]))
    bit %= len(damaged) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    if point != ("XX", 0):
        with pytest.raises(AuthenticationError):
            reader.read_message(bytes(damaged))
        assert_dead(reader)
        return
    # The first message of XX is in the clear: what was changed there is found in the second.
    reader.read_message(bytes(damaged))
    with pytest.raises(AuthenticationError):
        writer.read_message(reader.write_message(b""))
    assert_dead(writer)


@at_every_message
def test_every_truncation_fails(pattern: PatternName, count: int):
    writer, reader = run_until(pattern, count)
    message = writer.write_message(PAYLOADS[count])
    shortest_good = 32 if (pattern, count) == ("XX", 0) else len(message)
    for byte_count in range(shortest_good):
        attempt = reader.copy()
        with pytest.raises(AuthenticationError):
            attempt.read_message(message[:byte_count])
        assert_dead(attempt)


@at_every_message
def test_surplus_bytes_fail(pattern: PatternName, count: int):
    writer, reader = run_until(pattern, count)
    message = writer.write_message(b"")
    if (pattern, count) == ("XX", 0):
        assert reader.read_message(message + b"x") == b"x"
        return
    with pytest.raises(AuthenticationError):
        reader.read_message(message + b"x")


@given(point=st.sampled_from(POINTS), garbage=st.binary(max_size=300))
def test_garbage_fails_cleanly(point: tuple[PatternName, int], garbage: bytes):
    pattern, count = point
    _, reader = run_until(pattern, count)
    if point == ("XX", 0) and len(garbage) >= 32:
        assert reader.read_message(garbage) == garbage[32:]
        return
    with pytest.raises(AuthenticationError):
        reader.read_message(garbage)
    assert_dead(reader)


@pytest.mark.parametrize(
    ("pattern", "count"), [point for point in POINTS if point[1] + 1 < MESSAGES[point[0]]]
)
def test_a_reflected_message_fails(pattern: PatternName, count: int):
    writer, _ = run_until(pattern, count)
    message = writer.write_message(b"payload")
    with pytest.raises(AuthenticationError):
        writer.read_message(message)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_message_of_another_handshake_fails(pattern: PatternName):
    for count in range(1, MESSAGES[pattern]):
        _, reader = run_until(pattern, count)
        one, two = initiator(pattern, prologue=b"another"), responder(pattern, prologue=b"another")
        for _ in range(count):
            two.read_message(one.write_message(b""))
            one, two = two, one
        with pytest.raises(AuthenticationError):
            reader.read_message(one.write_message(b""))


def test_another_prologue_fails():
    with pytest.raises(AuthenticationError):
        responder("IK", prologue=b"other").read_message(initiator("IK").write_message(b""))
    one, two = initiator("XX"), responder("XX", prologue=b"other")
    two.read_message(one.write_message(b""))
    with pytest.raises(AuthenticationError):
        one.read_message(two.write_message(b""))


def test_ik_to_another_responder_fails():
    message = initiator("IK", remote=STRANGER).write_message(b"")
    with pytest.raises(AuthenticationError):
        responder("IK").read_message(message)


def test_ik_is_answered_by_nobody_but_the_responder():
    one = initiator("IK")
    message = one.write_message(b"")
    with pytest.raises(AuthenticationError):
        Handshake(
            "IK", initiator=False, prologue=b"prologue", static=STRANGER, ephemeral=RESPONDER_EPHEMERAL
        ).read_message(message)
    # Nor by one whose answer belongs to a message that the initiator sent to somebody else.
    impostor = Handshake(
        "IK", initiator=False, prologue=b"prologue", static=STRANGER, ephemeral=RESPONDER_EPHEMERAL
    )
    impostor.read_message(initiator("IK", remote=STRANGER).write_message(b""))
    with pytest.raises(AuthenticationError):
        one.read_message(impostor.write_message(b""))


SMALL_ORDER = (bytes(32), b"\x01" + bytes(31))


@pytest.mark.parametrize("public", SMALL_ORDER)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_ephemeral_key_of_small_order_is_refused(pattern: PatternName, public: bytes):
    message = initiator(pattern).write_message(b"")
    side = responder(pattern)
    if pattern == "IK":
        with pytest.raises(AuthenticationError, match="small order"):
            side.read_message(public + message[32:])
    else:
        side.read_message(public)
        with pytest.raises(AuthenticationError, match="small order"):
            side.write_message(b"")
    assert_dead(side)


def test_a_remote_static_key_of_small_order_is_refused():
    side = Handshake(
        "IK",
        initiator=True,
        prologue=b"",
        static=INITIATOR_STATIC,
        ephemeral=INITIATOR_EPHEMERAL,
        remote_static=bytes(32),
    )
    with pytest.raises(AuthenticationError, match="small order"):
        side.write_message(b"")
    assert_dead(side)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_longest_message_and_one_byte_more(pattern: PatternName):
    overhead = len(initiator(pattern).write_message(b""))
    longest = bytes(MAX_MESSAGE_BYTES - overhead)
    message = initiator(pattern).write_message(longest)
    assert len(message) == MAX_MESSAGE_BYTES
    assert responder(pattern).read_message(message) == longest
    with pytest.raises(LocalProtocolError, match="65536 bytes is too long"):
        initiator(pattern).write_message(longest + b"x")
    with pytest.raises(AuthenticationError, match="65536 bytes is too long"):
        responder(pattern).read_message(message + b"x")


def test_a_copy_may_fail_without_the_original():
    one, two = run_until("IK", 1)
    message = one.write_message(b"yes")
    for damaged in (b"", bytes(64), message[:-1], bytes(32) + message[32:]):
        with pytest.raises(AuthenticationError):
            two.copy().read_message(damaged)
    attempt = two.copy()
    assert attempt.read_message(message) == b"yes"
    assert attempt.split() == one.split()
    assert not two.finished
    assert two.read_message(message) == b"yes"
    assert two.split() == one.split()


def test_a_copy_learns_for_itself():
    writer, reader = run_until("XX", 1)
    attempt = reader.copy()
    attempt.read_message(writer.write_message(b""))
    assert attempt.remote_static == RESPONDER_STATIC.public
    with pytest.raises(LocalProtocolError, match="not known"):
        _ = reader.remote_static


def test_a_message_may_be_any_bytes_object():
    one, two = initiator("IK"), responder("IK")
    assert two.read_message(memoryview(bytearray(one.write_message(b"payload")))) == b"payload"


@pytest.mark.parametrize(
    ("pattern", "is_initiator", "remote"),
    [("IK", True, None), ("IK", False, bytes(32)), ("XX", True, bytes(32)), ("XX", False, bytes(32))],
)
def test_a_remote_static_key_belongs_to_the_initiator_of_ik_only(
    pattern: PatternName, is_initiator: bool, remote: bytes | None
):
    with pytest.raises(LocalProtocolError, match="initiator of IK"):
        Handshake(
            pattern,
            initiator=is_initiator,
            prologue=b"",
            static=INITIATOR_STATIC,
            ephemeral=INITIATOR_EPHEMERAL,
            remote_static=remote,
        )


@pytest.mark.parametrize(("pattern", "hash_name", "remote"), [("NN", "SHA256", None), ("XX", "MD5", None)])
def test_unknown_patterns_and_hashes_are_refused(
    pattern: PatternName, hash_name: HashName, remote: bytes | None
):
    with pytest.raises(LocalProtocolError, match=f"no Noise pattern {pattern} with hash {hash_name}"):
        Handshake(
            pattern,
            initiator=True,
            prologue=b"",
            static=INITIATOR_STATIC,
            ephemeral=INITIATOR_EPHEMERAL,
            remote_static=remote,
            hash_name=hash_name,
        )


def test_a_remote_static_key_has_32_bytes():
    with pytest.raises(LocalProtocolError, match="found 31"):
        Handshake(
            "IK",
            initiator=True,
            prologue=b"",
            static=INITIATOR_STATIC,
            ephemeral=INITIATOR_EPHEMERAL,
            remote_static=bytes(31),
        )


def test_a_repr_shows_nothing_secret():
    secrets = [key.private for key in (INITIATOR_STATIC, INITIATOR_EPHEMERAL)]
    for side, secret in itertools.product(run_until("IK", 2), secrets):
        assert repr(secret)[2:-1] not in repr(side)
        assert secret.hex() not in repr(side)


def test_the_payloads_of_ik_are_not_in_the_clear():
    one, two = initiator("IK"), responder("IK")
    first = one.write_message(b"routing key")
    two.read_message(first)
    second = two.write_message(b"the answer")
    assert b"routing key" not in first
    assert b"the answer" not in second
    assert INITIATOR_STATIC.public not in first


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_remembered_secret_changes_no_byte(pattern: PatternName):
    shared = SharedSecrets(INITIATOR_STATIC)
    for _ in range(2):
        plain, other = initiator(pattern), responder(pattern)
        remembering = Handshake(
            pattern,
            initiator=True,
            prologue=b"prologue",
            static=INITIATOR_STATIC,
            ephemeral=INITIATOR_EPHEMERAL,
            remote_static=RESPONDER_STATIC.public if pattern == "IK" else None,
            shared=shared,
        )
        while not plain.finished:
            message = plain.write_message(b"payload")
            assert remembering.write_message(b"payload") == message
            other.read_message(message)
            if not other.finished:
                answer = other.write_message(b"answer")
                assert plain.read_message(answer) == remembering.read_message(answer) == b"answer"
        assert remembering.split() == plain.split() == other.split()


def test_what_two_static_keys_share_is_worked_out_once(monkeypatch: pytest.MonkeyPatch):
    shared = SharedSecrets(INITIATOR_STATIC)
    secret = shared.with_owner_of(RESPONDER_STATIC.public)
    monkeypatch.delattr(primitives, "dh")
    assert shared.with_owner_of(RESPONDER_STATIC.public) == secret


def test_remembered_secrets_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(primitives, "MAX_SHARED_SECRETS", 2)
    monkeypatch.setattr(primitives, "dh", lambda own, public: own.public + public)
    shared = SharedSecrets(INITIATOR_STATIC)
    keys = [bytes((number,)) * 32 for number in range(5)]
    for public in keys:
        assert shared.with_owner_of(public) == INITIATOR_STATIC.public + public
    monkeypatch.delattr(primitives, "dh")
    assert [shared.with_owner_of(public)[32:] for public in keys[3:]] == keys[3:]
    with pytest.raises(NameError):
        shared.with_owner_of(keys[2])
