"""What actors may rely on of connecting and listening, held against the kernel and the simulation alike."""

import errno
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.seam import Connected, ConnectFailed, NamesResolved, SocketOptions
from mesh.addresses import TcpAddress, UnixAddress, cannot_both_listen
from tests.actors.runtime.socket_contract import Pair, Program, Side


def test_connected_carries_the_token_and_both_ends_agree_on_the_client(pair: Pair):
    client = pair.near.do(lambda _: (pair.client.local_name, pair.client.peer_name))
    server = pair.far.do(lambda _: (pair.server.local_name, pair.server.peer_name))
    assert server[1] == client[0]
    assert client[1].endswith(f":{pair.listener.port}")
    assert server[0].endswith(f":{pair.listener.port}")


def test_a_client_comes_from_the_address_that_it_is_to_come_from(near: Side):
    listener = near.bind(TcpAddress("127.0.0.1", 0))
    options = SocketOptions(local_host="127.64.1.2")
    client = near.connect(TcpAddress("127.0.0.1", listener.port), options=options).socket
    server = near.accept(listener)
    names = near.do(lambda _: (client.local_name, server.peer_name))
    assert names[0] == names[1]
    assert names[0].startswith("127.64.1.2:")


def test_port_zero_is_replaced_by_a_chosen_port_that_the_name_shows(far: Side):
    listener = far.bind(TcpAddress("127.0.0.1", 0))
    assert listener.port > 0
    assert listener.local_name == f"127.0.0.1:{listener.port}"


def test_a_parked_port_refuses_then_lets_in_then_refuses_again(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress("", 0), listen=False)
    port = listener.port
    address = TcpAddress(place.far_host, port)
    for _ in range(2):
        refused = near.connect(address)
        assert isinstance(refused, ConnectFailed)
        assert (refused.token, refused.error_number) == (7, errno.ECONNREFUSED)
        assert refused.reason
        far.do(lambda _: listener.listen())
        assert isinstance(near.connect(address), Connected)
        far.accept(listener)
        far.do(lambda _: listener.park())
    assert listener.port == port
    assert near.connect(address).error_number == errno.ECONNREFUSED


def test_listening_and_parking_twice_is_no_error(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress("", 0), listen=False)

    def twice(_: Program) -> None:
        listener.listen()
        listener.listen()
        listener.park()
        listener.park()
        listener.listen()

    far.do(twice)
    assert isinstance(near.connect(TcpAddress(place.far_host, listener.port)), Connected)


def test_a_client_that_waits_to_be_accepted_is_reset_by_parking(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress("", 0))
    client = near.connect(TcpAddress(place.far_host, listener.port)).socket
    far.do(lambda _: listener.park())
    with pytest.raises(ConnectionResetError):
        near.receive(client)


def test_a_closed_port_refuses_and_can_be_bound_again(pair: Pair):
    pair.far.do(lambda _: pair.listener.close())
    pair.far.do(lambda _: pair.listener.close())
    assert pair.near.connect(pair.address).error_number == errno.ECONNREFUSED
    again = pair.far.bind(TcpAddress("", pair.address.port))
    assert isinstance(pair.near.connect(pair.address), Connected)
    assert again.port == pair.address.port


@pytest.mark.parametrize("listen", [False, True])
@pytest.mark.parametrize(
    ("held", "wanted"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", ""), ("", "127.0.0.1")]
)
def test_a_port_in_use_cannot_be_bound_again(far: Side, held: str, wanted: str, listen: bool):
    listener = far.bind(TcpAddress(held, 0), listen=listen)
    with pytest.raises(OSError) as caught:
        far.bind(TcpAddress(wanted, listener.port))
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("host", "reached_at", "refused_at"),
    [
        ("localhost", ["127.0.0.1", "::1"], ["127.0.0.2"]),
        ("LOCALHOST.", ["127.0.0.1", "::1"], []),
        ("127.0.0.1", ["127.0.0.1"], ["::1", "127.0.0.2"]),
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
        ("::1", ["::1"], ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["::1"]),
        ("::", ["::1"], ["127.0.0.1"]),
        ("", ["127.0.0.1", "127.0.0.2", "::1"], []),
    ],
)
def test_a_port_is_open_where_the_rule_says_and_nowhere_else(
    near: Side, host: str, reached_at: list[str], refused_at: list[str]
):
    listener = near.bind(TcpAddress(host, 0))
    assert listener.port > 0
    for place in reached_at:
        client = near.connect(TcpAddress(place, listener.port)).socket
        server = near.accept(listener)
        names = near.do(lambda _, pair=(server, client): (pair[0].peer_name, pair[1].local_name))
        assert names[0].rpartition(":")[2] == names[1].rpartition(":")[2]
    for place in refused_at:
        assert near.connect(TcpAddress(place, listener.port)).error_number == errno.ECONNREFUSED
    near.do(lambda _: listener.park())
    for place in reached_at:
        assert near.connect(TcpAddress(place, listener.port)).error_number == errno.ECONNREFUSED
    near.do(lambda _: listener.close())
    assert near.bind(TcpAddress(host, listener.port)).port == listener.port


def test_localhost_has_its_name_and_one_port(near: Side):
    listener = near.bind(TcpAddress("localhost", 0))
    assert listener.local_name == f"localhost:{listener.port}"


def binds(side: Side, held: str, wanted: str) -> bool:
    """Whether a port open at ``held`` can be opened at ``wanted``, too; another program may have it there."""
    port = side.bind(TcpAddress(held, 0)).port
    try:
        assert side.bind(TcpAddress(wanted, port)).port == port
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("held", "wanted", "in_use"),
    [
        ("127.0.0.1", "localhost", True),
        ("::1", "localhost", True),
        ("localhost", "::1", True),
        ("localhost", "0.0.0.0", True),
        ("localhost", "::", True),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0", "::", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("::", "127.0.0.1", False),
    ],
)
def test_two_ports_meet_where_the_rule_says(near: Side, held: str, wanted: str, in_use: bool):
    listener = near.bind(TcpAddress(held, 0))
    address = TcpAddress(wanted, listener.port)
    assert cannot_both_listen(TcpAddress(held, listener.port), address) is in_use
    if not in_use:
        assert any(binds(near, held, wanted) for _ in range(10))
        return
    with pytest.raises(OSError) as caught:
        near.bind(address)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["db.example", "::ffff:127.0.0.1", "fe80::1", "224.0.0.1"])
def test_what_cannot_be_listened_on_is_an_error(near: Side, host: str):
    with pytest.raises(OSError, match="expected") as caught:
        near.bind(TcpAddress(host, 0))
    assert caught.value.errno == errno.EINVAL


def test_an_address_of_nobody_here_cannot_be_bound(far: Side):
    with pytest.raises(OSError) as caught:
        far.bind(TcpAddress("192.0.2.1", 0))  # RFC 5737: documentation
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_accept_without_a_client_would_block(far: Side):
    listener = far.bind(TcpAddress("127.0.0.1", 0))
    with pytest.raises(BlockingIOError):
        far.do(lambda _: listener.accept())


def test_clients_queue_while_nobody_watches_and_are_all_accepted(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress(place.bound_host, 0))
    address = TcpAddress(place.far_host, listener.port)
    clients = [near.connect(address).socket for _ in range(3)]
    names = near.do(lambda _: [client.local_name for client in clients])
    accepted = [far.accept(listener) for _ in clients]
    assert far.do(lambda _: [server.peer_name for server in accepted]) == names


def test_a_cancelled_connect_reports_nothing(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress("", 0))
    address = TcpAddress(place.far_host, listener.port)
    near.do(lambda program: program.dispatcher.connect(program.ref, address, 1, SocketOptions()).cancel())
    second = near.connect(address)
    # On loopback the kernel completes a connect at once, before it can be cancelled.
    assert second.token in {1, 7}


def test_the_token_tells_attempts_apart(place: Any, near: Side, far: Side):
    listener = far.bind(TcpAddress("", 0), listen=False)

    def connect_twice(program: Program) -> None:
        for token in (1, 2):
            address = TcpAddress(place.far_host, listener.port)
            program.dispatcher.connect(program.ref, address, token, SocketOptions())

    near.do(connect_twice)
    assert {near.hear().token, near.hear().token} == {1, 2}


def test_localhost_resolves_to_the_loopback_address(near: Side):
    near.do(lambda program: program.dispatcher.resolve(program.ref, "localhost", 80, 3))
    resolved = near.hear()
    assert isinstance(resolved, NamesResolved)
    assert resolved.token == 3
    assert TcpAddress("127.0.0.1", 80) in resolved.addresses


@pytest.mark.parametrize("literal", ["192.0.2.7", "2001:db8::7"])
def test_a_literal_resolves_to_itself(near: Side, literal: str):
    near.do(lambda program: program.dispatcher.resolve(program.ref, literal, 80, 3))
    assert near.hear() == NamesResolved(3, (TcpAddress(literal, 80),))


# Unix sockets


@pytest.mark.parametrize("name", ["", "a" * 64 + ".example", "a..example", "nul\0", "\u03b1" * 300])
def test_a_name_that_cannot_be_asked_for_is_answered_with_why(near: Side, name: str):
    near.do(lambda program: program.dispatcher.resolve(program.ref, name, 80, 3))
    resolved = near.hear()
    assert isinstance(resolved, NamesResolved)
    assert (resolved.token, resolved.addresses) == (3, ())
    assert resolved.reason.startswith(f"cannot resolve {name!r}: ")


def test_unix_sockets_carry_bytes_too(near: Side, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "s"))
    listener = near.bind(address)
    assert (listener.port, listener.local_name) == (0, str(address))
    client = near.connect(address).socket
    server = near.accept(listener)
    near.send(client, b"hello")
    assert near.receive_exactly(server, 5) == b"hello"
    near.do(lambda _: client.close())
    assert near.receive(server) == b""


def test_a_unix_path_of_nobody_is_no_such_file(near: Side, tmp_path: Path):
    failed = near.connect(UnixAddress(str(tmp_path / "absent")))
    assert failed.error_number == errno.ENOENT


def test_a_parked_unix_socket_refuses(near: Side, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "s"))
    near.bind(address, listen=False)
    assert near.connect(address).error_number == errno.ECONNREFUSED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_closed_port_neither_listens_nor_accepts(near: Side, host: str):
    listener = near.bind(TcpAddress(host, 0))
    near.do(lambda _: listener.close())
    near.do(lambda _: listener.watch_read(True))
    near.do(lambda _: listener.park())
    for attempt in (listener.listen, listener.accept):
        with pytest.raises(OSError, match="Bad file descriptor"):
            near.do(lambda _, attempt=attempt: attempt())
    near.do(lambda _: listener.close())


def test_a_unix_socket_whose_file_was_removed_parks_all_the_same(near: Side, tmp_path: Path):
    path = tmp_path / "s"
    listener = near.bind(UnixAddress(str(path)))
    path.unlink(missing_ok=True)  # the simulation has no file
    near.do(lambda _: listener.park())
    failed = near.connect(UnixAddress(str(path)))
    assert failed.error_number == errno.ECONNREFUSED
    near.do(lambda _: listener.listen())
    assert isinstance(near.connect(UnixAddress(str(path))), Connected)
