"""What is wrong with a text that is no address, and what to write in its place."""

import ipaddress
import re
from typing import Final

from mesh.escaping import can_be_seen

_QUOTES: Final = re.compile("[\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]")
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<rest>[^/?#]*)")
_SCHEME_ALONE: Final = re.compile(r"(?:tcp|tcp4|tcp6|http|https|tls|ssl|host|udp):", re.IGNORECASE)
_DATAGRAMS: Final = frozenset({"udp", "udp4", "udp6", "quic", "dtls", "http3", "h3"})
_USUAL_PORTS: Final = {
    "http": 80,
    "ws": 80,
    "https": 443,
    "wss": 443,
    "ssh": 22,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "redis": 6379,
    "mongodb": 27017,
    "amqp": 5672,
}
MAX_PORT: Final = 65_535
_INTERFACE: Final = re.compile(r"[0-9A-Za-z._~+-]{1,15}")
_MAX_CHARACTERS: Final = 300
"""More than any host name; a part of the text may be repeated in the answer, which is to stay one line."""


def mistake(text: str, *, is_local: bool, lowest_port: int) -> str:
    """What was expected of ``text``, which is not ``host:port``, with the reason if it is plain.

    Args:
        text: what was found.
        is_local: of a local port, which needs no host.
        lowest_port: 0 if the system may choose.
    """
    form = "host:port or :port" if is_local else "host:port"
    if len(text) > _MAX_CHARACTERS or not can_be_seen(text):
        return form
    # What is around the address comes first: with it, nothing else can be told.
    if _QUOTES.search(text):
        return f"{form} without quotation marks in the value itself"
    if text != text.strip():
        return f"{form} without spaces around it: {text.strip()}"
    if "{{" in text or "$" in text:
        return f"{form}, with variables of the environment as ${{NAME}}{_variables(text)}"
    url = _URL.match(text)
    if url is not None:
        return _of_url(url, form)
    if text.startswith("unix:"):
        return f"{form}; only listeners and endpoints can have a unix socket"
    if text.startswith(("/", "./", "../", "~")):
        return form if is_local else f"{form}, or unix:/path for a unix socket"
    transport = text.rpartition("/")[2].lower()
    if transport in {"tcp", "udp"}:
        only = "; only TCP is carried" if transport == "udp" else ""
        return f"{form} without /{transport}{only}"
    if "/" in text:
        return f"{form} without a path: an address is a host and a port, no more"
    if "@" in text:
        return f"{form} without a user: {text.rpartition('@')[2]}"
    if "," in text or ";" in text:
        return f"{form}, one address only"
    if re.search(r"\s", text):
        return f"{form}, with a colon between the two and no space"
    return _of_host_and_port(text, form, is_local=is_local, lowest_port=lowest_port)


def _variables(text: str) -> str:
    written = re.sub(r"\$([A-Za-z_][A-Za-z0-9_]*)", r"${\1}", text)
    return f": {written}" if written != text else ""


def _of_url(url: re.Match[str], form: str) -> str:
    scheme, rest = url["scheme"].lower(), url["rest"]
    if scheme in _DATAGRAMS:
        return f"{form} of a TCP service; only TCP is carried, not {scheme}"
    if scheme == "unix":
        return f"{form}, or unix:/path with one colon and no host"
    if rest and not re.search(r":[0-9]+$", rest):
        rest = f"{rest}:{_USUAL_PORTS.get(scheme, 'port')}"
    return f"{form} without a scheme, user and path{f': {rest}' if rest else ''}"


def _of_host_and_port(text: str, form: str, *, is_local: bool, lowest_port: int) -> str:
    if "[" in text or "]" in text:
        return _of_brackets(text, lowest_port)
    if re.fullmatch(r"-?[0-9]+", text):
        if not lowest_port <= int(text[:9]) <= MAX_PORT:
            return f"{form}, with a port from {lowest_port} to {MAX_PORT}"
        return f"{form}: localhost:{text}{f', or :{text} for every interface' if is_local else ''}"
    host, colon, port = text.rpartition(":")
    if not colon:
        return f"{form}; the port is missing"
    if ":" in host:
        return _of_many_colons(text, host, port, form)
    if re.fullmatch(r"[0-9]+", host):
        return f"{form} with one port; a listener's and a service's port are in entries of their own"
    if not port:
        return f"{form}; the port is missing"
    if not (port.isascii() and port.isdigit()):
        if re.fullmatch(r"[0-9]+-[0-9]+", port):
            return f"{form} with one port; each port is an entry of its own"
        return f"a port from {lowest_port} to {MAX_PORT} after the colon, in digits, not {port!r}"
    if not lowest_port <= int(port[:9]) <= MAX_PORT:
        return f"a port from {lowest_port} to {MAX_PORT}, not {port}"
    return f"{form}; the host is missing"


def _of_brackets(text: str, lowest_port: int) -> str:
    inside = re.match(r"\[([^\[\]]*)\]", text)
    if inside is None:
        return (
            "[ipv6]:port; the bracket is not closed" if text.startswith("[") else "host:port or [ipv6]:port"
        )
    host, behind = inside[1], text[inside.end() :]
    if ":" not in host:
        return f"brackets around an IPv6 address only: {host}{behind}"
    if not behind.startswith(":"):
        hint = f": [{host}]:{behind}" if behind.isdigit() else ""
        return f"[ipv6]:port, with a colon and the port behind the bracket{hint}"
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return f"an IPv6 address between the brackets, not {host!r}"
    if "%" in host and _INTERFACE.fullmatch(host.partition("%")[2]) is None:
        return (
            f"the name of an interface, such as eth0, behind the percent sign, not {host.partition('%')[2]!r}"
        )
    return f"[ipv6]:port, with a port from {lowest_port} to {MAX_PORT} behind the colon, not {behind[1:]!r}"


def _of_many_colons(text: str, host: str, port: str, form: str) -> str:
    if _SCHEME_ALONE.match(text):
        scheme, _, rest = text.partition(":")
        only = "; only TCP is carried" if scheme.lower() == "udp" else f" without {scheme}: {rest}"
        return f"{form}{only}"
    for literal, number in ((host, port), (text, "port")):
        try:
            return f"an IPv6 address in brackets: [{ipaddress.IPv6Address(literal)}]:{number}"
        except ValueError:
            continue
    return f"{form}, one host and one port: where to listen and where to connect to are entries of their own"
