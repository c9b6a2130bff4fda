import itertools

import pytest

from mesh.errors import AuthenticationError, LocalProtocolError
from mesh.trust.noise import Handshake, HashName, PatternName
from mesh.trust.noise.handshake import MAX_MESSAGE_BYTES, State
from mesh.trust.noise.primitives import SharedSecrets
from tests.mesh.trust.noise.noise_company import (
    INITIATOR_EPHEMERAL,
    INITIATOR_STATIC,
    MESSAGES,
    PATTERNS,
    RESPONDER_STATIC,
    at_every_message,
    initiator,
    responder,
    run_until,
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_sides_end_with_the_same(pattern: PatternName):
    one, two = run_until(pattern, MESSAGES[pattern])
    assert one.state is State.FINISHED
    assert two.state is State.FINISHED
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
        assert side.state is State.UNDER_WAY
        with pytest.raises(LocalProtocolError, match="not finished"):
            side.split()


@at_every_message
def test_the_hash_is_the_same_on_both_sides_after_every_message(pattern: PatternName, count: int):
    one, two = run_until(pattern, count)
    assert one.handshake_hash == two.handshake_hash


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
    assert two.state is State.UNDER_WAY
    assert two.read_message(message) == b"yes"
    assert two.split() == one.split()


def test_a_copy_learns_for_itself():
    writer, reader = run_until("XX", 1)
    attempt = reader.copy()
    attempt.read_message(writer.write_message(b""))
    assert attempt.remote_static == RESPONDER_STATIC.public
    with pytest.raises(LocalProtocolError, match="not known"):
        _ = reader.remote_static


@pytest.mark.interpreted
def test_a_message_may_be_any_bytes_object():
    one, two = initiator("IK"), responder("IK")
    assert two.read_message(memoryview(bytearray(one.write_message(b"payload")))) == b"payload"


@pytest.mark.parametrize(
    ("pattern", "is_initiator", "remote"),
    [
        ("IK", True, None),
        ("IK", False, bytes(32)),
        ("KK", True, None),
        ("KK", False, None),
        ("XX", True, bytes(32)),
        ("XX", False, bytes(32)),
    ],
)
def test_a_remote_static_key_belongs_to_those_who_know_it_beforehand(
    pattern: PatternName, is_initiator: bool, remote: bytes | None
):
    with pytest.raises(LocalProtocolError, match="initiator of IK and both sides of KK"):
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
            remote_static=None if pattern == "XX" else RESPONDER_STATIC.public,
            shared=shared,
        )
        while plain.state is State.UNDER_WAY:
            message = plain.write_message(b"payload")
            assert remembering.write_message(b"payload") == message
            other.read_message(message)
            if other.state is State.UNDER_WAY:
                answer = other.write_message(b"answer")
                assert plain.read_message(answer) == remembering.read_message(answer) == b"answer"
        assert remembering.split() == plain.split() == other.split()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_sides_export_the_same_once(pattern: PatternName):
    one, two = run_until(pattern, MESSAGES[pattern] - 1)
    writer, reader = (one, two) if one._is_next else (two, one)
    for side in (one, two):
        side.export(b"label")
        with pytest.raises(LocalProtocolError, match="not finished"):
            side.take_exported()
    copy = reader.copy()
    message = writer.write_message(b"")
    for side in (reader, copy):
        side.read_message(message)
    exported = writer.take_exported()
    assert len(exported) == 32
    assert exported not in writer.split()
    assert [reader.take_exported(), copy.take_exported()] == [exported, exported]
    assert [each.take_exported() for each in (writer, reader, copy)] == [b""] * 3
