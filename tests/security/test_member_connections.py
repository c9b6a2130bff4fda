"""A member with a valid certificate that opens connections, offers keys, or has its certificate end."""

import contextlib
import random
import signal
import socket
import struct
import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.addresses import TcpAddress
from mesh.link.frames import Frame, FrameType, associated_data, nonce
from mesh.routing.records import EndpointEntry
from scripts.lab.clients import connect
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until
from tests.security.chains import KEY, SAYING, Held
from tests.security.hostile import Credentials, Member
from tests.simulation.mesh_world import KEY as KEY_THERE
from tests.simulation.mesh_world import SERVICE_PORT, mesh_world, three_agents

MIB = 1024 * 1024
U64S = (0, 1, 2, 3, 65536, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)


def linked_user(chain, agent):
    """A member that may use every key, and whose record an agent knows."""
    hostile = Member(agent, Credentials(chain.authority, "mallory", use=("*",)))
    hostile.know(chain.hq)
    hostile.advertise()
    time.sleep(0.3)
    return hostile


# -- places --------------------------------------------------------------------------------------------------


def answered(port, stack, timeout_s=3.0):
    """Whether a new connection was answered; ``stack`` closes it. A reset may come before it is open."""
    try:
        client = stack.enter_context(connect(port, timeout_s=timeout_s))
        client.sendall(b"x")
        return client.recv(1) == b"x"
    except ConnectionRefusedError:
        raise
    except OSError:
        return False


@pytest.mark.parametrize("what", ["places", "descriptors"])
def test_one_ingress_cannot_hold_all_places_nor_all_descriptors_of_an_exit(mesh, what):
    victim, attacker, hq = mesh.agent("victim"), mesh.agent("attacker"), mesh.agent("hq")
    victim.dial(hq)
    attacker.dial(hq)
    with Service(echo_until_reset) as service, contextlib.ExitStack() as stack:
        ports = {}
        for key in ("few", "free"):
            hq.offer(key, service.port)
            ports[key] = victim.listen(key), attacker.listen(key)
        hq.config["forward"]["endpoints"][0]["max_connections"] = 20
        hq.start(prefix=("sh", "-c", 'ulimit -n 256; exec "$@"', "sh"))
        mesh.start()
        for key in ports:
            victim.wait_for_route(key)
            attacker.wait_for_route(key)
        results = []
        waits_s = []

        def hold(key, count):
            for _ in range(count):
                began = time.monotonic()
                results.append(answered(ports[key][1], stack, 2.0))
                waits_s.append(time.monotonic() - began)
                if results[-6:] == [False] * 6:
                    break

        if what == "places":
            hold("few", 20)
            assert sum(results) >= 10, "an honest ingress alone gets most of them"
            assert answered(ports["few"][0], stack), "the victim finds a place among 20"
            return
        hold("free", 260)
        assert max(waits_s[-6:]) < 2.0, "what is refused is reset at once"
        assert answered(ports["free"][0], stack), "the victim finds a descriptor"
        assert hq.get("/health", 2.0)[0] == 200
        with Member(hq, Credentials(mesh.authority, "newcomer")) as newcomer:
            newcomer.know(victim)


def test_what_one_ingress_makes_an_exit_hold_stays_within_stream_buffer(mesh):
    hq = mesh.agent("hq").accept()
    hq.config["limits"] = {"stream_buffer": "8MiB"}
    with Service() as deaf:
        hq.offer(KEY, deaf.port)
        hq.start()
        credentials = Credentials(mesh.authority, "mallory", use=("*",))
        openings, sessions = {}, {}

        def fill(link, frame):
            if frame.type == FrameType.ACCEPT and frame.connection not in sessions:
                _, session = openings[frame.connection].read_reply(frame)
                sessions[frame.connection] = session
                link.send(*(session.seal_segment(FrameType.DATA, n, b"z" * 16_000) for n in range(4)))

        with Member(hq, credentials, on_frame=fill) as hostile:
            exit_ = hostile.know(hq)
            hostile.advertise()
            time.sleep(0.3)
            for number in range(1, 401):
                openings[number], frame = credentials.opening(exit_, number, KEY, 2**62)
                hostile.send(frame)
                if number % 40 == 0:
                    time.sleep(0.1)
            time.sleep(0.7)
            stats = hq.stats()
            assert len(sessions) >= 20
            assert stats["stream_buffer_bytes"] <= 8 * MIB
        for client in deaf.clients:
            client.close()


# -- odd frames that authenticate ----------------------------------------------------------------------------


def sealed(session, kind, number, plaintext):
    """A frame that authenticates and has any number."""
    ends = session._local, session.remote, session.connection
    number_class = 0 if kind in (FrameType.DATA, FrameType.FIN) else 1
    covered = associated_data(1, kind, *ends, number, len(plaintext) + 16)
    cipher = ChaCha20Poly1305(session._send_key)
    return Frame(kind, False, *ends, number, cipher.encrypt(nonce(number_class, number), plaintext, covered))


def acknowledgement(draw):
    return struct.pack(">QQQQQI", *(draw.choice(U64S) for _ in range(5)), draw.choice([0, 5, 2**32 - 1]))


def payload(draw, kind):
    match kind:
        case FrameType.DATA:
            return draw.randbytes(draw.choice([0, 1, 100, 65536]))
        case FrameType.FIN:
            said = struct.pack(">QIB", draw.choice(U64S), draw.choice([0, 2**32 - 1]), draw.choice([0, 1, 2]))
            return said + draw.randbytes(draw.choice([0, 1, 100]))
        case FrameType.RESET:
            return struct.pack(">BBQ", draw.randrange(256), draw.choice([0, 1, 2, 255]), draw.choice(U64S))
        case _:
            return acknowledgement(draw)


def test_control_numbers_at_their_limits_crash_nothing(chain):
    """A PROBE of 2**64 - 1, whose echo would be 2**64, and what else authenticates and makes no sense."""
    draw = random.Random(20)
    kinds = (FrameType.DATA, FrameType.FIN, FrameType.ACK, FrameType.PROBE, FrameType.RESET)
    with linked_user(chain, chain.relay) as hostile:
        exit_ = hostile.know(chain.hq)
        _, session = hostile.open(exit_, 1, KEY)
        hostile.send(
            sealed(session, FrameType.PROBE, 2**64 - 1, struct.pack(">QQQQQI", 0, 65536, 0, 0, 0, 0))
        )
        for number in range(2, 40):
            reply, session = hostile.open(exit_, number, KEY, draw.choice([0, 1, 65536, 2**63]))
            assert reply.accepted
            for _ in range(6):
                kind = draw.choice(kinds)
                small = kind in (FrameType.DATA, FrameType.FIN)
                at = draw.choice([0, 1, 2, draw.randrange(1100)] if small else U64S)
                hostile.send(sealed(session, kind, at, payload(draw, kind)))
        assert hostile.is_alive
        assert chain.slowest_newcomer(1) < 1.0


def test_the_dump_of_an_agent_shows_no_escapes_of_others(chain):
    key = "\x1b]0;owned\x07\x1b[2J\n2026-01-01 12:00:00.000 critical agent: forged line\n"
    mark = len(chain.hq.process.output)
    with linked_user(chain, chain.relay) as hostile:
        exit_ = hostile.know(chain.hq)
        for number in range(20):
            hostile.send(hostile.credentials.opening(exit_, 100 + number, key)[1])
        time.sleep(0.2)
        chain.hq.process.signal(signal.SIGUSR1)
        wait_until(lambda: "=== end of the dump" in chain.hq.process.output[mark:], "the dump is whole")
    said = chain.hq.process.output[mark:]
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("2026-01-01 12:00:00.000")]
    assert "owned" in said


# -- whom one believes ---------------------------------------------------------------------------------------


def test_a_member_at_a_peers_address_is_not_taken_for_it_if_the_peer_is_named(mesh):
    branch, relay = mesh.agent("branch"), mesh.agent("relay").accept()
    with socket.create_server((LOOPBACK, 0)) as listening:
        address = f"{LOOPBACK}:{listening.getsockname()[1]}"
        branch.config["peers"] = [{"address": address, "id": relay.id}]
        branch.start()
        with contextlib.suppress(OSError, EOFError):
            impostor = Member(None, Credentials(mesh.authority, "impostor", relay=True), listening=listening)
            with impostor:
                assert impostor.ends()
        wait_until(lambda: branch.lines_with("impostor"), "it is told by name")
        connected = [peer for peer in branch.dashboard()["peers"] if peer["state"] == "connected"]
        assert connected == []


def test_a_listener_that_names_its_exits_gives_no_other_its_clients(fresh_chain):
    chain = fresh_chain
    chain.branch.config["forward"]["listeners"][0]["agents"] = ["hq"]
    chain.branch.accept()
    chain.start()
    helpful = Credentials(chain.authority, "helpful", register=("*",))
    with Member(chain.branch, helpful) as hostile:
        hostile.know(chain.branch)
        hostile.advertise(endpoints=(EndpointEntry(KEY, "10.0.0.1:5432"),))
        time.sleep(0.5)
        took = chain.newcomers(5)
        assert None not in took
        assert not [frame for frame in hostile.frames if frame.type == FrameType.OPEN]


def test_a_new_agent_that_offers_a_key_already_offered_is_told():
    """Once the mesh has been itself for a while: when it starts, everybody is new."""
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.run(120.0)
        mesh.plan("hijacker", peers=["relay"], endpoints={KEY_THERE: TcpAddress("service", SERVICE_PORT)})
        mesh.start("hijacker")
        mesh.run(5.0)
        assert len(mesh.log.of("branch", "hijacker")) == 1
        mesh.run(300.0)
        assert len(mesh.log.of("branch", "hijacker")) == 1


# -- the end of a certificate --------------------------------------------------------------------------------


def test_connections_of_an_agent_whose_certificate_ends_end_within_a_second(fresh_chain):
    chain = fresh_chain
    for agent in (chain.relay, chain.hq):
        agent.start()
    for lifetime_s in (4, 12, 36):  # the last on a machine that takes long to start an agent
        ends_at = int(time.time()) + lifetime_s
        chain.branch.certify(not_after=lifetime_s)
        with contextlib.suppress(AssertionError):  # its certificate may end before it has begun
            chain.branch.start()
            chain.branch.wait_for_route(KEY)
        if chain.answers() is not None and time.time() < ends_at - 1.5:
            break
        chain.branch.kill()
    with contextlib.suppress(OSError, EOFError, AssertionError), Held(chain.port, 2.0) as held:
        while time.time() < ends_at + 5:
            held.says()
            last = time.time()
            time.sleep(0.02)
    assert time.time() < ends_at + 2.5, "it was broken off"
    assert ends_at - 1 < last < ends_at + 1.0
    wait_until(lambda: chain.hq.stats()["open_connections"] == 0, "the other end is gone", 1.5)


def test_a_keystroke_is_answered_all_the_while(chain):
    """What the tests above leave behind is nothing that an honest client notices."""
    with Held(chain.port) as held:
        assert max(held.says(SAYING) for _ in range(20)) < 0.5
