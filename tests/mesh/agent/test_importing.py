import gc
import sys

import pytest

from mesh.agent.importing import imported, importing


@pytest.fixture(autouse=True)
def _thaw():
    yield
    gc.unfreeze()


def test_garbage_is_sought_afterwards_but_not_in_what_is_there():
    with importing():
        assert not gc.isenabled()
        made = []
    assert gc.isenabled()
    assert not any(each is made for each in gc.get_objects())


def test_a_module_that_cannot_be_imported_leaves_it_on():
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()


def test_a_module_is_imported_once_and_what_was_made_since_is_garbage_like_any_other(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    module = imported("colorsys")
    assert gc.get_freeze_count()
    gc.unfreeze()
    assert imported("colorsys") is module
    assert not gc.get_freeze_count()
