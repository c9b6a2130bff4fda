"""What an agent is told that cannot start because the system gives it too little."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from mesh.agent.cli.failure import Failure


class ShortageError(Failure):
    """The same configuration may do the next time, so it is no mistake in it."""

    exit_code = 1


@contextmanager
def shortages_told() -> Iterator[None]:
    """Turn what the block raises for want of threads, descriptors or memory into one line with what to do."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        if (told := _told(error)) is None:
            raise
        raise ShortageError(f"the agent cannot start: {told}") from None


def _told(error: Exception) -> str | None:
    if isinstance(error, RuntimeError):
        # All that Python says of it; the number of the error is lost.
        if "can't start new thread" not in str(error):
            return None
        return (
            "the system gives it no more threads; it has about 40: TasksMax= of its systemd unit, "
            "the pids limit of its container, ulimit -u"
        )
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if number == errno.EMFILE:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"it may have {limit} descriptors, and needs 64 at least: LimitNOFILE= of its unit, ulimit -n"
    if number == errno.ENFILE:
        return "the machine has no descriptors left: sysctl fs.file-max"
    return "no memory is left" if number == errno.ENOMEM else None
