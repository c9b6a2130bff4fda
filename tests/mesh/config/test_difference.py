"""What a new configuration changes in a running agent, and what it names as waiting for the next start."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.addresses import TcpAddress
from mesh.config.difference import LIVE, NOTHING, SERVICES, applied, difference, is_live
from mesh.config.loading import schema_keys
from mesh.config.schema import (
    AcceptSection,
    AgentSection,
    Config,
    ConnectionsSection,
    EndpointSection,
    ForwardSection,
    HttpSection,
    LimitsSection,
    ListenerSection,
    LoggingSection,
    PeerSection,
    RoutingSection,
    TrustSection,
)
from mesh.config.services import services
from mesh.trust.identity import AgentId

AT_START = {
    "agent.data_dir",
}
"""Every other key takes effect while the agent runs: a new one is to be put on one side or the other."""

ports = st.integers(0, 3)
addresses = st.builds(TcpAddress, st.just("127.0.0.1"), ports)
counts = st.integers(0, 2)
keys = st.sampled_from("abc")


def unique(strategy, by):
    return st.lists(strategy, max_size=4, unique_by=by).map(tuple)


configs = st.builds(
    Config,
    agent=st.builds(
        AgentSection, name=keys, relay=st.booleans(), drain_timeout_s=st.sampled_from([1.0, 2.0])
    ),
    trust=st.none() | st.builds(TrustSection, authorities=st.just((b"a" * 32,)), certificate=keys),
    accept=unique(st.builds(AcceptSection, address=addresses), lambda each: each.address.port or id(each)),
    peers=unique(
        st.builds(
            PeerSection,
            address=st.builds(TcpAddress, st.just("relay"), st.integers(1, 3)),
            id=st.none() | st.just(AgentId(bytes(16))),
        ),
        lambda each: each.address,
    ),
    forward=st.builds(
        ForwardSection,
        endpoints=unique(
            st.builds(EndpointSection, key=keys, target=addresses, max_connections=counts),
            lambda each: each.key,
        ),
        listeners=unique(
            st.builds(ListenerSection, key=keys, address=addresses, max_connections=counts),
            lambda each: each.address.port or id(each),
        ),
    ),
    http=st.none() | st.builds(HttpSection, address=addresses),
    connections=st.builds(ConnectionsSection, timeout_s=st.sampled_from([1.0, 3.0])),
    routing=st.builds(RoutingSection, max_hops=st.integers(1, 2)),
    limits=st.builds(LimitsSection, pending_opens=st.integers(1, 2), stream_buffer_bytes=st.integers(1, 2)),
    logging=st.builds(LoggingSection, level=st.sampled_from(["info", "debug"])),
)


@given(configs, configs)
def test_what_is_carried_out_makes_the_services_of_the_one_into_those_of_the_other(before, after):
    made = difference(before, after)
    found = dict(services(before))
    for name in made.removed:
        del found[name]
    for name, section in made.changed.items():
        assert found[name] != section
        found[name] = section
    for name, section in made.added.items():
        assert name not in found
        found[name] = section
    assert found == dict(services(after))


@given(configs, configs)
def test_what_waits_for_the_start_is_told_again_and_all_else_is_done(before, after):
    made = difference(before, after)
    running = applied(before, after)
    again = difference(running, after)
    assert again == msgspec.structs.replace(NOTHING, at_start=made.at_start)
    assert difference(before, running) == msgspec.structs.replace(made, at_start=())


@given(configs)
def test_a_configuration_does_not_differ_from_itself(config):
    assert difference(config, config) == NOTHING
    assert NOTHING.is_empty


def test_every_key_is_a_services_is_live_or_is_named_here():
    leaves = [key for key in schema_keys() if not any(other.startswith(f"{key}.") for other in schema_keys())]
    others = {key.replace("[]", "") for key in leaves if key.partition(".")[0].strip("[]") not in SERVICES}
    assert {key for key in others if not is_live(key)} == AT_START
    assert {key.replace("[]", "") for key in schema_keys()} >= LIVE


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        (Config(), Config(http=HttpSection()), "http"),
        (Config(), Config(trust=TrustSection(authorities=(), certificate="c")), "trust"),
        (Config(), Config(logging=LoggingSection(format="json")), "logging.format"),
        (Config(), Config(agent=AgentSection(drain_timeout_s=1.0)), "agent.drain_timeout"),
    ],
)
def test_keys_are_named_as_in_the_file(before, after, path):
    made = difference(before, after)
    assert (*made.live, *made.at_start) == (path,)
