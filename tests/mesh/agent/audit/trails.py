"""Trails for tests: entries, and what is in the files."""

from mesh.agent.audit.entries import encoded
from mesh.agent.audit.reading import BEGIN, END, older
from mesh.agent.audit.trail import Trail
from mesh.agent.audit.trail_files import CHANGES, trail_files
from mesh.auditing import AuditKind

NOON = 1_700_000_000.0


def entry(number):
    return encoded(
        AuditKind.REQUEST, NOON, {"way": "test", "who": "uid 1", "what": f"POST /{number}", "code": 200}
    )


def trail_in(directory, file_bytes=100_000, files=16):
    return Trail(directory, CHANGES, file_bytes=file_bytes, files=files)


def begun(directory, count, **how):
    """A trail of so many entries, each written alone."""
    trail = trail_in(directory, **how)
    for number in range(count):
        trail.write([entry(number)], NOON)
    return trail


def written(directory, count, **how):
    """The same, closed."""
    trail = begun(directory, count, **how)
    trail.close()
    return trail


def everything(directory, trail=CHANGES):
    """All entries of a trail."""
    place, found = END, []
    while place != BEGIN:
        page = older(directory, trail, place, 1_000)
        found[:0], place = page.entries, page.before
    return found


def paths(directory):
    return [path for _, path in trail_files(directory, CHANGES)]
