"""For all tests: no time limit on an example, and no search for garbage in what pytest itself holds."""

import gc

import hypothesis

pytest_plugins = ["tests.api_conformance", "tests.lab_meshes"]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection():
    """What is made for each of thousands of tests lives on: a quarter of the time goes into looking."""
    gc.disable()


def pytest_collection_finish():
    """Thousands of collected tests live until the end: no full collection need walk through them all."""
    gc.enable()
    gc.collect()
    gc.freeze()
