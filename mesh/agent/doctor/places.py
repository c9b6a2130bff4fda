"""Whether an agent that is started now gets its ports, reaches its peers and has descriptors enough."""

import errno
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mesh.addresses import SocketAddress, TcpAddress, UnixAddress
from mesh.agent.dashboard.listening import listen
from mesh.agent.descriptor_watch import REMEDY
from mesh.agent.doctor.check import About, Check, Level
from mesh.config.schema import AcceptSection, Config, ListenerSection, PeerSection, SocksSection
from mesh.config.services import service_name

DIAL_S: Final = 3.0
"""For a peer to take a connection."""

MAX_DIALED: Final = 16

FEW_DESCRIPTORS: Final = 4_096
"""A connection takes one at either end: with fewer a busy agent turns clients away."""


def port_checks(config: Config) -> Iterator[Check]:
    """Open each port that ``config`` has, and close it again."""
    found = list(_ports(config))
    if not found:
        found.append(Check(About.PORTS, Level.OK, "all can be opened"))
    yield from found


def _ports(config: Config) -> Iterator[Check]:
    sections: tuple[AcceptSection | ListenerSection | SocksSection, ...] = (
        *config.accept,
        *config.forward.listeners,
        *config.forward.socks,
    )
    for section in sections:
        yield from _port(service_name(section), section.address)
    if config.http is not None:
        yield from _port(f"http {config.http.address}", config.http.address)


def _port(name: str, address: SocketAddress) -> Iterator[Check]:
    if isinstance(address, UnixAddress):
        parent = Path(address.path).parent
        if not parent.is_dir():
            yield Check(About.PORTS, Level.PROBLEM, f"{name}: there is no directory {parent}", "make it")
        return
    try:
        for bound in listen(address):
            bound.close()
    except OSError as error:
        yield Check(About.PORTS, Level.PROBLEM, f"{name}: {error.strerror or error}", _remedy(error, address))


def _remedy(error: OSError, address: TcpAddress) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"choose another port, or end what has it: ss -ltnp 'sport = :{address.port}' names it"
    if error.errno == errno.EACCES:
        return (
            "choose a port from 1024 on, or let the agent have this one: "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit"
        )
    return "name an address that this machine has: ip address lists them"


def peer_checks(config: Config) -> Iterator[Check]:
    """Connect to each address that ``config`` dials, and close that again."""
    peers = config.peers[:MAX_DIALED]
    if not peers:
        return
    with ThreadPoolExecutor(len(peers)) as threads:
        found = [check for check in threads.map(_dialed, peers) if check is not None]
    if not found:
        found.append(Check(About.PEERS, Level.OK, "each address takes connections"))
    yield from found


def _dialed(peer: PeerSection) -> Check | None:
    address = peer.address
    try:
        socket.create_connection((address.host, address.port), DIAL_S).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        return Check(
            About.PEERS,
            Level.WARNING,
            f"peer {address}: {why}",
            "see there that the agent runs and accepts at this address, and that no firewall is in between",
        )
    return None


def descriptor_checks() -> Iterator[Check]:
    """The limit of an agent that is started from here."""
    yield limit_check(resource.getrlimit(resource.RLIMIT_NOFILE)[1], "an agent that is started from here")


def limit_check(limit: int, whose: str) -> Check:
    """Whether so many descriptors will do."""
    if limit != resource.RLIM_INFINITY and limit < FEW_DESCRIPTORS:
        what = f"{whose} may have {limit:,} descriptors, and each connection takes one"
        return Check(About.DESCRIPTORS, Level.WARNING, what, REMEDY)
    allowed = "any number of" if limit == resource.RLIM_INFINITY else f"{limit:,}"
    return Check(About.DESCRIPTORS, Level.OK, f"{whose} may have {allowed} descriptors")
