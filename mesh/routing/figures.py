"""The figures of a route table, gathered from its parts."""

from mesh.routing.database import LinkState
from mesh.routing.effects import RouteCounts
from mesh.routing.page_table import PageTable
from mesh.routing.peers import Peers
from mesh.routing.revocation_intake import RevocationIntake
from mesh.routing.route_computation import RouteComputation


def route_counts(
    link_state: LinkState,
    *,
    peers: Peers,
    pages: PageTable,
    routes: RouteComputation,
    revocations: RevocationIntake,
    issued: int,
) -> RouteCounts:
    """As of now; ``issued`` own records have been signed."""
    counts, lists = link_state.counts, revocations.counts
    return RouteCounts(
        agents=len(link_state),
        links=len(peers),
        records_originated_total=issued,
        records_stored_total=counts.stored,
        records_duplicate_total=counts.duplicate,
        records_older_total=counts.older,
        records_aged_total=counts.aged,
        records_early_total=counts.early,
        records_early_dropped_total=counts.early_dropped,
        records_twin_total=counts.twin,
        records_refused_offence_total=counts.refused_offence,
        records_refused_certificate_total=counts.refused_certificate,
        records_refused_clock_total=counts.refused_clock,
        records_refused_full_total=counts.refused_full,
        records_expired_total=counts.expired,
        agents_revoked=len(revocations.trust.revocations),
        revocation_lists_missing=revocations.missing,
        revocation_lists_taken_total=lists.taken,
        revocation_lists_known_total=lists.known,
        revocation_lists_early_total=lists.early,
        revocation_lists_ahead_total=lists.ahead,
        revocation_lists_refused_total=lists.refused,
        pages_missing=pages.missing,
        pages_taken_total=pages.taken,
        pages_unnamed_total=pages.unnamed,
        routes_computed_total=routes.computed,
    )
