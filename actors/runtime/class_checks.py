"""What Python's ``abc`` does for each class that it makes: those that are compiled are made without it."""

from _abc import _abc_init  # type: ignore[import-not-found]


def checks_for_itself(cls: type) -> None:
    """Give ``cls`` what ``isinstance`` and ``issubclass`` look into.

    Else that is of the class that it derives from, and they take any actor for one of ``cls``. Once more does
    no harm.
    """
    _abc_init(cls)
