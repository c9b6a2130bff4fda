"""Targets that people and programs write: certificates, configurations, addresses, keys, requests."""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mesh.addresses import cannot_both_listen, parse_listen, parse_target
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.guard import host_in
from mesh.agent.dashboard.status import DashboardSnapshot, StatusUnavailable
from mesh.config.environment import substitute
from mesh.config.loading import parse_config
from mesh.config.problems import ConfigError
from mesh.errors import RemoteProtocolError, TrustError
from mesh.escaping import can_be_seen, escaped
from mesh.socks.names import meanings
from mesh.socks.server import Asked, Credentials, Handshake
from mesh.trust.certificate_text import certificate_from_text, certificate_to_text
from mesh.trust.certificates import issuer_of, read_certificate
from mesh.trust.identity import decode_public_key, encode_public_key
from mesh.trust.list_reader import read_revocations
from mesh.trust.patterns import matches
from mesh.trust.revocations import Revocations, lists_from_text, lists_to_text
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import UNIX_NOW, gullible

_KEYS: Final = ("", "a", "b", "ab", "aab", "axb", "aaa", "postgres-1", "é", "a" * 255)


def certificate(data: bytes) -> None:
    """A certificate as it comes in a handshake or record; nobody gets what its issuer may not grant."""
    with contextlib.suppress(TrustError):
        admitted = gullible().admit(data, UNIX_NOW)
        issuer = issuer_of(admitted)
        if issuer is not None and issuer.may_issue is not None:
            limits = issuer.may_issue.may_use
            for key in _KEYS:
                assert not admitted.allows_use(key) or any(matches(key, limit) for limit in limits)  # noqa: S101
    try:
        found = read_certificate(data)
    except TrustError:
        return
    found.allows_use("a" * 255)
    found.allows_register("postgres-main.example.é")
    assert certificate_from_text(certificate_to_text(data)) == data  # noqa: S101


def revocations(data: bytes) -> None:
    """A revocation list, as it comes from a peer or stands in a file."""
    try:
        found = read_revocations(data, gullible())
    except RemoteProtocolError:
        found = None
    if found is not None:
        known = Revocations((found,))
        assert len(known) == len(found.read.revoked)  # noqa: S101
        for revoked in known:
            assert str(revoked).isprintable()  # noqa: S101
        assert lists_from_text(lists_to_text((data, data))) == (data, data)  # noqa: S101
    with contextlib.suppress(ValueError):
        lists_from_text(data.decode("utf-8", "replace"))


def certificate_text(data: bytes) -> None:
    """A certificate in a file."""
    with contextlib.suppress(ValueError):
        certificate_from_text(data.decode("utf-8", "replace"))


_PARSERS: Final[tuple[Callable[[str], object], ...]] = (
    parse_target,
    parse_listen,
    decode_public_key,
    lambda text: substitute(text, {"A": "b", "EMPTY": ""}),
)


def texts(data: bytes) -> None:
    """Addresses, keys, texts with variables; and whatever it is, made fit for a terminal."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in _PARSERS:
        try:
            parse(text)
        except ValueError as error:
            str(error)
    try:
        listening = parse_listen(text)
        assert cannot_both_listen(listening, listening) == (listening.port != 0)  # noqa: S101
    except ValueError:
        pass
    try:
        assert decode_public_key(encode_public_key(data)) == data  # noqa: S101
    except ValueError:
        assert len(data) != 32  # noqa: S101
    shown = escaped(text)
    assert can_be_seen(shown)  # noqa: S101


_HOME: Final = {"A": "x", "HOME": "/root"}


def config(data: bytes) -> None:
    """A configuration file."""
    try:
        parse_config(data, file="f", directory=Path("/"), environment=_HOME, host_name="h")
    except ConfigError as error:
        str(error)


class _Silent:
    """A source that never answers: what is asked for costs nothing."""

    def dashboard_snapshot(self, timeout_s: float) -> DashboardSnapshot:
        """Say that there is nothing."""
        raise StatusUnavailable("nobody is there")


_METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", "get", "")
_PATHS: Final = ("/", "/health", "/ready", "/metrics", "/api/dashboard", "/dashboard.js", "/health/")
_app: list[DashboardApp] = []


def http(data: bytes) -> None:
    """A request: its Host header, path, query and headers."""
    choices = Choices(data)
    method, path = choices.one_of(_METHODS), choices.one_of(_PATHS)
    if choices.below(4) == 0:
        path = "/" + _latin(choices.blob(60))
    query, accept, length = (_latin(choices.blob(30)) for _ in range(3))
    query = choices.one_of(("", "offset=", "offset=1&offset=")) + query
    host = _latin(choices.rest())
    found = host_in(host)
    assert found is None or found.isprintable()  # noqa: S101
    if not _app:
        _app.append(DashboardApp(_Silent(), version="0", allowed_hosts=("mesh.example",)))
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "x",
        "SERVER_PORT": "1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": sys.stderr,
        "HTTP_HOST": host,
        "HTTP_ACCEPT": accept,
        "CONTENT_LENGTH": length,
    }
    body = b"".join(_app[0](environ, lambda status, *_: _note(answers, status)))
    assert answers  # noqa: S101
    assert not answers[0].startswith("500")  # noqa: S101
    assert len(body) < 1 << 20  # noqa: S101


def _note(answers: list[str], status: str) -> Callable[[bytes], object]:
    answers.append(status)
    return io.BytesIO().write


def _latin(data: bytes) -> str:
    return data.decode("latin-1")


def socks(data: bytes) -> None:
    """What a SOCKS5 client sends, in pieces of the sizes that the first byte gives."""
    handshake, position = Handshake(Credentials(b"me", b"secret") if data[:1] > b"\x7f" else None), 1
    size = 1 + (data[0] & 0x7F if data else 0)
    while handshake.wanted_bytes and position < len(data):
        piece = data[position : position + min(size, handshake.wanted_bytes)]
        position += len(piece)
        for effect in handshake.receive(piece):
            if isinstance(effect, Asked):
                assert len(list(meanings(effect.host))) <= len(effect.host) + 1  # noqa: S101
    assert position <= 1100  # noqa: S101
