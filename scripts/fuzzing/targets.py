"""All targets by name, and what each must keep to."""

import resource
import time
from collections.abc import Callable
from typing import Final

import msgspec

from scripts.fuzzing import (
    connection_targets,
    door_targets,
    inside_targets,
    kept_targets,
    key_targets,
    link_targets,
    right_targets,
    routing_targets,
    seeds,
    text_targets,
    trail_targets,
)
from scripts.fuzzing.shapes import shaped

MAX_SECONDS: Final = 1.0
"""Of a process's CPU, for one input; the median is below a millisecond."""

MAX_GROWTH_KIB: Final = 64 * 1024
"""By which the process may grow in one input."""


class Target(msgspec.Struct, frozen=True):
    """One reader of outside bytes."""

    run: Callable[[bytes], None]
    """Raises nothing but for a finding."""
    max_bytes: int
    """Of an input: as much as the reader is ever given, or makes sense of."""


def _shaped(name: str, run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    return shaped(run, seeds.shapes(name))


TARGETS: Final[dict[str, Target]] = {
    "frames": Target(link_targets.frames, 4096),
    "link_bodies": Target(_shaped("link_bodies", link_targets.link_bodies), 4096),
    "handshake": Target(link_targets.handshake, 5000),
    "proof": Target(_shaped("proof", link_targets.proof), 3000),
    "record": Target(_shaped("record", routing_targets.record), 8192),
    "page": Target(_shaped("page", routing_targets.page), 4096),
    "sealed": Target(_shaped("sealed", routing_targets.sealed), 2048),
    "route_table": Target(routing_targets.route_table, 1024),
    "session": Target(_shaped("session", connection_targets.session), 2048),
    "replay_window": Target(connection_targets.replay_window, 1024),
    "stream": Target(connection_targets.stream, 1024),
    "preface": Target(connection_targets.preface, 600),
    "certificate": Target(_shaped("certificate", text_targets.certificate), 2048),
    "revocations": Target(_shaped("revocations", text_targets.revocations), 4096),
    "certificate_text": Target(text_targets.certificate_text, 4096),
    "config": Target(text_targets.config, 4096),
    "texts": Target(text_targets.texts, 600),
    "http": Target(text_targets.http, 400),
    "socks": Target(text_targets.socks, 1200),
    "inside": Target(inside_targets.inside, 1200),
    "enrolment": Target(_shaped("enrolment", inside_targets.enrolment), 3000),
    "join_token": Target(inside_targets.join_token, 1200),
    "remote": Target(_shaped("remote", inside_targets.remote), 4096),
    "rekeying": Target(key_targets.rekeying, 400),
    "session_keys": Target(key_targets.session_keys, 80),
    "patterns": Target(right_targets.patterns, 300),
    "api_token": Target(door_targets.api_token, 600),
    "api": Target(door_targets.api, 600),
    "audit_line": Target(trail_targets.audit_line, 2048),
    "audit_trail": Target(trail_targets.audit_trail, 400),
    "key_file": Target(kept_targets.key_file, 600),
    "kept_invitations": Target(kept_targets.kept_invitations, 2048),
    "kept_newest": Target(kept_targets.kept_newest, 1024),
    "kept_lists": Target(kept_targets.kept_lists, 2048),
    "kept_services": Target(kept_targets.kept_services, 2048),
}


class BoundError(AssertionError):
    """An input took more time or memory than any may."""


def run_bounded(target: Target, data: bytes) -> None:
    """Run one input.

    Raises:
        BoundError: it took too much.
        Exception: whatever else the target found.
    """
    before_kib, start = _peak_kib(), time.process_time()
    target.run(data)
    seconds, growth_kib = time.process_time() - start, _peak_kib() - before_kib
    if seconds > MAX_SECONDS:
        raise BoundError(f"{len(data)} bytes took {seconds:.2f} s")
    if growth_kib > MAX_GROWTH_KIB:
        raise BoundError(f"{len(data)} bytes took {growth_kib} KiB")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
