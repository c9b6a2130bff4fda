"""The document from a real route snapshot, made of signed records."""

from typing import Any

import msgspec

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.document import DocumentEncoder, Page, routes_part
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.agent.disbelieved import disbelieved
from mesh.config.schema import Config, ForwardSection, ListenerSection
from mesh.routing.pairings import Pairing, Pairings, UnmatchedListener
from mesh.routing.record_reader import verify_record
from mesh.routing.records import EndpointEntry, ListenerEntry, Neighbour, Record, RecordBody, sign_record
from mesh.routing.routes import compute_routes
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance, short_id, verify_signature

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
    document = decoded(DocumentEncoder("1.2.3").encode(shown))
    assert document["agent"]["id"] == RELAY.id.hex()
    assert document["stats"]["route_count"] == 1
    assert document["forward_routes"] == [
        {
            "key": "api",
            "ingress_agent": "branch",
            "ingress_agent_id": short_id(BRANCH.id),
            "listener_address": "127.0.0.1:8001",
            "exit_agent": "hq",
            "exit_agent_id": short_id(HQ.id),
            "target": None,
            "hop_count": 2,
            "path_display": ["branch", "relay", "hq"],
            "path_ids": [short_id(BRANCH.id), short_id(RELAY.id), short_id(HQ.id)],
        }
    ]
    assert document["unmatched_listeners"] == document["unmatched_endpoints"] == []


def config_of(*agents: tuple[str, ...]) -> Config:
    """One listener for ``api`` for each, which believes these."""
    address = TcpAddress("127.0.0.1", 8001)
    sections = tuple(ListenerSection(key="api", address=address, agents=names) for names in agents)
    return Config(forward=ForwardSection(listeners=sections))


def test_an_own_listener_that_ignores_every_offer_is_no_route(snapshot: DashboardSnapshot):
    records = [
        record(BRANCH, "branch", (HQ,), listeners=(ListenerEntry("api", "127.0.0.1:8001"),)),
        record(HQ, "hq", (BRANCH,), endpoints=(EndpointEntry("api", None),)),
    ]
    routes = compute_routes(BRANCH.id, {one.agent_id: one for one in records}, max_hops=16, version=1)

    def shown(config: Config) -> tuple[int, list[str]]:
        reasons = disbelieved(config, routes)
        own = msgspec.structs.replace(snapshot, agent_id=BRANCH.id, routes=routes, disbelieved=reasons)
        document = decoded(DocumentEncoder("1.2.3").encode(own))
        reasons_shown = [entry["reason"] for entry in document["unmatched_listeners"]]
        return len(document["forward_routes"]), reasons_shown

    assert shown(config_of(("other",))) == (0, ["offered by hq, which is not in agents:"])
    assert shown(config_of(("other", "hq"))) == (1, [])
    assert shown(config_of((HQ.id.hex(),))) == (1, [])
    assert shown(config_of(("other",), ())) == (1, []), "one of its listeners believes all"


def test_what_the_list_of_routes_leaves_out_is_counted():
    assert routes_part(Pairings(left_out=1_000), (), (), Page())["forward_routes_left_out"] == 1_000


def decoded(document: dict[str, msgspec.Raw]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(document))


def test_routes_are_paired_and_encoded_once_for_each_snapshot(snapshot: DashboardSnapshot):
    encoder = DocumentEncoder("1.2.3")
    first = encoder.encode(snapshot)
    busier = msgspec.structs.replace(snapshot, name="renamed")
    again = encoder.encode(busier)
    assert all(again[field] is first[field] for field in ("forward_routes", "unmatched_listeners"))
    assert decoded(again)["agent"]["display_name"] == "renamed"
    records = {snapshot.agent_id: snapshot.routes.records[snapshot.agent_id]}
    emptied = msgspec.structs.replace(
        snapshot, routes=msgspec.structs.replace(snapshot.routes, records=records)
    )
    assert decoded(encoder.encode(emptied))["forward_routes"] == []
    assert decoded(encoder.encode(snapshot)) == decoded(first)


def test_a_listener_that_loses_its_port_is_encoded_with_the_same_routes(snapshot: DashboardSnapshot):
    encoder = DocumentEncoder("1.2.3")
    encoder.encode(snapshot)
    portless = UnmatchedListener("a", snapshot.agent_id, "branch", "127.0.0.1:80", "port taken")
    shown = decoded(encoder.encode(msgspec.structs.replace(snapshot, portless=(portless,))))
    assert "a" in [entry["key"] for entry in shown["unmatched_listeners"]]


def test_a_document_has_bounded_bytes_however_long_its_lists_are():
    def sizes(times: int) -> int:
        rows = tuple(
            Pairing(
                key=f"key-{number}",
                ingress_id=BRANCH.id,
                ingress_name="branch",
                listener_address=":1",
                exit_id=HQ.id,
                exit_name="hq",
                target=None,
                path_ids=(BRANCH.id, HQ.id),
                path_names=("branch", "hq"),
            )
            for number in range(100 * times)
        )
        return len(msgspec.json.encode(routes_part(Pairings(matched=rows), (), (), Page())))

    assert sizes(1_000) < 12 * sizes(1) < 1_000_000
