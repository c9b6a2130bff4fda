"""Servers that answer and reset, and clients that do: every answer arrives, and nothing is left behind."""

import contextlib
import select
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from scripts.lab.clients import connect, read_exactly, reset
from scripts.lab.ports import LOOPBACK, is_listening
from scripts.lab.postgresql import PROGRAM_TIMEOUT_S, find
from scripts.lab.processes import Process
from scripts.lab.services import TIMEOUT_S, Service
from scripts.lab.waiting import wait_until

CONNECTIONS = 250
AT_ONCE = 8
ANSWER = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n" + bytes(3_000)
SMALL_BYTES = 100
POSTS = 65
BODY_BYTES = 60_000


def program(name):
    """The path of a program; the test is skipped where there is none."""
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def begin(port):
    """A client that does not ask how its connect went: it might be told of the reset, and read nothing."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((LOOPBACK, port))
    select.select([], [client], [], TIMEOUT_S)
    client.settimeout(TIMEOUT_S)
    return client


def all_that_comes(client):
    """Bytes up to whatever ends the stream, and whether that was a reset."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65_536):
            heard += data
        return heard, False
    return heard, True


def many_at_once(converse):
    """Run ``converse`` for ``CONNECTIONS`` connections, some at once; what they returned."""
    results, left, lock = [], iter(range(CONNECTIONS)), threading.Lock()

    def work():
        while True:
            with lock:
                if next(left, None) is None:
                    return
            try:
                result = converse()
            except (OSError, AssertionError) as error:
                result = repr(error), False
            with lock:
                results.append(result)

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == CONNECTIONS
    return results


def answer_unread(client):
    """Answer, and close with the request unread: a reset."""
    client.sendall(ANSWER)
    reset(client)


def answer_after_a_look(client):
    client.recv(100)
    client.sendall(ANSWER)
    reset(client)


@pytest.mark.parametrize("serve", [answer_unread, answer_after_a_look])
@pytest.mark.parametrize("request_bytes", [SMALL_BYTES, 200_000])
def test_the_answer_of_a_server_that_resets_arrives_every_time(chain, serve, request_bytes):
    def converse():
        with begin(chain.port) as client:
            try:
                client.sendall(bytes(request_bytes))
            except (ConnectionResetError, BrokenPipeError):
                # It has met the reset and taken it away: reading ends like a stream then, as without a mesh.
                return all_that_comes(client)[0], True
            return all_that_comes(client)

    with Service(serve, port=chain.target_port):
        results = many_at_once(converse)
    assert [heard for heard, _ in results if heard != ANSWER] == []
    if request_bytes == SMALL_BYTES:
        assert all(was_reset for _, was_reset in results)


def test_the_last_words_of_a_client_that_resets_arrive_every_time(chain):
    heard, lock = [], threading.Lock()

    def serve(client):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(b"!" + bytes(100_000))
        with lock:
            heard.append(all_that_comes(client))

    def converse():
        with begin(chain.port) as client:
            assert read_exactly(client, 1) == b"!"
            client.sendall(ANSWER)
            reset(client)

    with Service(serve, port=chain.target_port):
        many_at_once(converse)
        wait_until(lambda: len(heard) == CONNECTIONS, "every target has heard its client's end")
    assert [byte_count for byte_count, _ in heard if byte_count != ANSWER] == []


# -- HAProxy -------------------------------------------------------------------------------------------------

HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend deny
    bind {address}
    http-request deny deny_status 403
"""


def test_a_proxy_that_denies_what_it_has_not_read_leaves_no_connection_behind(chain, tmp_path):
    """The fixture waits until both agents hold what they held before: no connection, no descriptor."""
    haproxy, curl = program("haproxy"), program("curl")
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(address=f"{LOOPBACK}:{chain.target_port}"))
    body = tmp_path / "body"
    body.write_bytes(bytes(BODY_BYTES))
    server = Process([haproxy, "-db", "-f", config], tmp_path / "haproxy.log")
    try:
        wait_until(lambda: is_listening(chain.target_port), "HAProxy listens")
        wait_until(lambda: post(curl, chain.port, body) == "403", "the listener lets clients in")
        assert [post(curl, chain.port, body) for _ in range(POSTS)] == ["403"] * POSTS
    finally:
        server.kill()


def post(curl, port, body):
    """What curl says is the status."""
    command = [curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "-H", "Expect:"]
    command += ["--data-binary", f"@{body}", f"http://{LOOPBACK}:{port}/"]
    done = subprocess.run(command, capture_output=True, timeout=PROGRAM_TIMEOUT_S, check=False)
    return done.stdout.decode()


# -- Redis ---------------------------------------------------------------------------------------------------


def test_an_error_that_precedes_a_reset_is_read(chain, tmp_path):
    """Redis answers what breaks its protocol, and closes with the rest unread."""
    redis = program("redis-server")
    command = [redis, "--port", str(chain.target_port), "--bind", LOOPBACK, "--save", ""]
    server = Process(command, tmp_path / "redis.log", cwd=tmp_path)
    try:
        wait_until(lambda: is_listening(chain.target_port), "Redis listens")
        for _ in range(20):
            with connect(chain.port) as client:
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    client.sendall(b"*1\r\n$not-a-length\r\n" + bytes(BODY_BYTES))
                data, _ = all_that_comes(client)
                assert data.startswith(b"-ERR Protocol error")
    finally:
        server.kill()
        Path(tmp_path / "dump.rdb").unlink(missing_ok=True)


def test_an_urgent_byte_stays_where_it_was_sent(chain):
    with Service(port=chain.target_port) as service, connect(chain.port) as client:
        (target,) = service.wait_for_clients()
        for one, other in ((client, target), (target, client)):
            one.sendall(b"abc")
            one.send(b"X", socket.MSG_OOB)
            one.sendall(b"def")
            assert read_exactly(other, 7) == b"abcXdef"
