"""Whether an end of a connection has to refuse or break it off, by what is known of the other end's agent.

Both ends ask when a connection opens, and again whenever a certificate or this agent's configuration changes:
what was taken away ends open connections, too.
"""

from types import MappingProxyType
from typing import Final

from mesh.connection.reserved import CONTROL, ENROL, is_reserved, read_reserved
from mesh.escaping import escaped
from mesh.trust.certificates import Certificate
from mesh.trust.policy import NOBODY_NAMED, Finding, Gate, Policy, at_exit, at_ingress, listed, shut

NO_MANAGING: Final = "the ingress's certificate does not let it manage other agents"

INVITATION_ONLY: Final = "the ingress has an invitation, which is good for mesh:enrol only"

WHY: Final = MappingProxyType(
    {
        Gate.USE: "the ingress's certificate does not permit the use of this key",
        Gate.ALLOW: "this endpoint's allow: does not name {}",
        Gate.REGISTER: "the certificate of {} does not permit it to offer this key",
        Gate.AGENTS: "the listener's agents: does not name {}",
    }
)
"""What is said where a gate is shut, with the other agent's name."""


def why_not_at_exit(ingress: Certificate, key: str, policy: Policy) -> str:
    """Why the exit may not serve ``ingress`` under ``key``; empty if it may.

    Of a reserved key, what counts is the key that it speaks of, and the right to manage where it takes that.
    """
    if is_reserved(key):
        reserved = read_reserved(key)
        if reserved.service == CONTROL and not ingress.may_manage:
            return NO_MANAGING
        if ingress.is_invitation and reserved.service != ENROL:
            return INVITATION_ONLY
        key = reserved.subject
        if not key:
            return ""
    return _why(ingress, shut(at_exit(ingress, key, policy.allowed.get(key, NOBODY_NAMED))))


def why_not_allowed(ingress: Certificate, key: str, policy: Policy) -> str:
    """Why the endpoint of ``key`` does not let in ``ingress``, who may use the key; empty if it does."""
    allowed = policy.allowed.get(key)
    if allowed is None:
        return ""
    finding = listed(Gate.ALLOW, allowed, ingress)
    return "" if finding.is_open else _why(ingress, finding)


def why_not_at_ingress(exit_: Certificate, key: str, listener: str, policy: Policy) -> str:
    """Why the ingress may not be served by ``exit_`` for clients of ``listener``; empty if it may.

    What an agent serves by itself it needs no right to offer.
    """
    believed = policy.believed.get(listener, NOBODY_NAMED)
    if is_reserved(key) or (not believed and exit_.allows_register(key)):  # as for most connections
        return ""
    return _why(exit_, shut(at_ingress(exit_, key, believed)))


def _why(other: Certificate, finding: Finding | None) -> str:
    return "" if finding is None else WHY[finding.gate].format(escaped(other.name))
