"""Rules over several fields at once: what is fine by itself and wrong together."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from mesh.addresses import SocketAddress, TcpAddress
from mesh.config.kinds import duration_text
from mesh.config.schema import RoutingSection
from mesh.config.walk import Found, Walk

_LOCAL_PORTS: Final = ("accept", "forward.listeners", "http")
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_CONNECTS_TO: Final = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 - compared with
"""On Linux a connection to the address that means all goes to this machine itself."""


def check_rules(walk: Walk) -> None:
    """Report to ``walk`` what is wrong between its values."""
    _check_trust(walk)
    _check_local_ports(walk)
    _check_targets(walk)
    _check_unique(walk, "forward.endpoints", ".key", "each endpoint's key once on an agent")
    _check_unique(walk, "peers", ".address", "each peer once")
    _check_unique(walk, "trust.authorities", "", "each authority once")
    _check_record_lifetime(walk)


def _check_trust(walk: Walk) -> None:
    if "trust" not in walk.lines:
        for section in ("accept", "peers"):
            if any(path.startswith(f"{section}[") for path in walk.lines):
                expected = "trust.authorities and trust.certificate, without which no agent gets a link"
                walk.report(walk.lines[section], "trust", f"{section} but no trust", expected)
                return
    elif "trust.authorities" in walk.lines and not any(
        path.startswith("trust.authorities[") for path in walk.values
    ):
        line = walk.lines["trust.authorities"]
        if not any(problem.path.startswith("trust.authorities") for problem in walk.problems):
            walk.report(line, "trust.authorities", "an empty list", "at least one public key")


def _check_local_ports(walk: Walk) -> None:
    """Two sockets of one agent cannot have the same port on the same address."""
    by_port: defaultdict[int, list[tuple[str, Found]]] = defaultdict(list)
    for section in _LOCAL_PORTS:
        for path, found in _under(walk, section, ".address"):
            address: TcpAddress = found.value
            taken = by_port[address.port]
            clash = next((other for other in taken if _overlap(address, other[1].value)), None)
            if clash is not None:
                other_path, other = clash
                walk.report(
                    found.line,
                    path,
                    f'"{address}"',
                    "a port of its own",
                    f'{other_path} on line {other.line} has "{other.value}"',
                )
            taken.append((path, found))


def _check_targets(walk: Walk) -> None:
    """A target that is one of the agent's own listeners would send each client round in a circle."""
    listeners = list(_under(walk, "forward.listeners", ".address"))
    for path, found in _under(walk, "forward.endpoints", ".target"):
        target: SocketAddress = found.value
        if not isinstance(target, TcpAddress):
            continue  # listeners have TCP ports only
        for listener_path, listener in listeners:
            if _leads_to(target, listener.value):
                walk.report(
                    found.line,
                    path,
                    f'"{target}"',
                    "a service, not a listener of this agent: its clients would run in a circle",
                    f'{listener_path} on line {listener.line} has "{listener.value}"',
                )
                break


def _leads_to(target: TcpAddress, listener: TcpAddress) -> bool:
    """Whether a connection to ``target`` certainly arrives at ``listener``; judged without a look-up."""
    if target.port != listener.port:
        return False
    hosts = _meant_by(target.host)
    takes = _normal(listener.host)
    if takes not in _EVERYWHERE:
        return not hosts.isdisjoint({"127.0.0.1"} if takes == "localhost" else {takes})
    # Which other addresses are this machine's own is not known here.
    own = {host for host in hosts if ipaddress.ip_address(host).is_loopback}
    return any(_families_meet(takes, host) for host in own)


def _meant_by(host: str) -> frozenset[str]:
    """The IP addresses that a connection to ``host`` goes to, as far as that needs no look-up."""
    name = _normal(host)
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return _LOOPBACK
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return frozenset()
    return frozenset({_CONNECTS_TO.get(name, name)})


def _check_unique(walk: Walk, section: str, suffix: str, expected: str) -> None:
    first: dict[object, Found] = {}
    for path, found in _under(walk, section, suffix):
        earlier = first.setdefault(found.value, found)
        if earlier is not found:
            walk.report(found.line, path, f"the same as on line {earlier.line}", expected)


def _check_record_lifetime(walk: Walk) -> None:
    interval = walk.values.get("routing.advertise_interval")
    lifetime = walk.values.get("routing.route_ttl")
    if (interval is None and lifetime is None) or any(p.path.startswith("routing.") for p in walk.problems):
        return
    defaults = RoutingSection()
    interval_s = interval.value if interval else defaults.advertise_interval_s
    lifetime_s = lifetime.value if lifetime else defaults.route_ttl_s
    if lifetime_s <= interval_s:
        line = max(found.line for found in (interval, lifetime) if found is not None)
        walk.report(
            line,
            "routing.route_ttl",
            duration_text(lifetime_s),
            f"more than routing.advertise_interval, which is {duration_text(interval_s)}",
            "records would expire before they are refreshed",
        )


def _under(walk: Walk, section: str, suffix: str) -> Iterator[tuple[str, Found]]:
    """Valid values of a section or list whose path ends in ``suffix``, in the order of the file."""
    for path, found in walk.values.items():
        if path.startswith((f"{section}[", f"{section}.")) and path.endswith(suffix):
            yield path, found


def _overlap(one: TcpAddress, other: TcpAddress) -> bool:
    """Whether two addresses with the same port cannot both be bound."""
    if one.port == 0:  # each gets a port of its own
        return False
    hosts = {_normal(one.host), _normal(other.host)}
    if len(hosts) == 1:
        return True
    if hosts & _EVERYWHERE:
        return _families_meet(*hosts)
    return "localhost" in hosts and bool(hosts & _LOOPBACK)


def _normal(host: str) -> str:
    """One spelling of a host; an IPv4 address that is written as an IPv6 one is the IPv4 address."""
    try:
        address = ipaddress.ip_address(host)
        return str(getattr(address, "ipv4_mapped", None) or address)
    except ValueError:
        return host.lower().removesuffix(".")


def _families_meet(one: str, other: str) -> bool:
    """Whether two hosts can name the same IP version; an empty host and a name may mean either."""

    def version(host: str) -> int:
        try:
            return ipaddress.ip_address(host).version
        except ValueError:
            return 0

    versions = {version(one), version(other)}
    return 0 in versions or len(versions) == 1
