"""Standard input, output and error, where one of them is missing."""

import os
import sys
from typing import Final

STANDARD_DESCRIPTORS: Final = range(3)


def complete_standard_streams() -> None:
    """Let those that are closed lead to ``/dev/null``; to be called before anything else is opened.

    The next socket would get the number otherwise: log lines would go to a peer.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
