"""For all tests: which are left out, how many examples are tried, and no garbage sought in pytest itself."""

import gc

import pytest

from mesh.agent.software import Build, software_build
from tests.examples import register_profiles

pytest_plugins = ["tests.api_conformance", "tests.lab_meshes"]

register_profiles()


def pytest_collection():
    """What is made for each of thousands of tests lives on: a quarter of the time goes into looking."""
    gc.disable()


def pytest_collection_modifyitems(items):
    """Leave out what patches constants and methods that are compiled into those who use them."""
    if software_build() is Build.COMPILED:
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="the core is compiled"))


def pytest_collection_finish():
    """Thousands of collected tests live until the end: no full collection need walk through them all."""
    gc.enable()
    gc.collect()
    gc.freeze()
