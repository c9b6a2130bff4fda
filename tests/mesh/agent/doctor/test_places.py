"""Ports, peers and descriptors of an agent that does not run."""

import resource
import socket

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.doctor.check import Level
from mesh.agent.doctor.places import FEW_DESCRIPTORS, limit_check, peer_checks, port_checks
from mesh.config.schema import AcceptSection, Config, PeerSection


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def peers(*ports):
    return Config(peers=tuple(PeerSection(address=TcpAddress("127.0.0.1", port)) for port in ports))


def test_a_peer_that_takes_no_connection_is_a_warning():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken, unused = server.getsockname()[1], free_port()
        (check,) = peer_checks(peers(taken, unused))
        assert (check.level, check.what) == (Level.WARNING, f"peer 127.0.0.1:{unused}: connection refused")
        assert [each.level for each in peer_checks(peers(taken))] == [Level.OK]
    assert not list(peer_checks(Config()))


def test_ports_are_free_again_after_the_look():
    config = Config(accept=(AcceptSection(address=TcpAddress("127.0.0.1", free_port())),))
    for _ in range(2):
        assert [each.level for each in port_checks(config)] == [Level.OK]


def test_an_address_of_another_machine_is_a_problem():
    config = Config(accept=(AcceptSection(address=TcpAddress("192.0.2.1", 4433)),))
    (check,) = port_checks(config)
    assert (check.level, "ip address" in check.remedy) == (Level.PROBLEM, True)


@pytest.mark.parametrize(
    ("limit", "level"),
    [
        (FEW_DESCRIPTORS - 1, Level.WARNING),
        (FEW_DESCRIPTORS, Level.OK),
        (resource.RLIM_INFINITY, Level.OK),
    ],
)
def test_few_descriptors_are_a_warning(limit, level):
    assert limit_check(limit, "it").level is level
