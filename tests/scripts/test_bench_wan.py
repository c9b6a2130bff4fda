"""Emulated networks of the benchmark: what happens to a packet, exactly, and one real cable."""

import random

import pytest

from scripts.benchmark import processes, wan, ways
from scripts.benchmark.figures import NETWORKS, Network
from scripts.benchmark.measures import client
from scripts.benchmark.wire import MIN_QUEUE_BYTES, Direction

SLOW = 8000.0
"""Bits a second: 1000 bytes a second."""


def direction(*, delay_s=1.0, bits_per_s=SLOW, loss=0.0, seed=1):
    return Direction(delay_s=delay_s, bits_per_s=bits_per_s, loss=loss, draws=random.Random(seed))


def test_a_packet_takes_its_length_and_the_delay():
    way = direction()
    way.put(b"one", 500, 10.0)
    assert way.due_s(10.0) == 1.5
    assert way.arrived(11.4) == []
    assert way.arrived(11.5) == [b"one"]
    assert way.due_s(11.5) is None


def test_packets_queue_for_the_rate_and_travel_together():
    way = direction()
    way.put(b"one", 1000, 0.0)
    way.put(b"two", 1000, 0.0)
    way.put(b"three", 1000, 5.0)
    assert way.arrived(2.0) == [b"one"]
    assert way.due_s(2.0) == 1.0
    assert way.arrived(9.0) == [b"two", b"three"]
    assert way.due_s(9.0) is None


def test_a_full_queue_loses_what_comes_last():
    way = direction(delay_s=0.0)
    way.put(b"much", MIN_QUEUE_BYTES, 0.0)
    way.put(b"fits", 1, 0.0)
    way.put(b"too much", 1, 0.0)
    assert way.arrived(1e9) == [b"much", b"fits"]
    assert way.lost == 1


def test_as_many_packets_are_lost_as_asked_for_and_the_same_ones_each_time():
    def survivors(seed):
        way = direction(bits_per_s=1e12, loss=0.01, seed=seed)
        for number in range(20_000):
            way.put(number.to_bytes(4, "big"), 1500, float(number))
        return way.arrived(1e9)

    assert 19_700 < len(survivors(1)) < 19_900
    assert survivors(1) == survivors(1) != survivors(2)


def test_netem_is_told_the_same():
    words = " ".join(wan.netem("eth0", NETWORKS["wan_poor"]))
    assert words == ("qdisc add dev eth0 root netem limit 100000 delay 50ms rate 100000000bit loss 0.1%")
    assert "loss" not in wan.netem("eth0", NETWORKS["wan_fast"])


def test_a_missing_right_or_program_is_said(monkeypatch):
    monkeypatch.setattr(wan.os, "geteuid", lambda: 1000)
    assert wan.missing() == "needs root"
    monkeypatch.setattr(wan.os, "geteuid", lambda: 0)
    monkeypatch.setattr(wan.shutil, "which", lambda name: None)
    assert wan.missing() == "ip not installed"


@pytest.mark.system
@pytest.mark.skipif(wan.missing() is not None, reason=f"emulated networks: {wan.missing()}")
@pytest.mark.skipif(ways.socat_missing() is not None, reason="socat not installed")
@pytest.mark.parametrize("loss", [0.0, 0.001])
def test_a_way_through_an_emulated_network_takes_its_round_trips(tmp_path, loss):
    network = Network("test", 1e9, 0.01, loss, 0)
    with (
        wan.places(network, by_kernel=wan.has_netem()) as hosts,
        ways.servers(hosts[-1]) as services,
        ways.socat(services, tmp_path / "socat", places=hosts) as way,
    ):
        port = ["--port", str(way.echo_port)]
        pinged = processes.measure("ping", "--rounds", "5", *port, seconds=30.0, place=way.place)
        bulk = ["--bytes", "1000000", "--port", str(way.bulk_port)]
        moved = processes.measure("bulk", *bulk, seconds=30.0, place=way.place)
        with ways.plain(services, hosts[0]) as direct:
            connected = client(direct, "connect", "--rounds", "3")
    assert pinged["p50_us"] >= 20_000  # two links
    assert moved["byte_count"] == 1_000_000
    assert connected["p50_us"] >= 40_000  # to connect, and to ask, with nobody between
