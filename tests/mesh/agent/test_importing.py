import gc

import pytest

from mesh.agent.importing import importing


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
