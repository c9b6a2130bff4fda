"""A relay on the shorter of two paths loses what it is given: what is open goes on, what is new opens."""

import random

import pytest

from actors.connections.connection_end import ConnectionEnd
from mesh.addresses import TcpAddress
from scripts.simulation.conversation import Manner, Pace, Terms
from tests.examples import seeds
from tests.simulation import sinkhole
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world, three_agents
from tests.simulation.sinkhole import Sinkhole

LATENCY_S = 0.005
KINDS = [sinkhole.data, sinkhole.everything, sinkhole.to_exit, sinkhole.from_exit, sinkhole.answers]
ONE_WAY = [sinkhole.data_to_exit, sinkhole.answers_from_exit]
ON_OPENING = [sinkhole.data_from_exit, sinkhole.opens, sinkhole.accepts]
GOES_ON_S = 3.0


def two_paths(mesh, *, shaped=True):
    """Branch to hq by way of the shortcut, or by one relay more."""
    Sinkhole.be_honest()
    mesh.plan("branch", peers=["shortcut", "near"], listeners={KEY: LISTEN_PORT})
    for relay, peers in (("shortcut", []), ("near", ["far"]), ("far", [])):
        mesh.plan(relay, peers=peers)
    mesh.plan("hq", peers=["shortcut", "far"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
    for one, other in (
        ("branch", "shortcut"), ("shortcut", "hq"), ("branch", "near"), ("near", "far"), ("far", "hq")
    ):  # fmt: skip
        if shaped or "shortcut" not in (one, other):
            mesh.network.shape(one, other, bytes_per_s=4e6, latency_s=LATENCY_S)
    mesh.serve("service")
    mesh.start()
    mesh.converge()
    assert mesh.snapshot("branch").next_hops[mesh.id_of("hq")] == mesh.id_of("shortcut")
    assert mesh.snapshot("branch").alternates(mesh.id_of("hq")) == (mesh.id_of("near"),)


def suspected(mesh):
    return sum(plan.meters.first_hops_suspected for plan in mesh.plans.values())


def open_talk(mesh, number, *, start_s=0.0):
    """Some bytes there, some back, slowly, for about 12 s."""
    return mesh.converse(Terms(number, 30_000, 30_000), Pace(byte_count=250, pause_s=0.1), start_s=start_s)


def longest_silence_s(mesh, talk, limit_s=60.0):
    """Let time pass until ``talk`` is over; the longest that an end which had more to hear heard nothing."""
    service, terms = mesh.records[talk.terms.number], talk.terms
    ends = ((talk.heard, terms.down), (service, terms.up))
    last, counts, longest_s = [mesh.world.now()] * 2, [-1, -1], 0.0

    def is_over():
        nonlocal longest_s
        now = mesh.world.now()
        for side, (end, all_of_it) in enumerate(ends):
            if end.byte_count != counts[side]:
                if counts[side] < all_of_it:
                    longest_s = max(longest_s, now - last[side])
                last[side], counts[side] = now, end.byte_count
        return talk.heard.is_over

    mesh.run_until(is_over, limit_s)
    return longest_s


@pytest.mark.parametrize("loses", KINDS + ONE_WAY)
def test_a_connection_that_is_open_goes_on_and_new_ones_open(loses):
    with mesh_world(1, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        talk = open_talk(mesh, 1)
        mesh.run(2.0)
        Sinkhole.loses = loses
        silence_s = longest_silence_s(mesh, talk)
        assert Sinkhole.lost
        assert silence_s < GOES_ON_S
        assert talk.heard.is_complete
        assert suspected(mesh) >= 1
        for number in range(2, 5):
            new = mesh.converse(Terms(number, 1000, 1000))
            start = mesh.world.now()
            mesh.run_until(lambda new=new: new.heard.is_over, 20.0)
            assert new.heard.is_complete
            assert mesh.world.now() - start < 2.0
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


@pytest.mark.parametrize("loses", KINDS + ONE_WAY + ON_OPENING)
def test_new_connections_open_where_there_was_none_before(loses):
    """Each within two seconds; where bytes are lost both ways and nobody knows yet, the first takes twice."""
    with mesh_world(2, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        Sinkhole.loses = loses
        took = []
        for number in range(6):
            talk, start = mesh.converse(Terms(number, 1000, 1000)), mesh.world.now()
            mesh.run_until(lambda talk=talk: talk.heard.is_over, 20.0)
            assert talk.heard.is_complete
            took.append(mesh.world.now() - start)
        assert took[0] < (2.5 if loses is sinkhole.data else 2.0)
        assert max(took[1:]) < 2.0
        assert took[-1] < 0.2
        assert suspected(mesh) >= 1 or loses in (sinkhole.answers, sinkhole.answers_from_exit)  # nobody asked
        mesh.run(2.0)
        mesh.finish()


def test_one_connection_of_many_is_lost():
    with mesh_world(3, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        talks = [open_talk(mesh, number) for number in range(4)]
        mesh.run(2.0)
        Sinkhole.loses = lambda frame: frame.connection % 4 == 1
        silence_s = max(longest_silence_s(mesh, talk) for talk in talks)
        assert Sinkhole.lost
        assert silence_s < GOES_ON_S
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


@pytest.mark.parametrize("slow_s", [0.3, 3.0])
def test_what_is_late_is_not_lost(slow_s):
    """By however much: nothing breaks, and a second at the most is nobody's fault."""
    with mesh_world(4, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        talks = [open_talk(mesh, number) for number in range(3)]
        mesh.run(2.0)
        Sinkhole.slow_s = slow_s
        assert max(longest_silence_s(mesh, talk) for talk in talks) < slow_s + 1.0
        mesh.run(2.0 + slow_s)
        mesh.assert_all_complete()
        if slow_s < 1.0:
            assert suspected(mesh) == 0
        mesh.finish()


def test_without_another_way_a_connection_is_given_up_and_says_why(caplog):
    with mesh_world(5, {"relay": Sinkhole}) as mesh:
        Sinkhole.be_honest()
        three_agents(mesh)
        talk = open_talk(mesh, 1)
        mesh.run(2.0)
        Sinkhole.loses = sinkhole.data
        start = mesh.world.now()
        mesh.run_until(lambda: talk.heard.is_over, 60.0)
        assert not talk.heard.is_complete
        assert 29.0 < mesh.world.now() - start < 37.0
        assert "what is sent has not arrived for too long" in caplog.text
        assert suspected(mesh) == 0
        mesh.finish()


def test_a_relay_that_is_honest_again_is_used_again(caplog):
    with mesh_world(6, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        Sinkhole.loses = sinkhole.everything
        for number in range(6):
            mesh.converse(Terms(number, 1000, 1000), start_s=float(3 * number))
        mesh.run_until_said(30.0)
        assert suspected(mesh) >= 1
        told = [record for record in caplog.records if "avoiding it" in record.getMessage()]
        assert len(told) == suspected(mesh)
        assert "shortcut" in told[0].getMessage()
        assert "hq" in told[0].getMessage() or "branch" in told[0].getMessage()
        Sinkhole.loses = None
        mesh.run(70.0)
        passed_on = mesh.plans["shortcut"].meters.frames_forwarded
        mesh.converse(Terms(10, 1000, 1000))
        mesh.run_until_said(10.0)
        assert mesh.plans["shortcut"].meters.frames_forwarded > passed_on
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


@pytest.mark.parametrize("seed", seeds(20))
def test_any_mixture_of_losses_at_any_time(seed):
    draw = random.Random(f"sinkhole {seed}")
    with mesh_world(seed, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        for number in range(8):
            terms = Terms(number, draw.randrange(300_000), draw.randrange(300_000), Manner(draw.randrange(2)))
            pace = Pace(byte_count=draw.choice([0, 3000]), pause_s=0.05)
            mesh.converse(terms, pace, start_s=draw.random() * 8.0)
        for _ in range(draw.randrange(1, 4)):
            mesh.run(draw.random() * 3.0)
            kinds, remainder = draw.sample(KINDS, 2), draw.randrange(3)
            one, other = kinds
            Sinkhole.loses = lambda frame, one=one, other=other, remainder=remainder: (
                one(frame) if frame.connection % 3 == remainder else other(frame)
            )
            Sinkhole.slow_s = draw.choice([0.0, 0.0, 0.1])
        mesh.run_until_said(60.0)
        mesh.run(5.0)
        mesh.assert_all_complete()
        mesh.finish()


@pytest.mark.parametrize("bytes_per_s", [50_000, 100_000, 200_000, 500_000, 1_000_000, 3_000_000])
def test_an_honest_relay_with_long_queues_is_not_blamed(bytes_per_s):
    with mesh_world(7, {"shortcut": Sinkhole}) as mesh:
        for one, other in (("branch", "shortcut"), ("shortcut", "hq")):
            mesh.network.shape(one, other, bytes_per_s=bytes_per_s, latency_s=0.01)
        two_paths(mesh, shaped=False)
        for number in range(12):
            mesh.converse(Terms(number, 10 * bytes_per_s // 12, 10 * bytes_per_s // 12), start_s=number / 4)
        mesh.run_until_said(240.0)
        mesh.run(5.0)
        mesh.assert_all_complete()
        assert suspected(mesh) == 0
        mesh.finish()


@pytest.mark.parametrize("bytes_per_s", [100_000, 200_000])
@pytest.mark.parametrize("thin", [("branch", "shortcut"), ("shortcut", "hq")])
def test_nor_is_one_on_a_thin_link_and_little_is_repeated(bytes_per_s, thin):
    """PROBEs overtake what waits there, so they tell nothing of how long that takes."""
    with mesh_world(7, {"shortcut": Sinkhole}) as mesh:
        for pair in (("branch", "shortcut"), ("shortcut", "hq")):
            mesh.network.shape(*pair, bytes_per_s=bytes_per_s if pair == thin else 4e6, latency_s=0.01)
        two_paths(mesh, shaped=False)
        streams = set()
        for number in range(12):
            mesh.converse(Terms(number, 10 * bytes_per_s // 12, 10 * bytes_per_s // 12), start_s=number / 4)

        def is_over():
            ends = (end for name in ("branch", "hq") for end in mesh.actors_on(name, ConnectionEnd))
            streams.update(end._stream for end in ends if end._stream is not None)
            return all(talk.heard.is_over for talk in mesh.conversations)

        mesh.run_until(is_over, 240.0)
        mesh.run(5.0)
        mesh.assert_all_complete()
        assert suspected(mesh) == 0
        assert sum(stream.repeated_segments for stream in streams) <= 0.5 * len(streams)
        mesh.finish()


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("thin", [("branch", "shortcut"), ("shortcut", "hq"), ("both", "links")])
@pytest.mark.parametrize("bytes_per_s", [50_000, 100_000])
def test_nor_is_one_on_a_thin_link_where_connections_open_beside_a_transfer(bytes_per_s, thin, up):
    """What opens them waits at each relay behind a segment of the transfer, of up to 64 KiB."""
    with mesh_world(7, {"shortcut": Sinkhole}) as mesh:
        for pair in (("branch", "shortcut"), ("shortcut", "hq")):
            is_thin = thin in (pair, ("both", "links"))
            mesh.network.shape(*pair, bytes_per_s=bytes_per_s if is_thin else 4e6, latency_s=0.01)
        two_paths(mesh, shaped=False)
        size = 10 * bytes_per_s
        mesh.converse(Terms(0, size if up else 100, 100 if up else size))
        for number in range(1, 12):
            mesh.converse(Terms(number, 1000, 1000), start_s=1.0 + number / 2)
        mesh.run_until_said(240.0)
        mesh.run(5.0)
        mesh.assert_all_complete()
        assert suspected(mesh) == 0
        mesh.finish()
