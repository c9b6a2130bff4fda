"""The descriptor limit is raised as far as it goes, and never lowered."""

import resource
from collections.abc import Iterator

import pytest

from actors.runtime.descriptors import raise_descriptor_limit, small_part


@pytest.fixture(autouse=True)
def _limit_restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_becomes_the_hard_one():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
    assert raise_descriptor_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert raise_descriptor_limit() == hard


@pytest.mark.parametrize("error", [ValueError("not allowed to raise maximum limit"), PermissionError()])
def test_a_system_that_refuses_keeps_its_limit(monkeypatch: pytest.MonkeyPatch, error: Exception):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def refuse(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda _: (hard - 1, hard))
        patch.setattr(resource, "setrlimit", refuse)
        assert raise_descriptor_limit() == hard - 1
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


@pytest.mark.parametrize(
    ("limit", "places"),
    [(resource.RLIM_INFINITY, 1024), (1_048_576, 1024), (16_384, 1024), (4096, 256), (1024, 64), (8, 1)],
)
def test_who_comes_from_anywhere_holds_no_large_part_of_the_descriptors(limit: int, places: int):
    assert small_part(1024, limit) == places
