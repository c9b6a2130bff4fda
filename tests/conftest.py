"""For all tests: their order, no time limit on an example, and no search for garbage in what pytest holds."""

import gc

import hypothesis
import pytest

pytest_plugins = ["tests.lab_meshes"]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)  # once it is known which of them are system tests
def pytest_collection_modifyitems(items):
    """System tests first: they wait a lot, and others can use the time; few tests take as long."""
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


def pytest_collection_finish():
    """Thousands of collected tests live until the end: no full collection need walk through them all."""
    gc.collect()
    gc.freeze()
