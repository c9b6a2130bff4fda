"""What the kernel says to who passes a descriptor to a unix socket."""

import os
import socket

import pytest

from actors.runtime.descriptors import SO_PASSRIGHTS


def _kernel_can_refuse() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)
        except OSError:
            return False
    return True


needs_refusal = pytest.mark.skipif(not _kernel_can_refuse(), reason="Linux refuses them from 6.16 on")


def may_pass(sender: socket.socket) -> bool:
    """Whether ``sender`` can pass a descriptor to the other end."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        socket.send_fds(sender, [b"x"], [descriptor])
    except PermissionError:
        return False
    finally:
        os.close(descriptor)
    return True
