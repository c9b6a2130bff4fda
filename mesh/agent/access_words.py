"""Who may do what, in sentences: what opens each gate, or what is shut and what would open it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from mesh.escaping import escaped
from mesh.routing.access import Access, LinkedView, May
from mesh.routing.counterparts import some_of
from mesh.trust.certificates import Certificate
from mesh.trust.naming import GROUP_PREFIX, is_id
from mesh.trust.patterns import granting
from mesh.trust.policy import Gate

_VERBS: Final = {May.YES: "may use", May.NO: "may not use", May.DEPENDS: "may use"}


def sentence_of(access: Access) -> str:
    """Whether an agent may use a key at an exit, and why, or why not."""
    ingress, exit_ = escaped(access.ingress.name), escaped(access.exit.name)
    begin = f"{ingress} {_VERBS[access.may]} {escaped(access.key)} at {exit_}"
    if access.may is May.NO:
        return f"{begin}: {'; '.join(_obstacles(access))}"
    if access.may is May.DEPENDS:
        begin += f", if the endpoint's allow: there lets it (ask {exit_} itself)"
    return f"{begin}: {'; '.join(_reasons(access))}"


def unoffered(ingress: LinkedView, key: str) -> tuple[bool, str]:
    """Whether a certificate lets its agent use a key that nobody offers, as far as is known here, and why."""
    certificate, name = ingress.certificate, escaped(ingress.name)
    # What is granted to others only, it is not told of.
    what = f"{escaped(key)}, which nobody offers that this agent is told of"
    if pattern := granting(certificate.may_use, key):
        return True, f"{name} may use {what}: its certificate allows {pattern!r} {_until(certificate)}"
    return False, f"{name} may not use {what}: {_denies(certificate)}"


def offering(exit_: LinkedView, key: str) -> tuple[bool, str]:
    """Whether an agent may offer a key, and why."""
    certificate, name = exit_.certificate, escaped(exit_.name)
    if pattern := granting(certificate.may_register, key):
        why = f"its certificate allows {pattern!r} {_until(certificate)}"
        return True, f"{name} may offer {escaped(key)}: {why}"
    return False, f"{name} may not offer {escaped(key)}: {_denies_offer(certificate)}"


def relaying(agent: LinkedView) -> tuple[bool, str]:
    """Whether others' connections may pass through an agent, and why."""
    name = escaped(agent.name)
    if agent.carries_transit:
        until = _until(agent.certificate)
        return True, f"{name} carries others' connections: its certificate lets it relay {until}"
    return False, f"{name} carries nobody else's connections: {_why_no_relay(agent)}"


def managing(agent: LinkedView) -> tuple[bool, str]:
    """Whether an agent may manage others, and why."""
    name, certificate = escaped(agent.name), agent.certificate
    if certificate.may_manage:
        return True, f"{name} may manage other agents: its certificate lets it {_until(certificate)}"
    return False, f"{name} may not manage other agents: its certificate does not let it"


def _reasons(access: Access) -> Iterator[str]:
    exit_ = escaped(access.exit.name)
    for finding in access.findings:
        match finding.gate:
            case Gate.USE:
                yield f"its certificate allows {finding.by!r} {_until(access.ingress.certificate)}"
            case Gate.ALLOW if finding.by:
                yield f"the endpoint at {exit_} allows {_entry(finding.by)}"
            case Gate.REGISTER:
                yield f"the certificate of {exit_} lets that offer {finding.by!r}"
            case Gate.AGENTS if finding.by:
                yield f"the listener believes {_entry(finding.by)}"
            case Gate.RELAY if len(access.path) > 2:
                yield f"{some_of([escaped(each.name) for each in access.path[1:-1]])} may carry it"
            case _:
                pass


def _obstacles(access: Access) -> Iterator[str]:
    exit_ = escaped(access.exit.name)
    for finding in access.findings:
        if finding.is_open:
            continue
        match finding.gate:
            case Gate.VALIDITY:
                yield f"the certificate of {finding.by} has ended"
            case Gate.USE:
                yield _denies(access.ingress.certificate)
            case Gate.ALLOW:
                yield f"the endpoint's allow: at {exit_} does not name it or a group of its certificate"
            case Gate.REGISTER:
                allowed = _patterns(access.exit.certificate.may_register)
                yield f"the certificate of {exit_} does not let that offer the key: it may offer {allowed}"
            case Gate.AGENTS:
                yield f"the listener's agents: does not name {exit_} or a group of its certificate"
            case Gate.RELAY:
                yield _no_way(access)


def _no_way(access: Access) -> str:
    begin = f"no path leads to {escaped(access.exit.name)}"
    if not access.in_the_way:
        return f"{begin} at present"
    reasons = [
        f"{escaped(each.name)} carries nobody else's connections, as {_why_no_relay(each)}"
        for each in access.in_the_way
    ]
    return f"{begin}: {some_of(reasons, apart='; ')}"


def _why_no_relay(agent: LinkedView) -> str:
    if agent.certificate.may_relay:
        return "its agent.relay is false, or it is leaving"
    return "its certificate does not let it relay"


def _denies(certificate: Certificate) -> str:
    return f"its certificate does not let it use the key: it may use {_patterns(certificate.may_use)}"


def _denies_offer(certificate: Certificate) -> str:
    return f"its certificate does not let it: it may offer {_patterns(certificate.may_register)}"


def _patterns(patterns: tuple[str, ...]) -> str:
    return some_of([repr(pattern) for pattern in patterns]) or "nothing"


def _until(certificate: Certificate) -> str:
    return f"(until {datetime.fromtimestamp(certificate.not_after, UTC):%Y-%m-%d})"


def _entry(by: str) -> str:
    if by.startswith(GROUP_PREFIX):
        return f"group {by.removeprefix(GROUP_PREFIX)!r}"
    return f"the ID {by}" if is_id(by) else f"the name {by!r}"
