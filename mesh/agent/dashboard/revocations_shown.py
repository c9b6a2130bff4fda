"""Revocations as the document shows them."""

from collections.abc import Sequence

from mesh.agent.findings import time_of
from mesh.trust.identity import display_id
from mesh.trust.revocations import Revocations, Revoked, signer_of


def newest_first(revocations: Revocations) -> tuple[Revoked, ...]:
    """All of them, for people."""
    return tuple(
        sorted(
            revocations, key=lambda each: (-each.revocation.revoked_at, each.revocation.name, each.agent_id)
        )
    )


def revocations_shown(revoked: Sequence[Revoked]) -> list[dict[str, object]]:
    """Who was revoked, by whom, when and why, for a JSON encoder."""
    return [
        {
            "agent": each.revocation.name,
            "agent_id": display_id(each.agent_id),
            "since": time_of(each.revocation.revoked_at),
            "by": each.by,
            "reason": each.revocation.reason,
        }
        for each in revoked
    ]


def lists_shown(revocations: Revocations) -> list[dict[str, object]]:
    """The newest list of each signer, for a JSON encoder."""
    return [
        {
            "by": signer_of(each.read),
            "signed": time_of(each.read.number / 1000),
            "revoked": len(each.read.revoked),
        }
        for each in revocations.lists.values()
    ]
