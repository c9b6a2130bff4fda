"""What SIGUSR1 prints: every actor and the stack of every thread."""

import contextlib
import faulthandler
import threading
from collections import Counter
from collections.abc import Sized
from typing import TextIO

from pykka import ActorRegistry

from mesh.escaping import escaped


def dump(stream: TextIO | None) -> None:
    """Write every actor, by class, and every thread with its stack to ``stream`` (one with a descriptor).

    What ``stream`` does not take is lost, as lines of the log are: its disk is full, its reader has gone, or
    there is none, as of a process that began without a standard error.
    """
    if stream is not None:
        with contextlib.suppress(OSError):
            _write(stream)


def _write(stream: TextIO) -> None:
    refs = ActorRegistry.get_all()
    counts = Counter(ref.actor_class.__name__ for ref in refs)
    print(f"=== {len(refs)} actors: {dict(sorted(counts.items()))}", file=stream)
    for ref in refs:
        actor = ref._actor_weakref()
        # Actors are called after routing keys, names and addresses, and these come from others.
        shown = "gone" if actor is None else escaped(str(actor))
        waiting = len(ref.actor_inbox) if isinstance(ref.actor_inbox, Sized) else "?"
        print(f"    {ref.actor_urn} {shown} ({waiting} waiting)", file=stream)
    print(f"=== {threading.active_count()} threads", file=stream, flush=True)
    faulthandler.dump_traceback(stream, all_threads=True)
    print("=== end of the dump", file=stream, flush=True)
