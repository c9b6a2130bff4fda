"""``/api/v1/authorities`` and ``renewals``: whom this agent trusts, who depends on that, and renewing now."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from mesh.agent.control.authority_rows import AuthorityRow, RenewedRow, SignedRow
from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import Page, Window, page_of
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import AUTHORITIES, RENEWALS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.agent.enrolment.asking import NotGrantedError
from mesh.trust.certificates import MAX_NAME_CHARACTERS, Certificate, issuer_of
from mesh.trust.identity import display_id, encode_public_key

MAX_NAMES: Final = 64
"""Agents that are named of each signer."""

MAX_SIGNERS: Final = 256
"""Issuers that are told of each authority."""

REFUSED: Final = frozenset({HTTPStatus.CONFLICT})


class RenewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a certificate is to be renewed."""

    issuer: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)] = ""
    """Name or ID of the issuer that is to sign; any if absent."""


def authority_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells of authorities, and has the agent renew its certificate."""

    def authorities(call: Call[Window, Nothing]) -> Page[AuthorityRow]:
        """List the authorities that this agent trusts, and which agents have certificates of each.

        An authority that has signed nobody any more can be taken out of ``trust.authorities``. Agents that
        have been away for longer than ``routing.route_ttl`` are not counted.
        """
        answer = behind.status()
        return page_of(tuple(_rows(answer.value)), call.parameters, answer.age_s)

    def renew(call: Call[Nothing, RenewRequest]) -> RenewedRow:
        """Renew the agent's certificate now, through an issuer, with the same name and rights.

        Links and connections stay.
        """
        try:
            found = behind.renew(call.body.issuer)
        except NotGrantedError as refused:
            raise ProblemError(HTTPStatus.CONFLICT, f"not renewed: {refused}") from None
        issuer = issuer_of(found)
        return RenewedRow(
            agent=found.name,
            issuer="" if issuer is None else issuer.name,
            authority=encode_public_key(found.authority),
            not_after=found.not_after,
        )

    return (
        Route(Method.GET, AUTHORITIES, authorities, stamp=behind.stamp),
        Route(Method.POST, RENEWALS, renew, problems=REFUSED, changes=True, waits=True),
    )


def _rows(snapshot: DashboardSnapshot) -> Iterator[AuthorityRow]:
    signed: defaultdict[bytes, list[Certificate]] = defaultdict(list)
    for record in snapshot.routes.records.values():
        signed[record.certificate.authority].append(record.certificate)
    own = snapshot.routes.records[snapshot.agent_id].certificate.authority
    for authority in sorted(snapshot.authorities | signed.keys()):
        yield AuthorityRow(
            authority=encode_public_key(authority),
            is_own=authority == own,
            agents=len(signed[authority]),
            signed=tuple(_signed(signed[authority]))[:MAX_SIGNERS],
        )


def _signed(certificates: list[Certificate]) -> Iterator[SignedRow]:
    of: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for each in certificates:
        issuer = issuer_of(each)
        signer = ("", "") if issuer is None else (issuer.name, display_id(issuer.agent_id))
        of[signer].append(each.name)
    for (name, issuer_id), names in sorted(of.items()):
        yield SignedRow(issuer_id or None, name or None, len(names), tuple(sorted(names)[:MAX_NAMES]))
