"""A member with a valid certificate, linked to a relay, against everybody else."""

import contextlib
import itertools
import os
import random
import time

import pytest

from mesh.link import bodies
from mesh.link.frames import FrameType, link_frame
from mesh.routing.records import EndpointEntry, ListenerEntry, Neighbour
from scripts.lab.waiting import wait_until
from tests.security.chains import KEY, Chain, Held, dial_at
from tests.security.crowds import crowd, opening_of
from tests.security.hostile import Credentials, Member, Repeating, junk
from tests.security.taps import Tap

OPENS_PER_S = 20_000
ALL_FUTILE = "too many handshakes from there come to nothing"
numbers = itertools.count(1_000_000)


@pytest.fixture
def member(chain):
    """Makes members that are linked to the relay; all leave with the test."""
    made = []

    def make(agent=None, **named):
        linked = Member(agent or chain.relay, Credentials(chain.authority, f"m{next(numbers)}", **named))
        made.append(linked)
        return linked

    yield make
    for each in made:
        each.close()


# -- handshakes ----------------------------------------------------------------------------------------------


def test_members_that_dial_without_pause_keep_no_agent_behind_their_address_out(mesh, tmp_path):
    """One that was linked before is let in at once, one that has just started within some seconds."""
    relay, known, newcomer = mesh.agent("relay").accept(), mesh.agent("known"), mesh.agent("newcomer")
    newcomer.dial(relay)
    with Tap(relay.accept_port) as tap, contextlib.ExitStack() as crowds:
        dial_at(known, tap.port)
        relay.start()
        known.start()
        relay.wait_for_peers(known)
        for number in range(3):
            log, opening = tmp_path / f"crowd-{number}.log", opening_of(mesh.authority)
            crowds.callback(crowd(relay, log, opening, rate=300, addresses=0, seconds=120).kill)
        wait_until(lambda: ALL_FUTILE in relay.process.output, "the address has used up its handshakes", 60)
        lost = known.stats()["links_lost_total"]
        tap.cut()
        wait_until(
            lambda: known.stats()["links_lost_total"] > lost and peers_of(known) == ["relay"],
            "one that was linked is linked again",
            10.0,
        )
        newcomer.start()
        wait_until(lambda: peers_of(newcomer) == ["relay"], "one that has just come is linked", 60)


def peers_of(agent):
    return [peer["display_name"] for peer in agent.dashboard()["peers"] if peer["state"] == "connected"]


# -- records -------------------------------------------------------------------------------------------------


def entries(count, key):
    """As many endpoints and listeners, each of the key that ``key`` makes of its number."""
    return {
        "endpoints": tuple(EndpointEntry(key(n), str(n)) for n in range(count)),
        "listeners": tuple(ListenerEntry(key(n), str(n)) for n in range(count)),
    }


@pytest.mark.parametrize("key", [lambda n: "k", lambda n: f"k{n}"], ids=["one key", "many keys"])
def test_a_record_of_7_kb_leaves_the_dashboard_small_and_quick(chain, member, key):
    hostile = member(register=("*",), use=("*",))
    hostile.know(chain.hq)
    with Held(chain.port) as held:
        hostile.advertise(**entries(512, key))
        time.sleep(0.5)
        for agent in (chain.hq, chain.branch):
            start = time.monotonic()
            status, body = agent.get("/api/dashboard")
            assert (status, time.monotonic() - start < 1.0, len(body) < 1_000_000) == (200, True, True)
            assert agent.get("/ready")[0] == 200
        assert max(held.says() for _ in range(20)) < 0.5


def test_records_that_change_all_the_time_stall_nobody(chain, member):
    hostiles = [member(register=("*",), use=("*",)) for _ in range(3)]

    def churn(number):
        for hostile in hostiles:
            hostile.advertise(**entries(512, lambda n: f"{number}-{n}"))

    with Held(chain.port) as held, Repeating(0.3, churn):
        end = time.monotonic() + 2
        slowest = 0.0
        while time.monotonic() < end:
            slowest = max(slowest, held.says())
            assert chain.hq.get("/ready")[0] == 200
        assert slowest < 0.5
        assert chain.slowest_newcomer(1) < 1.0


# -- opens ---------------------------------------------------------------------------------------------------


def open_flood(hostile, source, hq, rate):
    """Sends junk of the size of a genuine OPEN in the name of ``source``, so many each second."""
    body = hostile.know(hq)
    _, genuine = hostile.credentials.opening(body, 1, "no-such-key")
    inner = hostile.records[source][0].instance if source in hostile.records else os.urandom(16)
    rest = os.urandom(len(genuine.body) - 32)
    step = max(1, rate // 50)

    def some(_):
        hostile.send(
            *(
                junk(FrameType.OPEN, source, hq.identity.id, next(numbers), inner + body.instance + rest)
                for _ in range(step)
            )
        )

    return Repeating(1 / 50, some)


@pytest.mark.parametrize("name", ["its own", "another's"])
def test_20000_opens_a_second_by_one_that_relays_use_up_nobodys_places(fresh_chain, name):
    chain = fresh_chain.start()
    with Member(chain.relay, Credentials(chain.authority, relay=True)) as hostile, Held(chain.port) as held:
        hostile.know(chain.branch)
        hostile.advertise()
        source = hostile.credentials.id if name == "its own" else chain.branch.identity.id
        with open_flood(hostile, source, chain.hq, OPENS_PER_S):
            time.sleep(0.5)
            assert chain.slowest_newcomer(6) < 1.0
            assert held.soonest_answer() < 1.0
        assert held.soonest_answer() < 1.0


@pytest.mark.parametrize("at", [1, 2], ids=["the first relay", "the last"])
def test_opens_in_anothers_name_are_held_back_wherever_they_join_its_way(mesh, at):
    with contextlib.closing(Chain(mesh, relays=2)) as chain:
        chain.start()
        with Member(chain.agents[at], Credentials(chain.authority, relay=True)) as hostile:
            hostile.know(chain.branch)
            hostile.advertise()
            with open_flood(hostile, chain.branch.identity.id, chain.hq, OPENS_PER_S):
                time.sleep(0.5)
                assert chain.slowest_newcomer(6) < 1.0
            assert chain.agents[at].stats()["opens_held_back_total"] > 0
            chain.agents[at].wait_for_lines_with("holding them back")


def test_an_agent_that_may_not_relay_speaks_for_itself_only(chain, member):
    hostile = member()
    hostile.know(chain.branch)
    with open_flood(hostile, chain.branch.identity.id, chain.hq, 1000):
        assert hostile.ends()
    chain.relay.wait_for_lines_with(hostile.credentials.name)
    assert chain.slowest_newcomer(1) < 1.0


def test_genuine_opens_for_a_key_that_does_not_exist_delay_nobody(chain, member):
    hostile = member(use=("*",))
    exit_ = hostile.know(chain.hq)
    hostile.advertise()

    def some(_):
        frames = [hostile.credentials.opening(exit_, next(numbers), "no-such-key")[1] for _ in range(5)]
        hostile.send(*frames)

    with Repeating(0.01, some):
        time.sleep(0.5)
        assert chain.slowest_newcomer(6) < 1.0


# -- other floods on its link --------------------------------------------------------------------------------


def stale_records(hostile, chain):
    _, wire = hostile.records[chain.hq.identity.id]
    return [
        link_frame(FrameType.RECORDS, bodies.encode_records(bodies.Records((wire,) * 40))) for _ in range(2)
    ]


def flood_of(kind, hostile, chain):
    own, hq = hostile.credentials.id, chain.hq.identity.id
    nowhere = type(hq)(b"z" * 16)
    match kind:
        case "pings":
            return [link_frame(FrameType.PING, bodies.encode_ping(next(numbers))) for _ in range(80)]
        case "challenges":
            return [link_frame(FrameType.CHALLENGE, bodies.encode_challenge(b"c" * 16))] * 80
        case "old records":
            return stale_records(hostile, chain)
        case "data of no connection":
            return [junk(FrameType.DATA, own, hq, next(numbers), b"x" * 60) for _ in range(80)]
        case "acknowledgements of no connection":
            return [junk(FrameType.ACK, own, hq, next(numbers), b"x" * 60) for _ in range(80)]
        case "data to nobody":
            return [junk(FrameType.DATA, own, nowhere, next(numbers), b"x" * 60) for _ in range(80)]


@pytest.mark.parametrize(
    "kind",
    [
        "pings",
        "challenges",
        "old records",
        "data of no connection",
        "acknowledgements of no connection",
        "data to nobody",
    ],
)
def test_thousands_of_frames_a_second_of_one_kind_disturb_nobody(chain, member, kind):
    hostile = member()
    hostile.know(chain.hq)
    with Held(chain.port) as held, Repeating(0.02, lambda _: hostile.send(*flood_of(kind, hostile, chain))):
        time.sleep(0.3)
        assert held.slowest_answer(0.7) < 0.5
        assert chain.slowest_newcomer(3) < 1.0


def test_frames_forged_in_both_ends_names_change_no_connection(chain, member):
    """By one that relays, off the path: every type, guessed numbers, junk and empty bodies."""
    hostile = member(relay=True)
    branch, hq = chain.branch.identity.id, chain.hq.identity.id
    instances = hostile.know(chain.branch).instance + hostile.know(chain.hq).instance
    _, genuine = hostile.credentials.opening(hostile.know(chain.hq), 1, KEY)
    draw = random.Random(12)
    sizes = {
        FrameType.OPEN: len(genuine.body),
        FrameType.ACCEPT: len(genuine.body),
        FrameType.REJECT: len(genuine.body),
        FrameType.ACK: 60,
        FrameType.PROBE: 60,
        FrameType.RESET: 26,
        FrameType.FIN: 29,
        FrameType.UNKNOWN: 0,
        FrameType.SESSION_KEYS: 77,
    }

    def forge(_):
        out = []
        for _ in range(40):
            kind = draw.choice([*sizes, FrameType.DATA])
            up = draw.random() < 0.5
            body = draw.randbytes(sizes.get(kind, draw.choice([16, 60, 2000])))
            if kind == FrameType.OPEN:
                body = instances + body[len(instances) :]
            number = 0 if kind == FrameType.UNKNOWN else draw.choice([0, 1, 2, 3, 2**63, 2**64 - 1])
            ends = (branch, hq) if up else (hq, branch)
            out.append(junk(kind, *ends, draw.randrange(1, 60), body, number=number, from_exit=not up))
        hostile.send(*out)

    connections = [Held(chain.port) for _ in range(10)]
    with Repeating(0.01, forge):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for held in connections:
                held.says()
            assert chain.slowest_newcomer(1, 2.0) < 2.0
    for held in connections:
        with held:
            held.says()
    wait_until(lambda: chain.hq.stats()["frames_forged_total"] > 0, "what does not authenticate is counted")


# -- claims --------------------------------------------------------------------------------------------------


def paths(agent):
    return [route["path_display"] for route in agent.routes(KEY)]


def test_a_member_that_may_not_relay_is_no_way_for_others(fresh_chain):
    """It is linked to both ends, and so would be the shorter way."""
    chain = fresh_chain
    chain.branch.accept()
    chain.hq.accept()
    chain.start()
    credentials = Credentials(chain.authority, "short-cut", relay=False)
    with Member(chain.branch, credentials) as one, Member(chain.hq, credentials) as other:
        neighbours = (Neighbour(one.peer_id, 0), Neighbour(other.peer_id, 0))
        record = credentials.record(neighbours=neighbours)
        one.tell(record)
        other.tell(record)
        time.sleep(0.5)
        assert not any("short-cut" in path for path in paths(chain.branch))
        assert chain.slowest_newcomer(1) < 1.0
        assert not one.frames


def test_a_link_that_the_other_side_does_not_confirm_is_no_way(chain):
    with Member(chain.relay, Credentials(chain.authority, "liar", relay=True)) as hostile:
        ids = (hostile.peer_id, chain.hq.identity.id, chain.branch.identity.id)
        hostile.advertise(neighbours=tuple(Neighbour(each, 0) for each in ids))
        time.sleep(0.5)
        assert not any("liar" in path for path in paths(chain.branch))
        assert chain.slowest_newcomer(1) < 1.0


def test_a_key_that_the_certificate_does_not_grant_gets_nobodys_connections(chain, member):
    hostile = member(register=("other-*",))
    hostile.advertise(endpoints=(EndpointEntry(KEY, None),))
    time.sleep(0.5)
    assert len(chain.branch.routes(KEY)) == 1
    assert wait_until(lambda: chain.branch.lines_with(hostile.credentials.name), "it is told by name")
    assert chain.slowest_newcomer(1) < 1.0


def test_a_key_that_one_may_not_use_is_refused_at_the_exit(chain, member):
    hostile = member(use=("other-*",))
    exit_ = hostile.know(chain.hq)
    hostile.advertise()
    time.sleep(0.3)
    reply, session = hostile.open(exit_, 1, KEY)
    assert (reply.accepted, session) == (False, None)
