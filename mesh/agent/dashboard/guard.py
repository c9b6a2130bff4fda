"""Who may ask, and what every answer says about itself."""

import ipaddress
from collections.abc import Iterable
from typing import Final

import falcon

METHODS: Final = ("GET", "HEAD")

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


class HostGuard:
    """Turns away pages of other sites that make a browser ask here under their own name (DNS rebinding).

    A browser always sends the name it was told in ``Host``. Addresses and ``localhost`` cannot be rebound;
    any other name must be configured. A request without the header is not a browser's.
    """

    def __init__(self, allowed_names: Iterable[str] = ()) -> None:
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed_names) | {"localhost"}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse a foreign name with 403."""
        header = req.get_header("Host")
        if header is not None and not self.admits(header):
            raise falcon.HTTPForbidden(
                description="the Host header is neither an address nor localhost; ask by the address"
            )

    def admits(self, header: str) -> bool:
        """Whether a ``Host`` header (``name``, ``name:port``, ``[v6]:port``) is an address or known."""
        host = header.strip().lower()
        if host.startswith("["):
            return _is_address(host[1:].partition("]")[0])
        host = host.rpartition(":")[0] if ":" in host else host
        host = host.rstrip(".")
        return host in self._allowed or host.endswith(".localhost") or _is_address(host)


class ReadOnly:
    """Lets GET and HEAD through and nothing else; marks every answer."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse other methods with 405, whatever the path."""
        if req.method not in METHODS:
            raise falcon.HTTPMethodNotAllowed(
                METHODS, description=f"{req.method} is not allowed here; use GET"
            )

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Add the security headers."""
        resp.set_headers(SECURITY_HEADERS)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
