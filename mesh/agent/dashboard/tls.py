"""TLS in front of the HTTP server: in its own loop, without holding anybody up.

Waitress knows no TLS. A client's socket is wrapped into one that looks the same to it: the handshake is part
of the first read, never waits, and is bounded in time and number like all that comes before a request.
"""

import contextlib
import errno
import logging
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from mesh.agent.files import AgentFileError
from mesh.agent.regular_files import opened
from mesh.config.schema import TlsSection

LOOK_S: Final = 2.0
"""How often it is seen whether the files have changed, while clients come."""

CHUNK_BYTES: Final = 64 * 1024
"""That are encrypted at a time; what of them the kernel does not take at once is held here."""

READ_BYTES: Final = 2 * 1024

READS: Final = 2
"""From the kernel at a time: what a client sends may be much, and come to nothing that can be read. A request
for new keys (TLS 1.3) takes 27 bytes, and some 10 us to obey: others wait less than 2 ms for what is read."""

MAX_UNREADABLE: Final = 64
"""Records that may come from a client beyond two for each that can be read: more than a handshake has."""

MAX_UNSENT_BYTES: Final = 128 * 1024
"""Of handshakes and alerts, to a client that takes none of them and has more made."""

_HEADER_BYTES: Final = 5

_OTHERS: Final = 0o007

_Stamp: TypeAlias = tuple[tuple[int, ...], ...]

_log: Final = logging.getLogger("mesh.http")


class Records:
    """Counts the records of what a client sends: RFC 8446, section 5.1."""

    def __init__(self) -> None:
        self._header = b""
        """Of the next record, as far as it has come."""
        self._rest_bytes = 0
        """Of the present record, that are yet to come."""

    def begun_in(self, came: bytes) -> int:
        """How many begin in ``came``, which follows what was given before; each as its header is whole."""
        data, at, count = self._header + came, self._rest_bytes, 0
        while at + _HEADER_BYTES <= len(data):
            at += _HEADER_BYTES + int.from_bytes(data[at + _HEADER_BYTES - 2 : at + _HEADER_BYTES], "big")
            count += 1
        self._header, self._rest_bytes = data[at:], max(0, at - len(data))
        return count


class TlsClient:
    """A client's socket to Waitress: never blocks. Its loop reads, and threads that answer write."""

    def __init__(self, context: ssl.SSLContext, client: socket.socket) -> None:
        self._client = client
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)
        self._lock = threading.Lock()
        """OpenSSL's objects are for one thread at a time."""
        self._ahead = b""
        """Read, and not taken."""
        self._unsent = b""
        """Encrypted, and not taken by the kernel."""
        self._claimed = 0
        """Bytes of what is to be sent that are among these: they are sent when all of them are."""
        self._is_starved = True
        """Whether more has to come before anything can be read."""
        self._records = Records()
        self._unreadable = 0
        """Records that have come, less two for each that could be read."""
        self.family: Final = client.family

    def recv(self, count: int, flags: int = 0) -> bytes:
        """As of a socket; ``MSG_PEEK`` leaves what is read where it is.

        Raises:
            BlockingIOError: nothing has come, or the handshake goes on.
            OSError: the client is gone, or does not speak TLS as it should.
        """
        with self._lock:
            if not self._ahead:
                self._ahead = self._read(count)
            data = self._ahead[:count]
            if not flags & socket.MSG_PEEK:
                self._ahead = self._ahead[count:]
            return data

    def send(self, data: bytes) -> int:
        """As of a socket.

        Raises:
            BlockingIOError: the kernel takes no more now; the same data is to be sent again.
            OSError: the client is gone.
        """
        with self._lock:
            if not self._claimed:
                try:
                    self._claimed = self._tls.write(data[:CHUNK_BYTES])
                except ssl.SSLError as error:
                    raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
            self._flush()
            if self._unsent:
                raise BlockingIOError(errno.EWOULDBLOCK, "the client takes no more now")
            sent, self._claimed = self._claimed, 0
            return sent

    def has_unread(self) -> bool:
        """Whether there may be more to read though nothing comes."""
        with self._lock:
            return bool(self._ahead) or (
                not self._is_starved and bool(self._tls.pending() or self._came.pending)
            )

    def close(self) -> None:
        """Say that it is the end, if the client takes it, and close."""
        with self._lock:
            with contextlib.suppress(ssl.SSLError, ValueError):  # of which it does not wait for the answer
                self._tls.unwrap()
            with contextlib.suppress(OSError):
                self._flush()
            self._client.close()

    def fileno(self) -> int:
        """As of a socket."""
        return self._client.fileno()

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""
        self._client.setblocking(flag)

    def getsockopt(self, level: int, option: int) -> int:
        """As of a socket."""
        return self._client.getsockopt(level, option)

    def getpeername(self) -> object:
        """As of a socket."""
        peer: object = self._client.getpeername()
        return peer

    def _read(self, count: int) -> bytes:
        for _ in range(READS):
            try:
                data = self._tls.read(count)
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                self._flush()  # it says what was wrong
                raise ConnectionAbortedError(errno.ECONNABORTED, str(error)) from None
            else:
                self._flush()
                self._is_starved = False
                self._unreadable = max(self._unreadable - 2, 0)
                return data
            self._is_starved = True
            if self._unreadable > MAX_UNREADABLE:
                raise ConnectionAbortedError(
                    errno.ECONNABORTED, "of what the client sends little can be read"
                )
            came = self._client.recv(READ_BYTES)
            if not came:
                return b""
            self._unreadable += self._records.begun_in(came)
            self._came.write(came)
        self._is_starved = False  # what has come last is still to be looked at
        raise BlockingIOError(errno.EWOULDBLOCK, "others have their turn")

    def _flush(self) -> None:
        data = self._unsent + self._goes.read()
        if not data:
            return
        try:
            sent = self._client.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = data[sent:]
        if len(self._unsent) > MAX_UNSENT_BYTES:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the client takes nothing of what is said to it")


class TlsFiles:
    """Certificate and key, read again when they have changed; for one thread.

    Args:
        section: which files.
        clock: monotonic seconds.

    Raises:
        AgentFileError: they cannot be used; the text is one line.
    """

    def __init__(self, section: TlsSection, clock: Callable[[], float] = time.monotonic) -> None:
        self._section, self._clock = section, clock
        self._stamp = _stamp(section)
        self._context = _context(section)
        self._next_look_s = clock() + LOOK_S

    def wrapped(self, client: socket.socket) -> TlsClient:
        """The socket of a client that has just come."""
        self._look()
        return TlsClient(self._context, client)

    def _look(self) -> None:
        now = self._clock()
        if now < self._next_look_s:
            return
        self._next_look_s = now + LOOK_S
        stamp = _stamp(self._section)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._context = _context(self._section)
        except AgentFileError as error:
            _log.error("%s; clients get the certificate that there was", error)
        else:
            _log.info("http.tls: certificate and key have been read again")


def _context(section: TlsSection) -> ssl.SSLContext:
    _require_private(section.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])

    def passphrase() -> NoReturn:
        raise AgentFileError(f"{section.key}: the key has a passphrase, which nobody is there to type")

    try:
        opened(section.certificate).close()
        context.load_cert_chain(section.certificate, section.key, passphrase)
    except ssl.SSLError as error:
        why = "is not the key of the certificate" if error.reason == "KEY_VALUES_MISMATCH" else ""
        expected = why or "expected a certificate and its private key, both in PEM"
        raise AgentFileError(f"{section.key}: {expected} (with {section.certificate})") from None
    except OSError as error:
        raise AgentFileError(f"{section.certificate}: cannot be read: {_reason(error)}") from None
    return context


def _require_private(key: Path) -> None:
    try:
        with opened(key) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise AgentFileError(f"{key}: cannot be read: {_reason(error)}") from None
    if mode & _OTHERS:
        raise AgentFileError(f"{key}: everybody can read or change this key (mode {mode:04o}): chmod o-rwx")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _stamp(section: TlsSection) -> _Stamp:
    return tuple(_stamp_of(path) for path in (section.certificate, section.key))


def _stamp_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
