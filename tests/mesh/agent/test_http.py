"""The port of the dashboard, which may move."""

import contextlib
import http.client
import socket
import ssl

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.listening import take_port
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.files import AgentFileError
from mesh.agent.http import HttpSide
from mesh.config.schema import HttpSection
from tests.web_certificate import write_certificate


class Nothing:
    def dashboard_snapshot(self, timeout_s):
        raise StatusUnavailable("nothing to show")


def section(port=0, hosts=()):
    return HttpSection(address=TcpAddress("127.0.0.1", port), allowed_hosts=hosts)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taker:
        return taker.getsockname()[1]


def status(port, host="localhost"):
    """What ``/health`` says to who asks for ``host``; 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health", headers={"Host": host})
            return connection.getresponse().status
        except ConnectionRefusedError:
            return 0


@pytest.fixture
def side():
    port = free_port()
    with contextlib.closing(HttpSide(section(port), take_port(section(port)))) as side:
        side.serve(side.dashboard(Nothing()), ())
        yield side, port


def test_it_moves_to_another_port_and_lets_go_of_the_old_one(side):
    side, port = side
    assert status(port) == 200
    other = free_port()
    side.change(section(other))
    assert (status(port), status(other)) == (0, 200)
    side.change(None)
    assert status(other) == 0
    side.change(section(port))
    assert status(port) == 200


def test_names_are_allowed_and_not_allowed_without_a_move(side):
    side, port = side
    assert status(port, "mesh.example") == 403
    with socket.create_connection(("127.0.0.1", port)):
        side.change(section(port, ("mesh.example",)))
        assert status(port, "mesh.example") == 200
        side.change(section(port))
        assert status(port, "mesh.example") == 403


def test_a_port_that_is_taken_leaves_the_old_one_open(side):
    side, port = side
    with socket.create_server(("127.0.0.1", 0)) as taker:
        with pytest.raises(AgentFileError):
            side.change(section(taker.getsockname()[1], ("mesh.example",)))
        assert status(port) == 200
        assert status(port, "mesh.example") == 403


@pytest.mark.parametrize(("written", "said"), [({}, "127.0.0.1:"), ({"http.address": "${HTTP}"}, "${HTTP}")])
def test_a_port_that_is_taken_is_told_as_the_file_has_it(written, said):
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        with pytest.raises(AgentFileError) as caught:
            take_port(section(port), written)
    assert str(caught.value).startswith(f"http.address: cannot listen on {said}")
    assert str(caught.value).endswith("does another agent run on this machine?")
    assert (str(port) in str(caught.value)) is (not written)


def test_an_address_and_one_that_has_it_in_it_follow_each_other(side):
    side, port = side
    for host in ("0.0.0.0", "127.0.0.1", "", "127.0.0.1"):
        side.change(HttpSection(address=TcpAddress(host, port)))
        assert status(port) == 200


def test_tls_comes_and_goes_at_the_same_port(side, tmp_path):
    side, port = side
    tls = write_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(tls.certificate))
    for _ in range(2):
        side.change(HttpSection(address=TcpAddress("127.0.0.1", port), tls=tls))
        connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        side.change(section(port))
        assert status(port) == 200


def test_a_certificate_that_cannot_be_used_changes_nothing(side, tmp_path):
    side, port = side
    tls = write_certificate(tmp_path)
    tls.certificate.unlink()
    with pytest.raises(AgentFileError, match=r"web.crt: cannot be read"):
        side.change(HttpSection(address=TcpAddress("127.0.0.1", port), tls=tls))
    assert status(port) == 200


def test_one_that_cannot_be_had_instead_leaves_the_old_one_open(side):
    side, port = side
    with socket.create_server(("127.0.0.2", port)):
        with pytest.raises(AgentFileError):
            side.change(HttpSection(address=TcpAddress("0.0.0.0", port)))
        assert status(port) == 200
    side.change(HttpSection(address=TcpAddress("0.0.0.0", port)))
    assert status(port) == 200
