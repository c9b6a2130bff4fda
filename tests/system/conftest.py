"""Meshes for system tests. Every process ends with its test; logs go with the report of a failure."""

import pytest

from scripts.lab.clients import connect, read_exactly
from scripts.lab.meshes import Mesh, complaints
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo
from tests.lab_meshes import FAILED, MESHES
from tests.system.siege import besieged


def pytest_collection_modifyitems(items):
    # The longest stand apart: each worker begins with a stretch of this order, and one would have them all.
    trials = [item for item in items if item.path.name == "test_trials.py"]
    others = [item for item in items if item.path.name != "test_trials.py"]
    apart = -(-len(others) // max(1, len(trials)))
    for number, trial in enumerate(trials):
        others.insert(number * (apart + 1), trial)
    items[:] = others
    for item in items:
        if "tests/system/" in item.path.as_posix():
            item.add_marker(pytest.mark.system)


class Chain:
    """branch - relay - hq, with a key whose target port is free for each test to serve."""

    KEY = "service"

    def __init__(self, folder):
        self.mesh = Mesh(folder)
        self.branch, self.relay, self.hq = self.agents = self.mesh.chain("branch", "relay", "hq")
        self.relay.config["limits"] = {"unauthenticated_links": 64}  # so that a test can take them all
        self.target_port = self.mesh.ports.reserve()
        self.hq.offer(self.KEY, f"{LOOPBACK}:{self.target_port}")
        self.port = self.branch.listen(self.KEY)
        self.baseline = {}

    def start(self):
        self.mesh.start()
        route = self.branch.wait_for_route(self.KEY)
        assert route["hop_count"] == 2
        for agent in self.agents:
            agent.get("/ready")  # the thread that answers it starts with the first question
        with Service(echo, port=self.target_port), connect(self.port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"  # from now on a connection stands by for the next client
        for agent in self.agents:
            agent.wait_until_quiet()
        self.baseline = {agent.name: agent.usage() for agent in self.agents}

    def wait_until_quiet(self):
        """Nothing that a test used is left: connections, actors, descriptors, threads."""
        for agent in self.agents:
            agent.wait_until_quiet(self.baseline[agent.name])


@pytest.fixture(scope="session")
def shared_chain(tmp_path_factory):
    """Holds the chain that tests share; after a failure it is thrown away and the next test makes another."""
    holder = []

    def get(meshes):
        if holder:
            meshes.append(holder[0].mesh)
        else:
            chain = Chain(tmp_path_factory.mktemp("chain"))
            holder.append(chain)
            meshes.append(chain.mesh)
            chain.start()
        return holder[0]

    def discard():
        while holder:
            holder.pop().mesh.close()

    get.discard = discard
    yield get
    discard()


@pytest.fixture
def chain(request, shared_chain):
    """Three agents in a row, used by many tests: each must leave them as it found them."""
    stash = request.node.stash
    try:
        chain = shared_chain(stash.setdefault(MESHES, []))
        yield chain
        if not stash.get(FAILED, False):
            chain.wait_until_quiet()
            assert complaints(chain.mesh) == []
    except BaseException:
        stash[FAILED] = True
        raise
    finally:
        if stash.get(FAILED, False):
            shared_chain.discard()


@pytest.fixture
def relay(chain):
    """The relay of the chain, under load and watched while a test attacks it."""
    with besieged(chain) as relay:
        yield relay
