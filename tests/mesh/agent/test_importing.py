import gc
import sys

import pytest

from mesh.agent.importing import imported, importing


@pytest.fixture
def frozen(monkeypatch):
    """How often all that is there was left out of the search; what these tests run in has been already."""
    calls = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append(gc.isenabled()))
    return calls


def test_garbage_is_sought_afterwards_but_not_in_what_is_there(frozen):
    with importing():
        assert not gc.isenabled()
    assert frozen == [False]
    assert gc.isenabled()


def test_a_module_that_cannot_be_imported_leaves_it_on(frozen):
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()


def test_what_was_made_since_a_module_was_imported_is_garbage_like_any_other(frozen, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    module = imported("colorsys")
    assert imported("colorsys") is module
    assert len(frozen) == 1
