"""Settings that are right by themselves and cannot work together."""

from pathlib import Path

import msgspec
import pytest

from mesh.addresses import TcpAddress
from mesh.agent.mixups import config_notices, key_mixups
from mesh.config.schema import (
    Config,
    ConnectionsSection,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
    TrustSection,
)
from mesh.trust.identity import Identity, encode_public_key
from tests.mesh.agent.test_grants import certificate

AUTHORITY, OWN = Identity(b"a" * 32), Identity(b"o" * 32)
ADDRESS = TcpAddress("127.0.0.1", 6000)


def trusting(*authorities):
    return TrustSection(authorities=authorities, certificate=Path("agent.cert"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (b"a" * 32, "that is the authority's private key; expected its public key"),
        (b"o" * 32, "that is this agent's own private key"),
        (OWN.public_key, "that is this agent's own public key"),
    ],
)
def test_a_key_of_another_kind_among_the_authorities_is_told(key, said):
    signed = msgspec.structs.replace(certificate(), authority=AUTHORITY.public_key)
    config = Config(trust=trusting(AUTHORITY.public_key, key))
    (line,) = key_mixups(config, signed, OWN.public_key)
    assert line.startswith(f"trust.authorities[1]: {said}")
    assert encode_public_key(b"a" * 32) not in line, "what is secret is not repeated"


def test_authorities_public_keys_are_fine():
    signed = msgspec.structs.replace(certificate(), authority=AUTHORITY.public_key)
    config = Config(trust=trusting(AUTHORITY.public_key, Identity(b"b" * 32).public_key))
    assert list(key_mixups(config, signed, OWN.public_key)) == []


def forward(offered=(), used=()):
    return ForwardSection(
        endpoints=tuple(EndpointSection(key=key, target=ADDRESS) for key in offered),
        listeners=tuple(ListenerSection(key=key, address=ADDRESS) for key in used),
    )


def test_a_mesh_configuration_without_a_way_in_or_out_is_told():
    (line,) = config_notices(Config(forward=forward(offered=("db",), used=("api", "web"))))
    assert "no way out: listeners of 'api', 'web', and no way in: endpoints of 'db'" in line
    (line,) = config_notices(Config(trust=trusting(AUTHORITY.public_key)))
    assert "no way in or out, though it has trust" in line


def test_an_agent_that_serves_itself_alone_or_dials_is_as_it_should_be():
    both = forward(offered=("db",), used=("db",))
    assert config_notices(Config(forward=both)) == ()
    dialing = Config(forward=forward(used=("api",)), peers=(PeerSection(address=ADDRESS),))
    assert config_notices(dialing) == ()


@pytest.mark.parametrize(("timeout_s", "lines"), [(2.5, 1), (3.0, 0)])
def test_connections_that_are_given_up_before_they_can_move_are_told(timeout_s, lines):
    found = config_notices(Config(connections=ConnectionsSection(reroute_timeout_s=timeout_s)))
    assert len(found) == lines
    assert all("connections.reroute_timeout: 2.5s" in line for line in found)
