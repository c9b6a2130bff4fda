"""Errors as the kernel would raise them."""

import os


def os_error(number: int) -> OSError:
    """The error that the kernel would raise; Python picks the subclass by the number."""
    return OSError(number, os.strerror(number))
