"""Requests of HTTP whose end is certain, and those that are refused because it is not."""

import pytest
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]

from mesh.agent.dashboard.requests import RequestParser

CHUNKED = "Transfer-Encoding: chunked"


def parsed(*lines: str, version: str = "HTTP/1.1", body: bytes = b"0\r\n\r\n") -> RequestParser:
    """What comes of a request with these header lines."""
    parser = RequestParser(Adjustments())
    rest = "\r\n".join((f"POST / {version}", *lines, "", "")).encode() + body
    while rest and not parser.completed:
        rest = rest[parser.received(rest) :]
    assert parser.completed
    return parser


@pytest.mark.parametrize(
    "lines",
    [
        (CHUNKED, "Content-Length: 5"),
        ("content-length: 5", "TRANSFER-ENCODING:chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "X: a", "Content-Length: 5"),
        ("Content-Length: 5, 5",),
        ("Content-Length: -5",),
        ("Content-Length: 0x5",),
        ("Content-Length:",),
        (CHUNKED, CHUNKED),
        (f"{CHUNKED}, chunked",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: ,chunked",),
        ("Transfer-Encoding: \x0bchunked",),
        ("Transfer-Encoding: ",),
        ("Transfer-Encoding : chunked",),
        ("Content-Length\t: 5",),
        ("Transfer-Encoding:", " chunked"),
        ("X: a", "\tb"),
        (" X: a",),
        ("X: a\nContent-Length: 5",),
        ("X: a\rContent-Length: 5",),
        ("X: a\0b",),
    ],
)
def test_a_request_whose_end_is_doubtful_is_refused(lines: tuple[str, ...]):
    assert parsed(*lines).error.code == 400


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", ""])
def test_chunks_are_refused_where_the_version_has_none(version: str):
    assert parsed(CHUNKED, version=version).error.code == 400


@pytest.mark.parametrize("line", [CHUNKED, "transfer-encoding:\tCHUNKED ", "Content-Length: 5"])
@pytest.mark.parametrize("connection", ["", "Connection: keep-alive"])
def test_a_request_with_a_body_closes_its_connection(line: str, connection: str):
    one = parsed(line, *filter(None, [connection]))
    assert one.error is None
    assert one.headers["CONNECTION"] == "close"


@pytest.mark.parametrize("lines", [(), ("Content-Length: 0",)])
def test_a_request_without_a_body_does_not(lines: tuple[str, ...]):
    one = parsed(*lines, body=b"")
    assert one.error is None
    assert "CONNECTION" not in one.headers


@pytest.mark.parametrize(
    ("lines", "asks"),
    [
        ((), False),
        (("Content-Length: 5",), True),
        ((CHUNKED,), True),
        (("Content-Length: 5", "X: a\0b"), False),
    ],
)
def test_a_body_is_asked_for_only_where_one_is_to_come(lines: tuple[str, ...], asks: bool):
    parser = RequestParser(Adjustments())
    parser.received("\r\n".join(("POST / HTTP/1.1", "Expect: 100-continue", *lines, "", "")).encode())
    assert parser.expect_continue == asks
    assert parser.completed != asks
