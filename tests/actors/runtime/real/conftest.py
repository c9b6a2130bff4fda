"""What tests on the real kernel share."""

import pytest

from actors.runtime.real.loop import LoopDispatcher
from tests.actors.runtime.real.driver import Driver


@pytest.fixture
def driver(dispatcher: LoopDispatcher) -> Driver:
    return Driver(dispatcher)
