"""Scenes of connections, each with its own world."""

import pytest

from tests.actors.connections.both_ends_company import Ends
from tests.actors.connections.end_company import EXIT, OTHER_EXIT
from tests.actors.connections.exit_company import Answering
from tests.actors.connections.ingress_company import Opening


@pytest.fixture
def no_crashes(caplog):
    """No actor may crash, for modules in which none is made to."""
    yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


@pytest.fixture
def ends():
    """Both ends of an open connection; the programs leave their sockets open."""
    ends = Ends().open()
    ends.client.closes_at_end = ends.target.closes_at_end = False
    yield ends
    ends.world.stop()


@pytest.fixture
def scene():
    """An exit that has got an OPEN."""
    scene = Answering()
    yield scene
    scene.world.stop()


@pytest.fixture
def one():
    """An ingress with one candidate."""
    scene = Opening(EXIT)
    yield scene
    scene.world.stop()


@pytest.fixture
def two():
    """An ingress with two candidates."""
    scene = Opening(EXIT, OTHER_EXIT)
    yield scene
    scene.world.stop()
