"""TLS at the HTTP address: for clients that speak it, and against those that do something else."""

import contextlib
import os
import socket
import ssl
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.agent.dashboard import channels
from mesh.agent.dashboard.server import HttpServer
from mesh.agent.dashboard.tls import LOOK_S, READS, Records, TlsFiles
from mesh.agent.files import AgentFileError
from tests.web_certificate import write_certificate

BIG = b"x" * 3_000_000
BEGUN = b"\x16\x03\x01\x02\x00\x01\x00"
"""How a handshake begins."""


def app(environ, start_response):
    body = BIG if environ["PATH_INFO"] == "/big" else environ["PATH_INFO"].encode()
    body += environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Served:
    def __init__(self, folder):
        self.folder, self.now = folder, 0.0
        self.section = write_certificate(folder)
        files = TlsFiles(self.section, lambda: self.now)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.server = HttpServer(app, (self.listening,), max_body_bytes=1_000_000, secured=files.wrapped)
        self.server.start()

    def plain(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    @contextlib.contextmanager
    def client(self):
        context = ssl.create_default_context(cafile=str(self.section.certificate))
        with self.plain() as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
            yield client

    def get(self, path="/"):
        with self.client() as client:
            client.sendall(request(path, close=True))
            return read(client)


def request(path, body=b"", *, close=False):
    end = b"Connection: close\r\n" if close else b""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        if body
        else f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    )
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return head.encode() + length.encode() + end + b"\r\n" + body


def read(client):
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path)
    yield served
    served.server.stop()


def test_a_client_is_served_with_a_modern_version_and_told_of_the_end(served):
    with served.client() as client:
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        client.sendall(request("/here", close=True))
        assert read(client).endswith(b"\r\n\r\n/here")  # one that is cut off raises


def test_old_versions_are_refused(served):
    context = ssl.create_default_context(cafile=str(served.section.certificate))
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with served.plain() as plain, pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(plain, server_hostname="localhost")
    assert b"200 OK" in served.get()


def test_large_answers_and_bodies_come_whole_also_to_a_client_that_reads_late(served):
    with served.client() as client:
        body = b"y" * 500_000
        client.sendall(request("/big", body, close=True))
        answer = read(client)
    assert answer.partition(b"\r\n\r\n")[2] == BIG + body


def test_requests_that_come_together_are_answered_one_after_the_other(served):
    with served.client() as client:
        client.sendall(b"".join(request(f"/{number}") for number in range(9)) + request("/last", close=True))
        answer = read(client)
    assert answer.count(b"200 OK") == 10
    assert [answer.index(f"\r\n\r\n/{n}".encode()) for n in range(9)] == sorted(
        answer.index(f"\r\n\r\n/{n}".encode()) for n in range(9)
    )


def test_a_record_that_comes_byte_by_byte_is_read(served):
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(served.section.certificate))
    tls = context.wrap_bio(came, goes, server_hostname="localhost")
    with served.plain() as plain:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(goes.read())
                came.write(plain.recv(65536))
        tls.write(request("/slow", close=True))
        for byte in goes.read():
            plain.sendall(bytes([byte]))
        answer = b""
        while piece := plain.recv(65536):
            came.write(piece)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                answer += tls.read(65536)
    assert answer.endswith(b"/slow")


@pytest.mark.parametrize(
    "data",
    [
        request("/", close=True),
        b"\x16\x03\x01\x02\x00\x01",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        bytes(100),
    ],
    ids=["plain", "cut off", "oversized", "zeros"],
)
def test_what_is_no_tls_is_refused_and_the_next_client_served(served, data):
    with served.plain() as plain, contextlib.suppress(OSError):  # it may have had enough in the middle
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        assert b"HTTP/1." not in read(plain)
    assert b"200 OK" in served.get()


@pytest.mark.parametrize("data", [b"", BEGUN], ids=["silent", "begun"])
def test_handshakes_that_never_end_cost_nobody_his_turn(served, data):
    with contextlib.ExitStack() as stack:
        for _ in range(channels.MAX_CONNECTIONS + 20):
            stack.enter_context(served.plain()).sendall(data)
        answers = []
        askers = [threading.Thread(target=lambda: answers.append(served.get())) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(10.0)
        assert len(answers) == 4
        assert all(b"200 OK" in each for each in answers)


def test_a_handshake_has_its_time(served, monkeypatch):
    monkeypatch.setattr(channels, "REQUEST_TIMEOUT_S", 0.1)
    with served.plain() as plain:
        plain.sendall(BEGUN)
        assert plain.recv(100) == b""


def test_files_that_change_are_taken_up_and_others_leave_what_there_was(served, caplog):
    caplog.set_level("INFO", "mesh.http")
    first = served.section.certificate.read_bytes()
    write_certificate(served.folder)
    served.now += LOOK_S
    assert b"200 OK" in served.get()  # with the new certificate, which is the only one that it trusts
    assert "have been read again" in caplog.text
    second = served.section.certificate.read_bytes()
    served.section.certificate.write_bytes(first)
    for _ in range(3):
        served.now += LOOK_S
        with contextlib.suppress(ssl.SSLError, OSError):
            served.get()
    assert len([line for line in caplog.messages if "is not the key of the certificate" in line]) == 1
    served.section.certificate.write_bytes(second)
    assert b"200 OK" in served.get()


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(tmp_path, which):
    section = write_certificate(tmp_path)
    path = getattr(section, which)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(AgentFileError, match=rf"{path.name}: cannot be read: not a regular file"):
        TlsFiles(section)


def test_what_cannot_be_used_is_told_in_a_line(tmp_path):
    section = write_certificate(tmp_path)
    section.key.chmod(0o644)
    with pytest.raises(AgentFileError, match=r"web.key: everybody can read or change this key \(mode 0644\)"):
        TlsFiles(section)
    section.key.chmod(0o640)
    TlsFiles(section)
    section.key.write_text("nonsense")
    with pytest.raises(
        AgentFileError, match=r"web.key: expected a certificate and its private key, both in PEM"
    ):
        TlsFiles(section)
    section.key.unlink()
    with pytest.raises(AgentFileError, match=r"web.key: cannot be read: no such file"):
        TlsFiles(section)
    section = write_certificate(tmp_path, passphrase=b"secret")
    with pytest.raises(AgentFileError, match="has a passphrase"):
        TlsFiles(section)
    section = write_certificate(tmp_path)
    section.certificate.unlink()
    with pytest.raises(AgentFileError, match=r"web.crt: cannot be read"):
        TlsFiles(section)


class Endless:
    """A client that goes on with bytes of which nothing can be read, and takes none.

    So does one that asks for new keys without end, as far as its server is concerned.
    """

    family = socket.AF_INET

    def __init__(self, data=b"."):
        self.data = data
        self.reads = self.byte_count = 0

    def recv(self, count):
        self.reads += 1
        assert self.reads < 1_000
        self.byte_count += len(self.data[:count])
        return self.data[:count]

    def send(self, data):
        raise BlockingIOError


class Chatty:
    """What becomes of such bytes: something is said to the client, each time."""

    def __init__(self, goes):
        self.goes = goes

    def read(self, count):
        self.goes.write(bytes(50_000))
        raise ssl.SSLWantReadError


class Hushed:
    def read(self, count):
        raise ssl.SSLWantReadError

    def pending(self):
        return 0


def read_on(tls):
    while True:
        with contextlib.suppress(BlockingIOError):
            tls.recv(8192)


def test_what_a_client_is_told_that_takes_nothing_is_bounded(tmp_path):
    tls = TlsFiles(write_certificate(tmp_path)).wrapped(Endless())
    tls._tls = Chatty(tls._goes)
    with pytest.raises(ConnectionAbortedError, match="takes nothing"):
        read_on(tls)


def test_others_have_their_turn_and_what_has_come_is_not_forgotten(tmp_path):
    client = Endless()
    tls = TlsFiles(write_certificate(tmp_path)).wrapped(client)
    tls._tls = Hushed()
    with pytest.raises(BlockingIOError):
        tls.recv(8192)
    assert client.reads == READS
    assert tls.has_unread()


KEY_UPDATE = b"\x17\x03\x03\x00\x16" + bytes(22)


def test_of_one_that_asks_for_new_keys_without_end_little_is_looked_at(tmp_path):
    client = Endless(KEY_UPDATE * 1_000)
    tls = TlsFiles(write_certificate(tmp_path)).wrapped(client)
    tls._tls = Hushed()
    with pytest.raises(ConnectionAbortedError, match="little can be read"):
        read_on(tls)
    assert client.byte_count <= 4 * 1024, "others wait while it is looked at"


@given(sizes=st.lists(st.integers(0, 70), max_size=30), piece_bytes=st.integers(1, 90))
def test_records_are_counted_however_they_come(sizes, piece_bytes):
    data = b"".join(b"\x17\x03\x03" + size.to_bytes(2, "big") + b"\xff" * size for size in sizes)
    records = Records()
    counts = [records.begun_in(data[at : at + piece_bytes]) for at in range(0, len(data), piece_bytes)]
    assert sum(counts) == len(sizes)


def test_a_request_that_comes_in_records_of_one_byte_is_read(served):
    with served.client() as client:
        for _ in range(2):
            for byte in request("/" + "x" * 500):
                client.sendall(bytes((byte,)))
        client.sendall(request("/last", close=True))
        assert read(client).count(b"200 OK") == 3
