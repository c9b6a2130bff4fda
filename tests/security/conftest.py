"""Meshes to be attacked. Every process ends with its test; logs go with the report of a failure."""

import pytest

from scripts.lab.meshes import Mesh, complaints
from scripts.lab.processes import tail
from tests.security.chains import Chain

MESHES = pytest.StashKey()
"""Meshes whose logs belong to the report of a test."""
REAL = {"mesh", "shared_chain", "tapped", "thieves", "long_way", "served"}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/security/" in item.path.as_posix() and REAL & set(item.fixturenames):
            item.add_marker(pytest.mark.system)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for mesh in item.stash.get(MESHES, ()):
            for name, log in mesh.logs():
                report.sections.append((f"log of agent {name}", tail(log)))
    return report


@pytest.fixture
def mesh(request, tmp_path):
    """An empty mesh for one test; none of its agents may crash."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    mesh = Mesh(folder)
    request.node.stash.setdefault(MESHES, []).append(mesh)
    try:
        yield mesh
    finally:
        mesh.close()
    assert complaints(mesh) == []


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
