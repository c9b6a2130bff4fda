"""For all tests of actors: each ends its own; what one leaves behind is found there and not elsewhere."""

import pykka
import pytest


@pytest.fixture(autouse=True)
def no_actor_is_left():
    """A test that leaves actors behind fails itself, and no test after it."""
    yield
    left = pykka.ActorRegistry.get_all()
    for ref in left:
        pykka.ActorRegistry.unregister(ref)
    assert left == []
