"""Writes down who is revoked from now on."""

from mesh.auditing import Auditing, AuditKind
from mesh.trust.identity import display_id
from mesh.trust.revocations import Revocations


def note_revoked(audit: Auditing, before: Revocations, now: Revocations) -> None:
    """Write down whom ``now`` has and ``before`` had not."""
    for each in now:
        if not before.has(each):
            said, agent_id = each.revocation, display_id(each.agent_id)
            facts = {"agent": said.name, "id": agent_id, "by": each.by, "reason": said.reason}
            audit.note(AuditKind.REVOKED, facts)
