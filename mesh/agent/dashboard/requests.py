"""Where a request of HTTP ends: what leaves that open is refused, and what had a body is the last.

Otherwise a proxy in front and this server could take different bytes for the next request (RFC 9112,
section 11.2). Waitress refuses bare CR and LF, whitespace before a colon and odd lengths by itself.
"""

from typing import Final

from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]

_CODING: Final = b"transfer-encoding"
_FRAMING: Final = (b"content-length", _CODING)
_BLANK: Final = b" \t"


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request. Waitress answers 400 to each :class:`ParsingError`, and closes."""

    taken = 0
    """Bytes that it has taken so far."""
    whole = b""
    """All of it, if that is no more than a head."""

    def received(self, data: bytes) -> int:
        """Take what of ``data`` belongs to the request; how many bytes that is."""
        count: int = super().received(data)
        self.taken += count
        if self.completed:  # to have Waitress ask for a body then is to wait for one
            self.expect_continue = False
        return count

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the header lines, each with its CRLF.

        Raises:
            ParsingError: they are malformed, or do not say in exactly one way how long the body is.
        """
        lines = header_plus.split(b"\r\n")[1:]
        if any(line.startswith((b" ", b"\t")) for line in lines):
            raise ParsingError("a header line is folded")
        fields = [
            (name.lower(), value.strip(_BLANK)) for name, _, value in (s.partition(b":") for s in lines)
        ]
        framing = [field for field in fields if field[0] in _FRAMING]
        if len(framing) > 1:
            raise ParsingError("the length of the body is said more than once")
        codings = [value.lower() for name, value in framing if name == _CODING]
        if codings not in ([], [b"chunked"]):
            raise ParsingError("the only Transfer-Encoding here is chunked")
        super().parse_header(header_plus)
        if codings and self.version != "1.1":
            raise ParsingError("Transfer-Encoding belongs to HTTP/1.1")
        if self.body_rcv is not None:
            self.headers["CONNECTION"] = "close"
        else:
            self.whole = header_plus


class LaterRequests(RequestParser):
    """What has come behind a request, which is read another time: Waitress is to make nothing of it."""

    def received(self, data: bytes) -> int:
        """Pass over all of ``data``."""
        self.completed = self.empty = True
        return len(data)
