"""Meshes of real processes for tests: each ends with its test, and logs go with the report of a failure."""

import pytest

from scripts.lab.meshes import Mesh, complaints
from scripts.lab.processes import tail

MESHES = pytest.StashKey()
"""Meshes whose logs belong to the report of a test."""

FAILED = pytest.StashKey()
"""Set once a phase of a test has failed."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for mesh in item.stash.get(MESHES, ()):
            for name, log in mesh.logs():
                report.sections.append((f"log of agent {name}", tail(log)))
    return report


@pytest.fixture
def rough_mesh(request, tmp_path):
    """An empty mesh for one test, whose agents may crash."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    mesh = Mesh(folder)
    request.node.stash.setdefault(MESHES, []).append(mesh)
    try:
        yield mesh
    finally:
        mesh.close()


@pytest.fixture
def mesh(rough_mesh):
    """An empty mesh for one test, which makes its agents; none may crash."""
    yield rough_mesh
    assert complaints(rough_mesh) == []
