"""The example configurations load."""

from pathlib import Path

import pytest

from mesh.config import ConfigError, load_config
from mesh.trust.identity import Identity, encode_public_key

EXAMPLES = Path(__file__).parents[3] / "config"
NAMES = ("branch", "relay", "hq")
AUTHORITY = Identity(bytes(32)).public_key


def load(name, **environment):
    return load_config(EXAMPLES / f"{name}.yaml", environment=environment, host_name="host")


def test_every_example_of_an_agent_has_a_test():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_loads(name):
    config = load(name, MESH_AUTHORITY=encode_public_key(AUTHORITY))
    assert config.agent.name == name
    assert config.trust.authorities == (AUTHORITY,)
    assert config.trust.certificate == EXAMPLES / f"{name}.cert"
    assert config.agent.data_dir == EXAMPLES / "data" / name
    assert config.trust.certificate.is_absolute()


def test_the_examples_fit_together():
    branch, relay, hq = (load(name, MESH_AUTHORITY=encode_public_key(AUTHORITY)) for name in NAMES)
    assert branch.forward.listeners[0].key == hq.forward.endpoints[0].key
    assert branch.peers == hq.peers
    assert branch.peers[0].address.port == relay.accept[0].address.port


def test_an_example_says_what_it_lacks():
    with pytest.raises(ConfigError, match="MESH_AUTHORITY to be set"):
        load("branch")
