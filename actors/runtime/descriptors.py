"""How many sockets and files this process may have open."""

import contextlib
import resource


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open descriptors as far as an ordinary user may; return the limit in force.

    ``resource.RLIM_INFINITY`` stands for no limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems report an unlimited hard limit and still refuse it as a soft one.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
