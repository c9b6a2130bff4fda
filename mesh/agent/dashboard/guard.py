"""Who may ask, and what every answer says about itself."""

import ipaddress
import re
import threading
from collections.abc import Iterable
from typing import Final

import falcon

from actors.meters import Meters
from mesh.agent.logs import logger
from mesh.escaping import escaped
from mesh.sampling import sampled

MAX_PORT: Final = 65_535

_HOST: Final = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
"""RFC 9110 section 7.2, of which no browser sends more."""

METHODS: Final = ("GET", "HEAD")

MAX_SHOWN_CHARACTERS: Final = 80
"""Of the name of another site or host, in the log."""

_OWN_FILES_ONLY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
)

SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Content-Security-Policy",
        f"{_OWN_FILES_ONLY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


FOREIGN_SITES: Final = frozenset({"cross-site", "same-site"})
"""Of Fetch Metadata: the page that asks has come from somewhere else."""

NAVIGATION: Final = "navigate"
"""Somebody has followed a link, or comes back to the page."""


_log: Final = logger("http")


class HostGuard:
    """Turns away pages of other sites that make a browser ask here.

    Under this agent's name they could read no answer, but have it work: a test of the mesh for each picture.
    Browsers say in ``Sec-Fetch-Site`` that another site asks, if this one is on the same machine or has TLS.

    Under their own name (DNS rebinding) they could read it. A browser always sends the name it was told in
    ``Host``. Addresses and ``localhost`` cannot be rebound; any other name must be configured. A request
    without the header is not a browser's.

    Args:
        allowed_names: by which this agent may be asked, beside its addresses.
        meters: count who is turned away.
    """

    def __init__(self, allowed_names: Iterable[str] = (), meters: Meters | None = None) -> None:
        self._meters = meters or Meters()
        self._lock = threading.Lock()
        self.allow(allowed_names)

    def allow(self, allowed_names: Iterable[str]) -> None:
        """Have these names, and no others, from now on."""
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed_names) | {"localhost"}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse what is no host with 400, and a foreign name or page with 403."""
        if (
            req.get_header("Sec-Fetch-Site") in FOREIGN_SITES
            and req.get_header("Sec-Fetch-Mode") != NAVIGATION
        ):
            raise self._foreign(req, "a page of another site asks, which could read no answer")
        header = req.get_header("Host")
        if header is None:
            return
        host = host_in(header)
        if host is None:
            raise falcon.HTTPBadRequest(description="the Host header is not one name or address with a port")
        if not self._admits(host):
            raise self._foreign(
                req,
                "the Host header has a name that is not known here: ask by address, or by "
                "localhost, or put the name into http.allowed_hosts in this agent's configuration",
            )

    def _foreign(self, req: falcon.Request, why: str) -> falcon.HTTPForbidden:
        """Count it, tell of some of them, and say why it is refused."""
        with self._lock:
            self._meters.requests_foreign += 1
        client = req.remote_addr
        said = escaped((req.get_header("Origin") or req.get_header("Host") or "")[:MAX_SHOWN_CHARACTERS])
        _log.warning(
            "a request from %s is refused: %s (%s)", client, why, said or "no Host", extra=sampled(client)
        )
        return falcon.HTTPForbidden(description=why)

    def _admits(self, host: str) -> bool:
        return host in self._allowed or host.endswith(".localhost") or is_address(host)


def host_in(header: str) -> str | None:
    """The host of a ``Host`` header (``name``, ``name:port``, ``[v6]:port``), in lower case, no brackets.

    A name may end in one dot, which says that it is absolute, and is the same name without it. ``None`` if
    it is anything else: empty, several, with a user, or a port that is none.
    """
    match = _HOST.fullmatch(header)
    if match is None or not 0 < int(match["port"] or "80") <= MAX_PORT:
        return None
    name, literal = match["name"], match["literal"]
    if literal is not None:
        return literal.lower() if is_address(literal) else None
    return name.lower() if ".." not in name else None


class Marks:
    """Marks every answer."""

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Add the security headers."""
        resp.set_headers(SECURITY_HEADERS)


class ReadOnly(Marks):
    """Lets GET and HEAD through and nothing else."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse other methods with 405, whatever the path."""
        if req.method not in METHODS:
            raise falcon.HTTPMethodNotAllowed(
                METHODS, description=f"{req.method} is not allowed here; use GET"
            )


def is_address(text: str) -> bool:
    """Whether ``text`` is an IP address, as its standard writes it."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
