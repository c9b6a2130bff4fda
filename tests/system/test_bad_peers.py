"""Peers with a genuine certificate that misbehave: it costs them their link, is counted and told once."""

import contextlib
import os
import socket
import struct
import time

import msgspec
import pytest
from msgspec.structs import replace

from mesh.link import bodies as link_bodies
from mesh.link.bodies import Records, WireRecord
from mesh.link.frames import MAX_BODY_BYTES, SEALED_HEADER_BYTES, VERSION, Frame, FrameType, link_frame
from mesh.routing.database import ANSWER_AFTER_S
from mesh.routing.records import (
    MAX_NEIGHBOURS,
    EndpointEntry,
    Neighbour,
    RecordBody,
    decode_body,
    sign_record,
)
from mesh.trust.identity import RECORD_CONTEXT, AgentId
from scripts.lab.clients import connect, read_exactly
from scripts.lab.services import Service, Task, echo
from scripts.lab.waiting import wait_until
from tests.frame_sizes import fitting
from tests.system.peer_client import PeerClient
from tests.system.siege import MIB, TOLD_S, resident_bytes

STORM_RECORDS = 10_000
HEADER = struct.Struct(">BBBB16s16sQQI")


@pytest.fixture
def client(relay):
    """A peer with a genuine certificate, linked."""
    with PeerClient(relay, name=f"bad-{os.urandom(4).hex()}") as client:
        client.join()
        yield client


# -- with a certificate --------------------------------------------------------------------------------------


def header(kind, length, *, version=VERSION, flags=0, source=bytes(16), destination=bytes(16), hops=0):
    return HEADER.pack(version, kind, hops, flags, source, destination, 0, 0, length)


DATA = FrameType.DATA
NONSENSE = {
    "not sealed": (lambda client: client.socket.sendall(os.urandom(1000)), "does not authenticate"),
    "unknown type": (lambda client: client.send_sealed(header(0x3F, 16)), "unknown type 0x3f"),
    "type zero": (lambda client: client.send_sealed(header(0, 16)), "unknown type 0x00"),
    "version": (lambda client: client.send_sealed(header(1, 16, version=2)), "protocol version 2"),
    "flags": (lambda client: client.send_sealed(header(DATA, 16, flags=0x80)), "reserved flags"),
    "own length": (lambda client: client.send_sealed(header(1, 2**32 - 1)), "a body of 4294967295 bytes"),
    "own short": (lambda client: client.send_sealed(header(1, 3)), "a body of 3 bytes"),
    "data length": (lambda client: client.send_sealed(header(DATA, MAX_BODY_BYTES + 1)), "a body of 65553"),
    "addressed": (lambda client: client.send_sealed(header(1, 16, source=b"x" * 16)), "the link's own"),
    "ping body": (lambda client: client.send_own(FrameType.PING, b"\xc1"), "PING that cannot be read"),
    "ping empty": (lambda client: client.send_own(FrameType.PING, b""), "PING that cannot be read"),
    "records body": (lambda client: client.send_own(FrameType.RECORDS, b"\x91\xff"), "RECORDS that cannot"),
    "records nested": (lambda client: client.send_own(FrameType.RECORDS, b"\x91" * 60_000), "RECORDS that"),
    "digest body": (lambda client: client.send_own(FrameType.DIGEST, os.urandom(99)), "DIGEST that cannot"),
    "challenge": (lambda client: client.send_own(FrameType.CHALLENGE, b"\x91\xa0"), "CHALLENGE that cannot"),
    "close": (lambda client: client.send_own(FrameType.CLOSE, b"\x91\x01"), "CLOSE that cannot"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_of_a_peer_costs_it_its_link(relay, client, kind):
    send, says = NONSENSE[kind]
    before = relay.stats()["links_broken_total"]
    send(client)
    assert client.ends()
    wait_until(lambda: relay.stats()["links_broken_total"] == before + 1, "it is counted")
    (told,) = wait_until(lambda: relay.lines_with(f"{client.address})"), "it is told")
    assert "warning" in told
    assert "link broken: " in told
    assert says in told


def test_frames_cut_off_by_the_end_of_the_stream_end_the_link(relay, client):
    data = client.sealed(link_frame(FrameType.PING, link_bodies.encode_ping(1)))
    client.socket.sendall(data[: SEALED_HEADER_BYTES + 3])
    client.socket.shutdown(socket.SHUT_WR)
    assert client.ends()


def test_frames_of_connections_that_do_not_exist_are_dropped_and_the_link_stays(relay, client, chain):
    """For the relay, for others, for nobody, and with no hops to go."""
    stats = relay.stats()
    own = client.identity.id

    def frame(kind, destination, hops=16):
        body = fitting(kind, b"x" * 32)
        return Frame(int(kind), False, own, AgentId(bytes(destination)), 7, 0, body, hops)

    hq, self_id = chain.hq.identity.id, relay.identity.id
    kinds = [kind for kind in FrameType if kind >= FrameType.OPEN]
    for kind in kinds:
        client.send(
            frame(kind, self_id), frame(kind, os.urandom(16)), frame(kind, hq, hops=1), frame(kind, hq)
        )
    client.send_own(FrameType.PING, link_bodies.encode_ping(4711))
    while link_bodies.decode_pong(client.wait_for(FrameType.PONG).body) != 4711:
        pass
    after = relay.stats()
    assert after["frames_unroutable_total"] - stats["frames_unroutable_total"] == len(kinds)
    assert after["frames_expired_total"] - stats["frames_expired_total"] == len(kinds)
    assert after["links_broken_total"] == stats["links_broken_total"]
    wait_until(lambda: chain.hq.stats()["pending_opens"] == 0, "no open is pending at hq")


# -- records -------------------------------------------------------------------------------------------------


def own_body(client, **changes):
    """A record of the client."""
    body = RecordBody(
        public_key=client.identity.public_key,
        epoch=int(time.time() * 1000),
        sequence=0,
        instance=client.instance,
        session_key=os.urandom(32),
        certificate=client.certificate,
        relays=True,
        draining=False,
        withdrawn=False,
    )
    return replace(body, **changes)


def send_records(client, *records):
    client.send_own(FrameType.RECORDS, link_bodies.encode_records(Records(records)))


def records_of(client, agent):
    """The newest record of an agent, as the relay sends it to a peer that has none."""
    client.send_own(FrameType.DIGEST, link_bodies.encode_digest(link_bodies.batch_digest([])[0]))
    while True:
        records = link_bodies.decode_records(client.wait_for(FrameType.RECORDS).body)
        for record in records:
            if decode_body(record.signed).public_key == agent.identity.public_key:
                return record


def bad_signature(client, chain):
    wire = sign_record(client.identity, own_body(client))
    return replace(wire, signature=bytes(64))


def another_context(client, chain):
    """A signature that the client gave for something else."""
    wire = sign_record(client.identity, own_body(client))
    return replace(wire, signature=client.identity.sign(RECORD_CONTEXT + b"?", wire.signed))


def forged_record_of_another(client, chain):
    """Newer than the genuine one, with its certificate, signed by the client."""
    genuine = decode_body(records_of(client, chain.hq).signed)
    signed = msgspec.msgpack.encode(replace(genuine, sequence=genuine.sequence + 1000))
    return WireRecord(signed, client.identity.sign(RECORD_CONTEXT, signed), 0)


def certificate_of_another(client, chain):
    genuine = decode_body(records_of(client, chain.hq).signed)
    return sign_record(client.identity, own_body(client, certificate=genuine.certificate))


def garbage_record(client, chain):
    return WireRecord(os.urandom(500), bytes(64), 0)


def oversize_record(client, chain):
    return WireRecord(bytes(61_000), bytes(64), 0)


def too_many_neighbours(client, chain):
    neighbours = tuple(Neighbour(AgentId(os.urandom(16)), 0) for _ in range(MAX_NEIGHBOURS + 1))
    signed = msgspec.msgpack.encode(own_body(client, neighbours=neighbours))
    return WireRecord(signed, client.identity.sign(RECORD_CONTEXT, signed), 0)


BAD_RECORDS = [
    bad_signature,
    another_context,
    forged_record_of_another,
    certificate_of_another,
    garbage_record,
    oversize_record,
    too_many_neighbours,
]


@pytest.mark.parametrize("make", BAD_RECORDS, ids=lambda make: make.__name__)
def test_a_record_that_nobody_honest_passes_on_costs_the_link(relay, client, chain, make):
    before = relay.stats()
    send_records(client, make(client, chain))
    assert client.last_words() is not None
    client.socket.shutdown(socket.SHUT_WR)
    assert client.ends()
    for name in ("records_refused_offence_total", "links_broken_total"):
        wait_until(
            lambda name=name: relay.stats()[name] == before[name] + 1, f"it is counted as {name}", TOLD_S
        )
    (told,) = wait_until(lambda: relay.lines_with(f"{client.address})"), "it is told", TOLD_S)
    assert "warning" in told
    chain.branch.wait_for_route(chain.KEY)


def test_an_older_record_replayed_changes_nothing_and_is_answered_with_the_newer(relay, client, chain):
    """The relay's other peers pass on what they have in good faith: this is no offence."""
    first = sign_record(client.identity, own_body(client, sequence=1))
    second = sign_record(client.identity, own_body(client, sequence=2, endpoints=(EndpointEntry("k", None),)))
    send_records(client, second)
    before = relay.stats()
    wait_until(lambda: "k" in offered_keys(relay), "the record counts")
    for _ in range(100):
        send_records(client, first)
    # What crosses news is not answered; after a while it is.
    patience = time.monotonic() + ANSWER_AFTER_S
    wait_until(lambda: time.monotonic() > patience, "the record is no news any more")
    send_records(client, first)
    answer = link_bodies.decode_records(client.wait_for(FrameType.RECORDS).body)
    while decode_body(answer[0].signed).public_key != client.identity.public_key:
        answer = link_bodies.decode_records(client.wait_for(FrameType.RECORDS).body)
    assert answer[0].signed == second.signed
    wait_until(
        lambda: relay.stats()["records_older_total"] >= before["records_older_total"] + 100,
        "they are counted",
    )
    assert "k" in offered_keys(relay)


def offered_keys(agent):
    return {entry["key"] for entry in agent.dashboard()["unmatched_endpoints"]}


def test_a_withdrawal_of_another_agent_cannot_be_replayed_or_made_up(relay, client, chain):
    """An old record of hq, from before it offered anything, and one that the client signs itself."""
    genuine = records_of(client, chain.hq)
    body = decode_body(genuine.signed)
    signed = msgspec.msgpack.encode(replace(body, sequence=body.sequence + 1, withdrawn=True, endpoints=()))
    send_records(client, WireRecord(signed, genuine.signature, 0))
    assert client.ends()
    assert chain.branch.routes(chain.KEY)


# -- floods --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pings", "challenges", "digests"])
def test_a_peer_that_asks_without_reading_loses_its_link(relay, client, kind):
    """Answers wait for it in bounded memory and for a bounded time."""
    bodies = {
        "pings": (FrameType.PING, link_bodies.encode_ping(1)),
        "challenges": (FrameType.CHALLENGE, link_bodies.encode_challenge(bytes(16))),
        "digests": (FrameType.DIGEST, link_bodies.encode_digest(link_bodies.batch_digest([])[0])),
    }
    question = link_frame(*bodies[kind])
    memory = resident_bytes(relay)
    highest = memory
    client.socket.settimeout(10)
    deadline = time.monotonic() + 20
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while time.monotonic() < deadline:
            client.send(*[question] * 500)
            highest = max(highest, resident_bytes(relay))
        raise AssertionError("the relay still takes questions from a peer that takes no answers")
    assert highest - memory < 150 * MIB
    wait_until(relay.dashboard, "the relay is itself again", TOLD_S)
    (told,) = wait_until(lambda: relay.lines_with(f"at {client.address})"), "it is told", TOLD_S)
    assert any(text in told for text in ("has taken nothing", "asks for more than it reads", "more digests"))


def test_a_storm_of_records_does_not_stop_the_relay_or_the_mesh(relay, client, chain):
    """Genuine ones of the client, each newer than the one before, as fast as they go."""
    records = [
        sign_record(client.identity, own_body(client, sequence=number)) for number in range(STORM_RECORDS)
    ]
    stored = chain.hq.stats()["records_stored_total"]
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for record in records:
            send_records(client, record)
    for agent in chain.agents:
        wait_until(agent.dashboard, f"{agent.name} answers", 1.0)
    # The newest counts: not each of them need go all the way through the mesh.
    assert chain.hq.stats()["records_stored_total"] - stored < STORM_RECORDS / 10


# -- two agents with one identity ----------------------------------------------------------------------------


def test_a_second_agent_with_the_same_identity_is_refused_and_told_and_the_first_stays(relay, client):
    answering = Task(answer, client)
    with PeerClient(relay, name="twin", identity=client.identity) as twin:
        twin.shake()
        assert "duplicate identity" in link_bodies.decode_close(twin.last_words())
        (told,) = wait_until(lambda: relay.lines_with("the second is refused"), "it is told")
        assert twin.address in told
        assert client.address in told
    wait_until(
        lambda: [peer["id"] for peer in relay.dashboard()["peers"]].count(client.identity.id.hex()) == 1,
        "the first is linked",
    )
    assert not answering.is_done
    client.socket.shutdown(socket.SHUT_RDWR)
    answering.result()


def answer(client):
    """Answer as an agent does, until the link ends."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            frame = client.next_frame()
            if frame.type == FrameType.CHALLENGE:
                client.send_own(FrameType.CHALLENGE_ANSWER, frame.body)
            if frame.type == FrameType.PING:
                client.send_own(FrameType.PONG, frame.body)


def test_two_running_agents_with_one_key_are_found_out_and_the_first_serves_on(mesh):
    relay = mesh.agent("relay").accept()
    first, second = mesh.agent("first").dial(relay), mesh.agent("second").dial(relay)
    for name in ("identity.key", "agent.cert"):
        content = (first.folder / name).read_text()
        (second.folder / name).write_text(content)
    with Service(echo) as service:
        first.offer("a", service.port)
        port = relay.listen("a")
        for agent in (relay, first):
            agent.start()
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            second.start()
            wait_until(lambda: relay.lines_with("duplicate identity"), "the relay tells")
            wait_until(lambda: second.lines_with("duplicate identity"), "the second is told")
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
        assert relay.stats()["peer_count"] == 1
        assert first.stats()["peer_count"] == 1
        assert second.stats()["peer_count"] == 0
        first.stop()
        # The one is gone, so the other is no duplicate any more.
        wait_until(lambda: second.stats()["peer_count"] == 1, "the second takes its place", 30)
