"""What the runtime's tests share: a dispatcher on a thread, and ways to wait that are not sleeps."""

from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.registry import install_ordered_registry
from tests.actors.runtime.socket_contract import PLACES, Pair, Side, make_pair

LIMIT_S = 10.0
"""Only a broken test waits this long."""


@pytest.fixture(autouse=True)
def _ordered_registry() -> None:
    install_ordered_registry()


@pytest.fixture
def dispatcher() -> Iterator[LoopDispatcher]:
    dispatcher = LoopDispatcher()
    dispatcher.start()
    yield dispatcher
    assert dispatcher.stop(LIMIT_S)
    assert pykka.ActorRegistry.get_all() == []


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param() as made:
        yield made


@pytest.fixture
def near(place: Any) -> Side:
    return Side(place, place.near)


@pytest.fixture
def far(place: Any) -> Side:
    return Side(place, place.far)


@pytest.fixture
def pair(place: Any, near: Side, far: Side) -> Pair:
    return make_pair(place, near, far)
