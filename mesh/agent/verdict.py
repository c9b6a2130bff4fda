"""What is wrong with this agent, in one place: whether it is ready, and what an operator should look at."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from actors.messages.agent import AgentState
from actors.messages.peer_directory import PeerStatus
from mesh.agent.dashboard.status import RUNNING
from mesh.agent.descriptor_watch import DescriptorUse
from mesh.agent.draining import DRAINING, is_draining
from mesh.agent.findings import Finding, FindingKind, plain, some_alike
from mesh.agent.grants import missing_grants, renewal
from mesh.agent.link_problems import link_problems
from mesh.agent.namesakes import namesake_warnings
from mesh.agent.own_revocation import revocation_finding
from mesh.agent.own_services import NOT_YET, OwnServices
from mesh.agent.validity import early, ends_soon, expired
from mesh.agent.web_certificate import REMEDY, WebCertificate, web_warning
from mesh.config.loading import Written
from mesh.config.schema import AcceptSection, Config
from mesh.config.services import services
from mesh.routing.routes import RouteSnapshot
from mesh.trust.certificates import Certificate
from mesh.trust.revocations import Revoked

END_DRAINING: Final = "`mesh drain --off` ends it"


class Seen(msgspec.Struct, frozen=True):
    """What the verdict is made of."""

    config: Config
    written: Written
    configured_unix_s: float
    """Since when the agent runs with this."""
    certificate: Certificate
    revoked: Revoked | None
    """Its own revocation, or that of its issuer."""
    complaint: str
    """What is wrong with the file that should have another one; empty if nothing is."""
    state: AgentState
    services: OwnServices
    peers: tuple[PeerStatus, ...]
    routes: RouteSnapshot
    refused_reload: Finding | None
    """That the latest one was refused."""
    descriptors: DescriptorUse
    route_problems: tuple[str, ...]
    route_warnings: tuple[str, ...]
    link_warnings: tuple[str, ...]
    web_certificate: WebCertificate | None
    now_unix_s: float


def clock_of(state: AgentState) -> Callable[[float], float]:
    """Unix seconds of a time of the actors, given their answer of this moment."""
    offset_s = time.time() - state.now_s
    return lambda at_s: at_s + offset_s


def problems(seen: Seen, unix_s_of: Callable[[float], float]) -> Iterator[Finding]:
    """Why the agent is not ready, the worst first."""
    state, certificate = seen.state, seen.certificate
    if state.phase != RUNNING:
        yield Finding(
            FindingKind.PHASE, f"this agent is {state.phase}", since_unix_s=unix_s_of(state.phase_since_s)
        )
    elif is_draining(seen.routes):
        yield Finding(FindingKind.DRAINING, DRAINING, END_DRAINING, unix_s_of(state.draining_since_s))
    if (revoked := seen.revoked) is not None:
        yield revocation_finding(certificate, revoked)
    if (line := expired(certificate, seen.now_unix_s)) is not None:
        yield Finding(FindingKind.CERTIFICATE, line, renewal(certificate), certificate.not_after)
    elif (line := early(certificate, seen.now_unix_s)) is not None:
        yield Finding(FindingKind.CERTIFICATE, line)
    for missing in missing_grants(seen.config, certificate, seen.written):
        yield Finding(FindingKind.GRANT, missing.what, missing.remedy, seen.configured_unix_s)
    for line, since_s in link_problems(seen.config, seen.peers):
        since = None if since_s is None else unix_s_of(since_s)
        yield Finding(FindingKind.PEERS, line, since_unix_s=since)
    yield from plain(FindingKind.RECORD, seen.route_problems)
    if (line := seen.descriptors.shortage()) is not None:
        yield Finding(FindingKind.DESCRIPTORS, line)
    yield from some_alike(seen.services.closed(), "listeners")
    yield from _closed_acceptors(seen, unix_s_of)


def warnings(seen: Seen) -> Iterator[Finding]:
    """What somebody should look at though the agent serves, the worst first."""
    if (line := ends_soon(seen.certificate, seen.now_unix_s)) is not None:
        yield Finding(FindingKind.CERTIFICATE, line)
    if seen.complaint:
        yield Finding(FindingKind.CERTIFICATE, seen.complaint)
    if seen.refused_reload is not None:
        yield seen.refused_reload
    if line := web_warning(seen.web_certificate, seen.now_unix_s):
        yield Finding(FindingKind.TLS, line, REMEDY)
    yield from plain(FindingKind.NAME, namesake_warnings(seen.routes))
    yield from plain(FindingKind.IDENTITY, (*seen.link_warnings, *seen.route_warnings))
    if (line := seen.descriptors.scarcity()) is not None:
        yield Finding(FindingKind.DESCRIPTORS, line)
    yield from some_alike(seen.services.refusing(), "listeners")
    yield from some_alike(seen.services.withdrawn(), "endpoints")


def _closed_acceptors(seen: Seen, unix_s_of: Callable[[float], float]) -> Iterator[Finding]:
    parts = {part.name: part for part in seen.state.parts}
    for name, section in services(seen.config).items():
        if isinstance(section, AcceptSection):
            part = parts.get(name)
            if part is None:
                yield Finding(FindingKind.ACCEPTOR, f"acceptor at {section.address}: {NOT_YET}")
            elif part.trouble is not None:
                line = f"acceptor at {section.address}: {part.trouble}"
                yield Finding(FindingKind.ACCEPTOR, line, since_unix_s=unix_s_of(part.since_s))
