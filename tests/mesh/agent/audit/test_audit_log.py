"""An agent's audit log: written behind its back, bounded, and no reason to stop."""

import contextlib
import logging
import os

import msgspec
import pytest

from mesh.agent.audit import trail_writer
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.audit.reading import TrailReader
from mesh.agent.audit.trail_files import CHANGES, DIRECTORY
from mesh.agent.audit.verifying import checked
from mesh.auditing import AuditKind
from mesh.config.schema import AuditSection
from tests.mesh.agent.audit.trails import paths

WHO = {"agent": "hq", "id": "00"}


def entries(data_dir):
    return TrailReader(data_dir / DIRECTORY, CHANGES).last(100)


def kinds(data_dir):
    return [entry.kind for entry in entries(data_dir)]


def test_what_is_noted_is_written_when_it_ends_and_the_head_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO, "mesh.agent")
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        for _ in range(1_000):
            log.note(AuditKind.STOPPED, WHO)
    found = checked(tmp_path / DIRECTORY, CHANGES)
    assert (found.entries, found.problem) == (1_001, "")
    assert caplog.messages == [f"audit log: its head is changes:{found.head}"]


def test_nothing_is_written_without_a_data_directory_or_by_who_wants_none(tmp_path):
    for data_dir, section in ((None, AuditSection()), (tmp_path, AuditSection(changes=False))):
        with contextlib.closing(AuditLog(data_dir, section)) as log:
            log.note(AuditKind.STOPPED, WHO)
    assert list(tmp_path.iterdir()) == []


def test_it_follows_the_configuration(tmp_path):
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
        log.apply(AuditSection(changes=False))
        log.note(AuditKind.RENEWED, WHO)
        log.apply(AuditSection(file_bytes=64 * 1024))
        log.note(AuditKind.STOPPED, WHO)
    assert kinds(tmp_path) == ["file", "started", "stopped"]
    assert checked(tmp_path / DIRECTORY, CHANGES).problem == ""


def test_what_is_too_much_is_counted_and_the_count_is_an_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(trail_writer, "QUEUED", 0)
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        for _ in range(3):
            log.note(AuditKind.STARTED, WHO)
    lost = entries(tmp_path)[-1]
    assert (lost.kind, lost.facts["count"]) == ("lost", 3)


def test_a_disk_that_is_full_is_told_once_and_what_was_lost_is_an_entry(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "mesh.agent")
    write = os.write
    space = []

    def filling(descriptor, data):
        if not space:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", filling)
    monkeypatch.setattr(trail_writer, "BATCH", 1)
    monkeypatch.setattr(trail_writer, "GATHER_S", 0.0)
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        for _ in range(3):
            log.note(AuditKind.STARTED, WHO)
        (writer,) = log._changes
        while writer.lost < 3:
            writer._ending.wait(0.01)
        space.append(True)
        log.note(AuditKind.STOPPED, WHO)
    assert [each.kind for each in entries(tmp_path)] == ["file", "lost", "stopped"]
    assert entries(tmp_path)[1].facts == {"count": 3, "reason": "no space left on device"}
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
    assert len([line for line in caplog.messages if "is written again; 3 entries are lost" in line]) == 1


def test_a_directory_that_cannot_be_made_stops_nobody(tmp_path, caplog):
    (tmp_path / DIRECTORY).write_text("in the way")
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("text", ["\ud800", "\x00\n\x1b[31m", "\u202e", "x" * 10_000])
def test_whatever_is_noted_is_one_line(tmp_path, text):
    with contextlib.closing(AuditLog(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, {"agent": text, "id": ""})
        log.note(AuditKind.STOPPED, WHO)
    data = paths(tmp_path / DIRECTORY)[0].read_bytes()
    assert len(data.splitlines()) == 3
    assert all(msgspec.json.decode(line) for line in data.splitlines())
