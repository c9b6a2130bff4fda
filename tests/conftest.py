"""For all tests: what pytest itself holds is not searched for garbage, over and over."""

import gc


def pytest_collection_finish():
    """Thousands of collected tests live until the end: no full collection need walk through them all."""
    gc.collect()
    gc.freeze()
