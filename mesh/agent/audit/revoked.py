"""Writes down who is revoked from now on, and who is no more."""

from typing import Final

from mesh.auditing import AuditFact, Auditing, AuditKind
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import display_id
from mesh.trust.revocations import Revocations, Revoked

ISSUERS_BURST: Final = 1_200
ISSUERS_RATE: Final = 0.1
"""Entries at once, those of the longest list, and a second, that all issuers may cause. One may name whom it
likes, and others twice a second: it is not to fill the files. What an authority says is always written."""


class RevokedNotes:
    """Those of one agent.

    Args:
        audit: where they are written.
    """

    def __init__(self, audit: Auditing) -> None:
        self._audit = audit
        self._issuers = TokenBucket(ISSUERS_RATE, ISSUERS_BURST)
        self._left_out = 0

    def note(self, before: Revocations, after: Revocations, now: float) -> None:
        """Write down whom only one of the two has; ``now`` is monotonic seconds."""
        for each in after:
            if not before.has(each):
                self._note(AuditKind.REVOKED, each, now)
        for each in before:
            if not after.has(each):
                self._note(AuditKind.LIFTED, each, now)

    def _note(self, kind: AuditKind, one: Revoked, now: float) -> None:
        if one.by_issuer and not self._issuers.take(now):
            self._left_out += 1
            return
        said, agent_id = one.revocation, display_id(one.agent_id)
        facts: dict[str, AuditFact] = {
            "agent": said.name,
            "id": agent_id,
            "by": one.by,
            "reason": said.reason,
        }
        if one.by_issuer and self._left_out:
            facts["left_out"], self._left_out = self._left_out, 0
        self._audit.note(kind, facts)
