"""The document from a real route snapshot, made of signed records."""

import msgspec

from mesh.agent.dashboard.document import PairingCache, dashboard_document
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.routing.pairings import Pairings
from mesh.routing.records import (
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    Record,
    RecordBody,
    sign_record,
    verify_record,
)
from mesh.routing.routes import compute_routes
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance, verify_signature

NOW = 1_700_000_000
AUTHORITY = Identity(b"\xaa" * 32)
BRANCH, RELAY, HQ = (Identity(bytes([number]) * 32) for number in (1, 2, 3))


def record(
    identity: Identity,
    name: str,
    neighbours: tuple[Identity, ...],
    endpoints: tuple[EndpointEntry, ...] = (),
    listeners: tuple[ListenerEntry, ...] = (),
) -> Record:
    certificate = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name=name,
        not_before=NOW,
        not_after=NOW + 1000,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
        may_manage=False,
    )
    body = RecordBody(
        public_key=identity.public_key,
        epoch=1,
        sequence=1,
        instance=Instance(bytes(16)),
        session_key=bytes(32),
        certificate=certificate,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=tuple(Neighbour(peer.id, 0) for peer in neighbours),
        endpoints=endpoints,
        listeners=listeners,
    )
    trust = TrustStore([AUTHORITY.public_key])
    return verify_record(sign_record(identity, body), body, trust, verify_signature, NOW)


def test_signed_records_become_pairings(snapshot: DashboardSnapshot):
    records = [
        record(BRANCH, "branch", (RELAY,), listeners=(ListenerEntry("api", "127.0.0.1:8001"),)),
        record(RELAY, "relay", (BRANCH, HQ)),
        record(HQ, "hq", (RELAY,), endpoints=(EndpointEntry("api", None),)),
    ]
    routes = compute_routes(RELAY.id, {one.agent_id: one for one in records}, max_hops=16, version=1)
    shown = msgspec.structs.replace(snapshot, agent_id=RELAY.id, name="relay", routes=routes)
    document = dashboard_document(shown, PairingCache().of(routes), "1.2.3")
    assert document["agent"]["id"] == RELAY.id.hex()
    assert document["stats"]["route_count"] == 1
    assert document["forward_routes"] == [
        {
            "key": "api",
            "ingress_agent": "branch",
            "ingress_agent_id": BRANCH.id.hex(),
            "listener_address": "127.0.0.1:8001",
            "exit_agent": "hq",
            "exit_agent_id": HQ.id.hex(),
            "target": None,
            "hop_count": 2,
            "path_display": ["branch", "relay", "hq"],
            "path_ids": [BRANCH.id.hex(), RELAY.id.hex(), HQ.id.hex()],
        }
    ]
    assert document["unmatched_listeners"] == document["unmatched_endpoints"] == []


def test_what_the_list_of_routes_leaves_out_is_counted(snapshot: DashboardSnapshot):
    pairings = Pairings(left_out=1_000)
    assert dashboard_document(snapshot, pairings, "1.2.3")["forward_routes_left_out"] == 1_000


def test_pairings_are_computed_once_for_each_snapshot(snapshot: DashboardSnapshot):
    cache = PairingCache()
    first = cache.of(snapshot.routes)
    assert cache.of(snapshot.routes) is first
    emptied = msgspec.structs.replace(
        snapshot.routes, records={snapshot.agent_id: snapshot.routes.records[snapshot.agent_id]}
    )
    assert cache.of(emptied).matched == ()
    assert cache.of(snapshot.routes) == first
