"""The scene of a link, with its own world."""

import pytest

from tests.actors.links.link_company import LinkScene


@pytest.fixture
def scene(caplog):
    """A link, all around which only listen; no actor may crash."""
    scene = LinkScene()
    yield scene
    scene.world.stop()
    assert [record for record in caplog.get_records("call") if record.exc_info] == []
