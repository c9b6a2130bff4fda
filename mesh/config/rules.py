"""Rules over several fields at once: what is fine by itself and wrong together."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from mesh.addresses import (
    SocketAddress,
    TcpAddress,
    UnixAddress,
    listening_places,
    surely_reaches,
)
from mesh.config.kinds import duration_text
from mesh.config.local_ports import LocalPorts, port_or_path
from mesh.config.schema import DEFAULT_HTTP_ADDRESS, RoutingSection
from mesh.config.walk import Found, Walk

_NARROWING: Final = re.compile(r"forward\.(?:endpoints\[[0-9]+\]\.allow|listeners\[[0-9]+\]\.agents)")
_LOCAL_PORTS: Final = ("accept", "forward.listeners", "forward.socks", "http")


def check_rules(walk: Walk) -> None:
    """Report to ``walk`` what is wrong between its values."""
    _check_trust(walk)
    _check_local_ports(walk)
    _check_targets(walk)
    _check_sources(walk)
    _check_socks(walk)
    _check_http(walk)
    _check_unique(walk, "forward.endpoints", ".key", "each endpoint's key once on an agent")
    _check_unique(walk, "peers", ".address", "each peer once")
    _check_unique(walk, "trust.authorities", "", "each authority once")
    _check_unique(walk, "http.tokens", ".name", "each token by a name of its own")
    _check_unique(walk, "http.tokens", ".hash", "each token once")
    _check_empty_lists(walk)
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
    ports: LocalPorts[tuple[str, Found]] = LocalPorts()
    for path, found in _local_ports(walk):
        address: SocketAddress = found.value
        holder = ports.holder(address)
        if holder is not None:
            other_path, other = holder.who
            is_default = path not in walk.values
            walk.report(
                found.line,
                path,
                f"{found.shown(_text(address))}{', the default' if is_default else ''}",
                "a path of its own" if isinstance(address, UnixAddress) else "a port of its own",
                f"{other_path} on line {other.line} has {other.shown(_text(other.value))}",
            )
        ports.add(address, (path, found))


def _local_ports(walk: Walk) -> Iterator[tuple[str, Found]]:
    for section in _LOCAL_PORTS:
        yield from _under(walk, section, ".address")
    # A section that leaves its address out takes a port as well.
    if "http" in walk.lines and not any(
        place == "http.address" for place in (*walk.values, *(problem.path for problem in walk.problems))
    ):
        yield "http.address", Found(DEFAULT_HTTP_ADDRESS, walk.lines["http"])


def _check_targets(walk: Walk) -> None:
    """A target that is one of the agent's own listeners would send each client round in a circle."""
    by_port: defaultdict[int | str, list[tuple[str, Found]]] = defaultdict(list)
    for path, found in _under(walk, "forward.listeners", ".address"):
        by_port[port_or_path(found.value)].append((path, found))
    for path, found in _under(walk, "forward.endpoints", ".target"):
        target: SocketAddress = found.value
        for listener_path, listener in by_port[port_or_path(target)]:
            if surely_reaches(target, listener.value):
                walk.report(
                    found.line,
                    path,
                    found.shown(_text(target)),
                    "a service, not a listener of this agent: its clients would run in a circle",
                    f"{listener_path} on line {listener.line} has {listener.shown(_text(listener.value))}",
                )
                break


def _check_sources(walk: Walk) -> None:
    """A socket that is bound to loopback reaches nothing else."""
    for path, found in _under(walk, "forward.endpoints", ".source_address"):
        target = walk.values.get(f"{path.removesuffix('.source_address')}.target")
        if target is None:
            continue  # it is missing, or wrong: that is told
        host = target.value.host if isinstance(target.value, TcpAddress) else ""
        if host != "localhost" and not host.startswith("127."):
            expected = "a target at localhost or in 127.0.0.0/8"
            walk.report(found.line, path, f"the target {target.shown(_text(target.value))}", expected)


def _check_socks(walk: Walk) -> None:
    """Whoever comes from elsewhere must show a user and password; one without the other is none."""
    wrong = {problem.path for problem in walk.problems}
    for path, found in _under(walk, "forward.socks", ".address"):
        entry = path.removesuffix(".address")
        given = [f"{entry}.{key}" in (*walk.values, *wrong) for key in ("user", "password")]
        if all(given):
            continue
        if any(given):
            missing = "password" if given[0] else "user"
            walk.report(found.line, entry, f"no {missing}", "user and password, or neither")
        elif not is_for_this_machine(found.value):
            walk.report(
                found.line,
                entry,
                f"no user and password for {found.shown(_text(found.value))}",
                "both, where others than this machine's programs can connect",
                "without them: an address of loopback, such as 127.0.0.1:1080, or a unix socket",
            )


def _check_http(walk: Walk) -> None:
    """Whoever can reach it from elsewhere must show a token."""
    found = walk.values.get("http.address")
    if found is None or is_for_this_machine(found.value) or "http.tokens[0]" in walk.lines:
        return
    walk.report(
        found.line,
        "http.address",
        f"{found.shown(_text(found.value))} and no http.tokens",
        "tokens for whoever comes from other machines (mesh token new NAME --scope read)",
        "without them: an address of loopback, such as 127.0.0.1:8080",
    )


def is_for_this_machine(address: SocketAddress) -> bool:
    """Whether only programs of this machine can connect to a local port."""
    if isinstance(address, UnixAddress):
        return True
    return all(ipaddress.ip_address(place.host).is_loopback for place in listening_places(address))


def _check_unique(walk: Walk, section: str, suffix: str, expected: str) -> None:
    first: dict[object, Found] = {}
    for path, found in _under(walk, section, suffix):
        earlier = first.setdefault(_compared(found.value), found)
        if earlier is not found:
            walk.report(found.line, path, f"the same as on line {earlier.line}", expected)


def _check_empty_lists(walk: Walk) -> None:
    """A list that narrows is left out to mean everybody: an empty one may have been meant to be nobody."""
    filled = {path.rpartition("[")[0] for path in walk.values if path.endswith("]")}
    wrong = {problem.path.rpartition("[")[0] for problem in walk.problems}
    for path, line in walk.lines.items():
        if _NARROWING.fullmatch(path) and path not in filled and path not in wrong:
            hint = "without the key it is everybody whose certificate allows it"
            walk.report(line, path, "an empty list", "at least one name, ID or group", hint)


def _check_record_lifetime(walk: Walk) -> None:
    interval = walk.values.get("routing.advertise_interval")
    lifetime = walk.values.get("routing.route_ttl")
    if (interval is None and lifetime is None) or any(p.path.startswith("routing.") for p in walk.problems):
        return
    defaults = RoutingSection()
    interval_s = interval.value if interval else defaults.advertise_interval_s
    lifetime_s = lifetime.value if lifetime else defaults.route_ttl_s
    if lifetime_s <= interval_s:
        interval_text = duration_text(interval_s)
        interval_text = interval.shown(interval_text) if interval else interval_text
        line = max(found.line for found in (interval, lifetime) if found is not None)
        walk.report(
            line,
            "routing.route_ttl",
            lifetime.shown(duration_text(lifetime_s)) if lifetime else duration_text(lifetime_s),
            f"more than routing.advertise_interval, which is {interval_text}",
            "records would expire before they are refreshed",
        )


def _under(walk: Walk, section: str, suffix: str) -> Iterator[tuple[str, Found]]:
    """Valid values of a section or list whose path ends in ``suffix``, in the order of the file."""
    for path, found in walk.values.items():
        if path.startswith((f"{section}[", f"{section}.")) and path.endswith(suffix):
            yield path, found


def _text(address: SocketAddress) -> str:
    return f'"{address}"'


def _compared(value: object) -> object:
    """Host names are the same in capitals: RFC 4343."""
    if isinstance(value, TcpAddress):
        return TcpAddress(value.host.lower().removesuffix("."), value.port)
    return value
