"""``GET /metrics`` of real processes."""

import time
from http import HTTPStatus

from prometheus_client.parser import text_string_to_metric_families

from mesh.agent.dashboard.metrics import EXPOSED_AS
from mesh.agent.dashboard.single_flight import FRESH_S
from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo


def test_metrics_have_the_figures_of_the_dashboard(chain):
    status, body = chain.relay.get("/metrics")
    assert status == HTTPStatus.OK
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    stats = chain.relay.stats()
    shown_as = {name: f"mesh_{EXPOSED_AS.get(name, name)}" for name in stats}
    assert set(shown_as.values()) <= samples.keys()
    for name in ("peer_count", "route_count", "links_refused_total"):
        assert samples[shown_as[name]] == stats[name]


def samples_of(agent):
    """The value of every series of an agent, by name and labels."""
    _, body = agent.get("/metrics")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_metrics_have_what_a_key_and_a_peer_carry(chain):
    def carried(agent, end):
        key = [("direction", "to_service"), ("end", end), ("key", chain.KEY)]
        opened = [("end", end), ("key", chain.KEY)]
        found = samples_of(agent)
        bytes_, opened_ = (
            found[("mesh_key_bytes_total", *key)],
            found[("mesh_key_opening_seconds_count", *opened)],
        )
        return bytes_, opened_, found[("mesh_key_open_connections", *opened)]

    branch, relay, hq = chain.agents
    ends = ((branch, "ingress"), (hq, "exit"))
    before = [carried(*each) for each in ends]
    with Service(echo, port=chain.target_port), connect(chain.port) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
        time.sleep(FRESH_S)
        for each, (bytes_, opened, _) in zip(ends, before, strict=True):
            assert carried(*each) == (bytes_ + 5, opened + 1, 1)
    shown = samples_of(relay)
    assert not any(name.startswith("mesh_key_") for name, *_ in shown), "the relay has no key of its own"
    for agent in (branch, hq):
        peer = [("peer", agent.name), ("peer_id", agent.id)]
        assert shown[("mesh_peer_connected", *peer)] == 1
        assert shown[("mesh_peer_forwarded_bytes_total", *peer)] > 0
        for direction in ("sent", "received"):
            assert shown[("mesh_peer_bytes_total", ("direction", direction), *peer)] > 0
    assert samples_of(branch)[("mesh_ready",)] == 1
    listener = [("address", f"{LOOPBACK}:{chain.port}"), ("key", chain.KEY)]
    assert samples_of(branch)[("mesh_listener_open", *listener)] == 1
    assert samples_of(hq)[("mesh_endpoint_offered", ("key", chain.KEY))] == 1
