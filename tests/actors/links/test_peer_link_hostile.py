"""Bytes that no agent sends: each ends that link only, is counted once, and crashes nothing."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.links.peer_link import HANDSHAKE_READ_BYTES
from actors.messages import peer_link as messages
from mesh.link import bodies as link_bodies
from mesh.link.frames import (
    MAX_BODY_BYTES,
    MAX_CONTROL_BODY_BYTES,
    SEALED_HEADER_BYTES,
    Frame,
    FrameType,
    link_frame,
    nonce,
)
from mesh.link.handshake import MAX_MESSAGE_BYTES
from mesh.link.opening import OWN_VERSIONS, Versions, mac_key, opening_payload, with_length
from mesh.trust.identity import NO_AGENT
from tests.actors.links.link_company import ADMIT, AUTHORITY, OWN, PEER, LinkScene
from tests.examples import examples

KEY = bytes(range(32))
"""As good as any X25519 public key."""
PREAMBLE = OWN_VERSIONS.preamble


def message_1(ephemeral, versions=OWN_VERSIONS):
    """The opening of whoever knows the authority's public key."""
    payload = opening_payload(versions, ephemeral, b"", mac_key(AUTHORITY.public_key))
    return versions.preamble + with_length(ephemeral + payload)


MESSAGE_1 = message_1(KEY)


# Before the handshake is over

OPENINGS = {
    "garbage": (random.Random(1).randbytes(500).replace(b"MESH", b"HSEM"), "no mesh agent"),
    "zeros": (bytes(1000), "no mesh agent"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n", "HTTP client"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP client"),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(200), "TLS"),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
    "another version": (message_1(KEY, Versions(2, 2)), "version 2"),
    "empty message": (PREAMBLE + b"\0\0", "announces 0 bytes"),
    "absurd message": (PREAMBLE + b"\xff\xff", "announces 65535 bytes"),
    "message 3 at once": (PREAMBLE + struct.pack(">H", 300) + bytes(300), "announces 300 bytes"),
    "key of small order": (message_1(bytes(32)), "small order"),
    "absurd message 3": (MESSAGE_1 + struct.pack(">H", MAX_MESSAGE_BYTES + 1), "announces 4097 bytes"),
    "garbage message 3": (MESSAGE_1 + struct.pack(">H", 300) + bytes(300), ""),
    "empty message 3": (MESSAGE_1 + b"\0\0", ""),
    "a million bytes": (MESSAGE_1 + b"\x0f\xff" + bytes(1_000_000), ""),
}


@pytest.mark.parametrize("piece", [1, 7, 10_000_000], ids=["bytes", "pieces", "whole"])
@pytest.mark.parametrize("opening", OPENINGS)
def test_an_opening_that_is_none_is_refused_once(scene, caplog, opening, piece):
    data, reason = OPENINGS[opening]
    peer = scene.accept()
    for start in range(0, min(len(data), 6000 if piece < 100 else len(data)), piece):
        if peer.end:
            break
        peer.send(data[start : start + piece])
        scene.run(0.0005)
    scene.run(0.1)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)
    assert scene.directory.heard == []
    [line] = scene.complaints(caplog)
    assert reason in line
    assert not set(line) & set(map(chr, range(32)))


@examples(0.6, are_large=True)
@given(data=st.binary(min_size=1, max_size=400), opens=st.sampled_from([b"", PREAMBLE, MESSAGE_1]))
def test_whatever_a_stranger_says_ends_in_one_refusal_in_time(data, opens):
    scene = LinkScene()
    peer = scene.accept()
    peer.send(opens + data)
    scene.run(10.1)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)
    scene.world.stop()


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, 20, len(MESSAGE_1)])
def test_a_connection_that_is_half_opened_and_left_lasts_ten_seconds(scene, caplog, cut):
    peer = scene.accept()
    peer.send(MESSAGE_1[:cut])
    scene.run(9.9)
    assert scene.is_alive
    scene.run(0.2)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)
    assert "no handshake within 10 s" in scene.complaints(caplog)[0]


@pytest.mark.parametrize("how", ["close", "shutdown_write", "abort"])
@pytest.mark.parametrize("cut", [0, 3, 20, len(MESSAGE_1)])
def test_a_connection_that_is_half_opened_and_closed_is_refused(scene, cut, how):
    peer = scene.accept()
    peer.send(MESSAGE_1[:cut])
    scene.run(0.1)
    getattr(peer.socket, how)()
    scene.run(0.1)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)


def test_a_handshake_byte_by_byte_does_not_outlast_its_time(scene):
    """A stranger gains no time by never falling silent."""
    peer = scene.accept()
    shaking = scene.handshake(initiator=True)
    data = shaking.start() + b"\x0f\xff" + bytes(4000)
    for position in range(98):
        peer.send(data[position : position + 1])
        scene.run(0.1)
    assert scene.is_alive
    for position in range(98, 101):
        peer.send(data[position : position + 1])
        scene.run(0.1)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)


def test_a_genuine_handshake_byte_by_byte_succeeds_in_time(scene):
    peer = scene.accept()
    shaking = scene.handshake(initiator=True)
    for byte in shaking.start():
        peer.send(bytes((byte,)))
        scene.run(0.01)
    progress = shaking.receive(bytes(peer.received), scene.world.dispatcher("there").unix_time())
    for byte in progress.to_send:
        peer.send(bytes((byte,)))
        scene.run(0.01)
    assert len(scene.established) == 1


def test_a_stranger_is_read_a_little_at_a_time(scene):
    peer = scene.accept()
    peer.send(MESSAGE_1 + b"\x0f\xff" + bytes(4000))
    reads = []
    receive = scene.link._socket.recv_into
    scene.link._socket.recv_into = lambda buffer: reads.append(len(buffer)) or receive(buffer)
    scene.run(1.0)
    assert max(reads) <= HANDSHAKE_READ_BYTES
    assert scene.link._link._handshake.buffered_bytes <= MAX_MESSAGE_BYTES + 2


def conversation(scene):
    """The initiator's bytes of a handshake that succeeds: messages 1 and 3."""
    peer = scene.accept()
    shaking = scene.handshake(initiator=True)
    first = shaking.start()
    peer.send(first)
    scene.run(0.1)
    progress = shaking.receive(bytes(peer.received), scene.world.dispatcher("there").unix_time())
    peer.send(progress.to_send)
    scene.run(0.1)
    assert len(scene.established) == 1
    return first, progress.to_send


def test_a_replayed_handshake_is_refused(scene, caplog):
    first, third = conversation(scene)
    peer = scene.accept()
    peer.send(first + third)
    scene.run(0.1)
    assert not scene.is_alive
    assert len(scene.established) == 1
    assert scene.counts == (1, 0, 0)
    assert len(scene.complaints(caplog)) == 1


@pytest.mark.parametrize("side", ["accept", "dial"])
def test_a_handshake_message_with_a_flipped_bit_is_refused(scene, side):
    peer = getattr(scene, side)()
    shaking = scene.handshake(initiator=side == "accept")
    peer.send(shaking.start())
    scene.run(0.1)
    data = bytearray(
        shaking.receive(bytes(peer.received), scene.world.dispatcher("there").unix_time()).to_send
    )
    data[len(data) // 2] ^= 1
    peer.send(bytes(data))
    scene.run(0.1)
    assert scene.link_ended
    assert scene.established == []
    assert scene.counts == (1, 0, 0)


def test_the_links_own_bytes_sent_back_are_refused(scene):
    peer = scene.dial()
    scene.run(0.1)
    peer.send(bytes(peer.received))
    scene.run(0.1)
    assert scene.link_ended
    assert scene.counts == (1, 0, 0)


# After the handshake


def sealed_header(peer, byte_count):
    writer = peer.writer
    sealed = writer._encrypt(nonce(0, writer._sealed), byte_count, None)
    writer._sealed += 1
    return sealed


def header(kind, *, version=1, hop_limit=0, flags=0, source=NO_AGENT, destination=NO_AGENT, length=16):
    return struct.pack(">BBBB16s16sQQI", version, kind, hop_limit, flags, source, destination, 0, 0, length)


HEADERS = {
    "version": (header(FrameType.PING, version=2), "version 2"),
    "unknown type": (header(0x3F), "unknown type 0x3f"),
    "type 0": (header(0), "unknown type 0x00"),
    "reserved flags": (header(FrameType.DATA, flags=0x80), "reserved flags"),
    "absurd body": (header(FrameType.DATA, length=2**32 - 1), "4294967295 bytes"),
    "body too long": (header(FrameType.DATA, length=MAX_BODY_BYTES + 1), "bytes"),
    "own body too long": (header(FrameType.RECORDS, length=MAX_CONTROL_BODY_BYTES + 1), "bytes"),
    "acknowledgement too long": (header(FrameType.ACK, length=61), "ACK announces a body of 61 bytes"),
    "open of another size": (header(FrameType.OPEN, length=1295), "OPEN announces a body of 1295 bytes"),
    "own body without tag": (header(FrameType.PING, length=15), "15 bytes"),
    "own frame with an address": (header(FrameType.PING, destination=OWN.id), "addressed to an agent"),
    "own frame from the exit": (header(FrameType.PING | 0x80), "addressed to an agent"),
}


def broken(scene, caplog, text):
    scene.run(0.1)
    assert scene.link_ended
    assert scene.counts == (0, 1, 1)
    [line] = scene.complaints(caplog)
    assert text in line


@pytest.mark.parametrize("case", HEADERS)
def test_an_authentic_header_that_makes_no_sense_breaks_the_link(scene, caplog, case):
    byte_count, text = HEADERS[case]
    peer = scene.admitted()
    peer.send(sealed_header(peer, byte_count))
    broken(scene, caplog, text)


BODIES = {
    "PING of nothing": (FrameType.PING, b""),
    "PING of text": (FrameType.PING, b"\x91\xa1x"),
    "PING below 0": (FrameType.PING, b"\x91\xff"),
    "PONG of a map": (FrameType.PONG, b"\x81\x00\x00"),
    "RECORDS of garbage": (FrameType.RECORDS, bytes(range(200))),
    "RECORDS with a short signature": (FrameType.RECORDS, b"\x91\x91\x93\xc4\x01a\xc4\x01b\x00"),
    "RECORDS announcing too many": (FrameType.RECORDS, b"\x91\xdd\xff\xff\xff\xff"),
    "RECORDS deeply nested": (FrameType.RECORDS, b"\x91" * 60_000),
    "DIGEST with a short ID": (FrameType.DIGEST, b"\x91\x91\x93\xc4\x01a\x00\x00"),
    "CHALLENGE too short": (FrameType.CHALLENGE, b"\x91\xc4\x01n"),
    "CHALLENGE_ANSWER of a number": (FrameType.CHALLENGE_ANSWER, b"\x91\x05"),
    "CLOSE without reason": (FrameType.CLOSE, b"\x90"),
    "CLOSE that is not UTF-8": (FrameType.CLOSE, b"\x91\xa1\xff"),
    "RETIRE without reason": (FrameType.RETIRE, b"\x90"),
    "RETIRE too long": (FrameType.RETIRE, b"\x91\xda\x10\x00" + b"a" * 4096),
    "CLOSE too long": (FrameType.CLOSE, b"\x91\xda\x10\x00" + b"a" * 4096),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_breaks_the_link(scene, caplog, case):
    kind, body = BODIES[case]
    peer = scene.admitted()
    good = Frame(FrameType.DATA, False, PEER.id, OWN.id, 1, 0, b"")
    peer.send_frames(link_frame(kind, body), link_frame(kind, body), good)
    broken(scene, caplog, kind.name if kind != FrameType.CHALLENGE_ANSWER else "CHALLENGE")


@pytest.mark.parametrize("kind", [FrameType.CLOSE, FrameType.PING])
def test_a_judgement_that_cannot_be_read_ends_the_link_and_is_counted_once(scene, caplog, kind):
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(0.1)
    peer.send_frames(link_frame(kind, b"junk"))
    scene.run(0.1)
    if scene.is_alive:
        scene.tell(ADMIT)
        scene.run(0.1)
    assert scene.link_ended
    assert sum(scene.counts[:2]) == 1
    assert len(scene.complaints(caplog)) == 1


def test_bytes_behind_message_2_are_no_frames_and_are_counted_once(scene, caplog):
    peer = scene.dial()
    scene.run(0.1)
    shaking, unix_time = scene.handshake(initiator=False), scene.world.dispatcher("there").unix_time()
    first = bytes(peer.received)
    peer.send(shaking.receive(first, unix_time).to_send + bytes(100))
    scene.run(0.1)
    if scene.is_alive:
        peer.established(shaking.receive(bytes(peer.received)[len(first) :], unix_time).established)
        peer.send_frames(link_frame(FrameType.PING, b"junk"))
        scene.run(0.1)
        scene.tell(ADMIT)
        scene.run(0.1)
    assert scene.link_ended
    assert sum(scene.counts[:2]) == 1
    assert len(scene.complaints(caplog)) == 1


@pytest.mark.parametrize("position", [0, SEALED_HEADER_BYTES - 1, SEALED_HEADER_BYTES, -1])
def test_a_flipped_bit_anywhere_in_an_own_frame_breaks_the_link(scene, caplog, position):
    peer = scene.admitted()
    data = bytearray(peer.seal(link_frame(FrameType.PING, link_bodies.encode_ping(1))))
    data[position] ^= 0x10
    peer.send(bytes(data))
    broken(scene, caplog, "does not authenticate")


def test_a_replayed_frame_breaks_the_link(scene, caplog):
    peer = scene.admitted()
    byte_count = peer.seal(link_frame(FrameType.PING, link_bodies.encode_ping(1)))
    peer.send(byte_count + byte_count)
    broken(scene, caplog, "does not authenticate")


def test_the_links_own_frames_sent_back_break_it(scene, caplog):
    peer = scene.admitted()
    before = len(peer.received)
    scene.tell(messages.SendControl(FrameType.PING, link_bodies.encode_ping(1)))
    scene.run(0.1)
    peer.send(bytes(peer.received[before:]))
    broken(scene, caplog, "does not authenticate")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n" * 10, bytes(200), MESSAGE_1 * 3])
def test_bytes_that_are_not_sealed_break_the_link(scene, caplog, data):
    peer = scene.admitted()
    peer.send(data)
    broken(scene, caplog, "does not authenticate")


def test_a_frame_that_never_ends_is_cut_off_as_silence_is_not(scene):
    """Bytes count as life, yet what a link holds of one frame is bounded by its judged length."""
    peer = scene.admitted(answers=False)
    data = peer.seal(Frame(FrameType.DATA, False, PEER.id, OWN.id, 1, 0, bytes(1000)))
    for byte in data[:-1]:
        peer.send(bytes((byte,)))
        scene.run(0.01)
    assert scene.is_alive
    assert scene.link._link._reader.buffered_bytes < len(data)
    assert scene.table.heard == []


@examples(0.4, are_large=True)
@given(kind=st.sampled_from(list(FrameType)[:7]), body=st.binary(max_size=80))
def test_any_body_of_an_own_frame_is_handled_or_breaks_the_link_once(kind, body):
    scene = LinkScene()
    peer = scene.admitted()
    peer.send_frames(link_frame(kind, body), link_frame(FrameType.PING, link_bodies.encode_ping(1)))
    scene.run(0.1)
    assert scene.is_alive or scene.link_ended
    assert scene.meters.links_broken in ({0} if scene.is_alive else {0, 1})
    assert scene.meters.links_lost == (not scene.is_alive)
    scene.world.stop()
