"""Host names as resolvers take them: in ASCII, with every label in its bounds."""

import ipaddress
import re
from typing import Final

import idna

from mesh.config.problems import quoted

MAX_HOST_CHARACTERS: Final = 253
"""RFC 1035, section 2.3.4, without the final dot."""

_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""RFC 1123, section 2.1, and the underscore that container networks use."""
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def ascii_host(host: str) -> str:
    """``host`` as it is looked up; refuses what no resolver can find, so that a slip is told at start.

    Names in other scripts get their ASCII form of IDNA 2008 (RFC 5891; mapped as UTS 46 says): Python's own
    resolver would take that of IDNA 2003, which looks up fass.example for ``faß.example``, another's name.

    Args:
        host: a name, an IPv4 address, or an IPv6 address without brackets.

    Raises:
        ValueError: it is none of these; the message says what was expected.
    """
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"an IPv6 address in the brackets, not {quoted(host)}") from None
        return host
    name = host if host.isascii() else _idna_2008(host)
    labels = name.removesuffix(".").split(".")
    if len(name.removesuffix(".")) > MAX_HOST_CHARACTERS:
        raise ValueError(f"a host name of at most {MAX_HOST_CHARACTERS} characters, not {quoted(host)}")
    # A name whose last label is a number is an IPv4 address or a mistake: WHATWG URL, "ends in a number".
    if _NUMBER.fullmatch(labels[-1]):
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            if len(labels) == 1:
                raise ValueError(f"a host before the port, such as localhost, not {quoted(host)}") from None
            raise ValueError(f"an IPv4 address of four numbers up to 255, not {quoted(host)}") from None
        return name
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"a host name or address before the port, not {quoted(host)}: a name's parts have letters, "
            "digits and hyphens, up to 63 of them, with a dot between two parts"
        )
    return name


def _idna_2008(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise ValueError(
            f"a host name or address before the port, not {quoted(host)}: {str(error).rstrip('.')}"
        ) from None
