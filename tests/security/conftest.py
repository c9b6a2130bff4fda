"""Meshes to be attacked. Every process ends with its test; logs go with the report of a failure."""

import pytest

from scripts.lab.meshes import Mesh, complaints
from tests.lab_meshes import MESHES
from tests.security.chains import Chain

REAL = {"mesh", "company", "shared_chain", "tapped", "thieves", "long_way", "served"}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/security/" in item.path.as_posix() and REAL & set(item.fixturenames):
            item.add_marker(pytest.mark.system)


@pytest.fixture
def fresh_chain(mesh):
    """Branch - relay - hq, for one test, which starts them."""
    chain = Chain(mesh)
    try:
        yield chain
    finally:
        chain.service.stop_listening()


@pytest.fixture(scope="session")
def shared_chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    chain = Chain(Mesh(folder))
    try:
        yield chain.start()
    finally:
        chain.close()


@pytest.fixture
def chain(request, shared_chain):
    """Branch - relay - hq, which run; tests share them, and leave them as they were."""
    request.node.stash.setdefault(MESHES, []).append(shared_chain.mesh)
    shared_chain.branch.wait_for_route("svc")
    yield shared_chain
    assert complaints(shared_chain.mesh) == []
    assert all(agent.is_running for agent in shared_chain.agents)
