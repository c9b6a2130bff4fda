"""For all tests: how many examples are tried, and no search for garbage in what pytest itself holds."""

import gc

from tests.examples import register_profiles

pytest_plugins = ["tests.api_conformance", "tests.lab_meshes"]

register_profiles()


def pytest_collection():
    """What is made for each of thousands of tests lives on: a quarter of the time goes into looking."""
    gc.disable()


def pytest_collection_finish():
    """Thousands of collected tests live until the end: no full collection need walk through them all."""
    gc.enable()
    gc.collect()
    gc.freeze()
