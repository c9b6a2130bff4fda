"""Targets of the audit log: whoever checks or lists one reads what somebody else may have written."""

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.audit.chain import GENESIS, Head, read_sealed, seal, why_broken
from mesh.agent.audit.entries import encoded, entry_of
from mesh.agent.audit.reading import END, older
from mesh.agent.audit.trail import Trail
from mesh.agent.audit.trail_files import CHANGES, trail_file, trail_files
from mesh.agent.audit.verifying import checked
from mesh.auditing import AuditFact, AuditKind
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.folder import emptied
from scripts.fuzzing.people import UNIX_NOW

_KINDS: Final = tuple(AuditKind)
_NAMES: Final = ("agent", "id", "key", "reason", "way", "who", "what", "code", "after", "end", "count", "{0}")
_MOST_FILES: Final = 4


def audit_line(data: bytes) -> None:
    """One line, as it stands or behind an honest number: read, or refused as none; shown on one line."""
    with contextlib.suppress(ValueError):
        sealed = read_sealed(data)
        assert sealed.body in data  # noqa: S101
        str(sealed.head)
        assert why_broken(Head(), sealed).isprintable()  # noqa: S101
    with contextlib.suppress(ValueError):
        entry = entry_of(data)
        assert entry.line().isprintable()  # noqa: S101
        assert entry.text().isprintable()  # noqa: S101
        assert entry_of(entry.json()) == entry  # noqa: S101


def audit_trail(data: bytes) -> None:
    """An honest trail to which something is done: what shows, by its place, and what does not are as said."""
    choices, folder = Choices(data), emptied("trail")
    size = choices.one_of((1, 300, 100_000))
    trail = Trail(folder, CHANGES, file_bytes=size, files=_MOST_FILES)
    entries = [_entry(choices) for _ in range(1 + choices.below(8))]
    for entry in entries:
        trail.write([entry], UNIX_NOW)
    trail.close()
    whole = checked(folder, CHANGES)
    assert not whole.problem, whole.problem  # noqa: S101
    assert whole.head == trail.head  # noqa: S101
    shown = [entry.json() for entry in older(folder, CHANGES, END, 100).entries]
    assert len(shown) == whole.entries  # noqa: S101
    must_show = _tamper(choices, folder)
    found = checked(folder, CHANGES)
    msgspec.json.encode(found)
    assert found.problem.isprintable()  # noqa: S101
    assert not must_show or f"{CHANGES}." in found.problem, found  # noqa: S101
    assert checked(folder, CHANGES, trail.head).problem or found.head == trail.head  # noqa: S101
    for entry in older(folder, CHANGES, END, 3).entries:
        assert entry.line().isprintable()  # noqa: S101
    # An agent that is started anew goes on, whatever it finds.
    again = Trail(folder, CHANGES, file_bytes=size, files=_MOST_FILES)
    again.write(entries[:1], UNIX_NOW)
    again.close()
    assert all(remark.isprintable() for remark in again.remarks)  # noqa: S101
    assert len(trail_files(folder, CHANGES)) <= _MOST_FILES  # noqa: S101


def _entry(choices: Choices) -> bytes:
    facts: dict[str, AuditFact] = {}
    for _ in range(choices.below(4)):
        text = choices.blob(12).decode("utf-8", "surrogateescape" if choices.yes() else "replace")
        facts[choices.one_of(_NAMES)] = choices.one_of((text, choices.below(300), (text, text)))
    kind = choices.one_of(_KINDS)
    if kind is AuditKind.FILE:
        facts["after"] = choices.one_of((GENESIS, "x"))
    entry = encoded(kind, UNIX_NOW, facts)
    line, head = seal(Head(6, GENESIS), entry)
    assert not why_broken(Head(6, GENESIS), read_sealed(line[:-1]))  # noqa: S101
    assert head.number == entry_of(line).number == 7  # noqa: S101
    return entry


def _tamper(choices: Choices, folder: Path) -> bool:
    """Do something to one of the files; whether that must show."""
    files = [file.path for file in trail_files(folder, CHANGES)]
    place = choices.below(len(files))
    path, is_last = files[place], place == len(files) - 1
    before = path.read_bytes()
    lines = before.splitlines(keepends=True)
    match choices.below(7):
        case 0:
            at = choices.below(1 << 16) % len(before)
            after = before[:at] + choices.take(1) + before[at + 1 :]
        case 1:
            line = choices.below(len(lines))
            after = b"".join(lines[:line] + lines[line + 1 :])
            if is_last and line == len(lines) - 1:
                path.write_bytes(after)
                return False  # an end that is cut off at a line
        case 2:
            line = choices.below(len(lines))
            after = b"".join(lines[: line + 1] + lines[line:])
        case 3:
            at = choices.below(1 << 16) % len(before)
            after = before[:at]
            if (is_last and at in _ends(lines)) or (not place and not at):
                path.write_bytes(after)
                return False  # an end that is cut off, or the oldest of all
        case 4:
            path.unlink()
            return place > 0 and not is_last
        case 5:
            after = choices.rest()
            if not after or len(files) == 1:
                path.write_bytes(after)
                return bool(after)
        case _:
            other = trail_file(folder, CHANGES, 900_000 + choices.below(99_999)).path
            path.rename(other)
            return not is_last and len(files) > 1
    path.write_bytes(after)
    return after != before


def _ends(lines: list[bytes]) -> set[int]:
    ends, total = {0}, 0
    for line in lines:
        total += len(line)
        ends.add(total)
    return ends
