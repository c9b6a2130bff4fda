"""What SIGUSR1 prints: every actor and the stack of every thread."""

import contextlib
import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Sized
from typing import Final, TextIO

from pykka import ActorRegistry

from mesh.escaping import escaped

PATIENCE_S: Final = 1.0
"""How long the caller waits for a reader that takes its time, before it goes on without it."""

MOST_FRAMES: Final = 100
"""Of one stack, the innermost."""


def dump(stream: TextIO | None) -> None:
    """Write every actor, by class, and every thread with its stack to ``stream`` (one with a descriptor).

    What ``stream`` does not take is lost, as lines of the log are: its disk is full, its reader has gone, or
    there is none, as of a process that began without a standard error. A reader that has stopped reading
    holds up a thread of the dump's own, and neither the caller nor the end of the process.
    """
    if stream is None or stream.closed:
        return
    data = "".join(f"{line}\n" for line in _lines()).encode(errors="backslashreplace")
    writer = threading.Thread(target=_write, args=(stream.fileno(), data), name="dump", daemon=True)
    writer.start()
    writer.join(PATIENCE_S)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it past Python's own buffer, whose lock would be waited for at the end of the process."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


def _lines() -> Iterator[str]:
    refs = ActorRegistry.get_all()
    counts = Counter(ref.actor_class.__name__ for ref in refs)
    yield f"=== {len(refs)} actors: {dict(sorted(counts.items()))}"
    for ref in refs:
        actor = ref._actor_weakref()
        # Actors are called after routing keys, names and addresses, and these come from others.
        shown = "gone" if actor is None else escaped(str(actor))
        waiting = len(ref.actor_inbox) if isinstance(ref.actor_inbox, Sized) else "?"
        yield f"    {ref.actor_urn} {shown} ({waiting} waiting)"
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()
    yield f"=== {len(frames)} threads"
    for number, frame in frames.items():
        yield f"Thread {names.get(number, number)} (innermost call last):"
        for call in traceback.extract_stack(frame, limit=MOST_FRAMES):
            yield f'  File "{call.filename}", line {call.lineno} in {call.name}'
    yield "=== end of the dump"
