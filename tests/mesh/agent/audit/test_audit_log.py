"""An agent's audit log: written behind its back, bounded, and no reason to stop."""

import contextlib
import logging
import os
from http import HTTPStatus

import msgspec
import pytest

from actors.meters import Meters
from mesh.agent.audit import audit_log, trail_writer
from mesh.agent.audit.behalf import Behalf
from mesh.agent.audit.entries import encoded, entry_of
from mesh.agent.audit.pace import (
    AGAIN_S,
    MAX_REMEMBERED,
    NOT_ISSUED_BURST,
    NOT_ISSUED_RATE,
    REFUSED_BURST,
    REFUSED_RATE,
)
from mesh.agent.audit.requested import note_guess, note_request
from mesh.agent.audit.standing import audit_warnings
from mesh.agent.audit.trail_files import CHANGES, CONNECTIONS, DIRECTORY
from mesh.agent.audit.verifying import checked
from mesh.auditing import AuditKind
from mesh.config.schema import AuditSection
from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending
from tests.mesh.agent.audit.trails import everything, paths


def log_of(data_dir, section, meters=None):
    return audit_log.AuditLog(data_dir, section, meters or Meters())


WHO = {"agent": "hq", "id": "00"}


def entries(data_dir):
    return everything(data_dir / DIRECTORY)


def kinds(data_dir):
    return [entry.kind for entry in entries(data_dir)]


def test_what_is_noted_is_written_when_it_ends_and_the_head_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO, "mesh.agent")
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
        for _ in range(1_000):
            log.note(AuditKind.STOPPED, WHO)
    found = checked(tmp_path / DIRECTORY, CHANGES)
    assert (found.entries, found.problem) == (1_001, "")
    assert caplog.messages == [f"audit log: its head is changes:{found.head}"]


def test_nothing_is_written_without_a_data_directory_or_by_who_wants_none(tmp_path):
    for data_dir, section in ((None, AuditSection()), (tmp_path, AuditSection(changes=False))):
        with contextlib.closing(log_of(data_dir, section)) as log:
            log.note(AuditKind.STOPPED, WHO)
    assert list(tmp_path.iterdir()) == []


def ended(number, ending=Ending.LOST, **says):
    view = ConnectionView(
        id=f"{number:x}",
        end=End.INGRESS,
        key="db\x1b",
        client="127.0.0.1:5",
        ingress="branch 01",
        exit="",
        target="",
        age_s=0.5,
        to_service_bytes=3,
        to_client_bytes=4,
    )
    return ConnectionRecord(msgspec.structs.replace(view, **says), ending, "nobody offers db")


def test_connections_have_a_trail_of_their_own_while_that_is_wanted(tmp_path):
    meters = Meters()
    with contextlib.closing(log_of(tmp_path, AuditSection(), meters)) as log:
        meters.connection_ended(ended(0), 0.0)
        log.apply(AuditSection(connections=True))
        for number in range(1, 251):
            meters.connection_ended(ended(number), 1_700_000_000.0)
        log.apply(AuditSection())
        meters.connection_ended(ended(251), 0.0)
        log.note(AuditKind.STOPPED, WHO)
    assert kinds(tmp_path) == ["file", "stopped"]
    found = everything(tmp_path / DIRECTORY, CONNECTIONS)
    assert [each.facts["connection"] for each in found[1:]] == [f"{number:x}" for number in range(1, 251)]
    shown = found[-1]
    assert (shown.kind, shown.time) == ("connection", "2023-11-14T22:13:20.000Z")
    assert shown.facts.items() >= {"client": "127.0.0.1:5", "to_client_bytes": 4, "duration_s": 0.5}.items()
    assert "from 127.0.0.1:5 by nobody: lost" in shown.text()
    assert "target" not in shown.facts
    assert "reason nobody offers db" in shown.text()
    assert checked(tmp_path / DIRECTORY, CONNECTIONS).problem == ""


def test_no_agent_fills_the_files_with_what_it_repeats(tmp_path):
    now = [0.0]
    log = audit_log.AuditLog(tmp_path, AuditSection(), Meters(), lambda: now[0])
    with contextlib.closing(log):
        for number in range(500):
            log.note(AuditKind.NOT_ISSUED, {**WHO, "reason": "why"})
            log.note(AuditKind.NOT_ISSUED, {"agent": "other", "id": f"{number % 2}", "reason": "why"})
        now[0] += AGAIN_S
        log.note(AuditKind.NOT_ISSUED, {**WHO, "reason": "why"})
        for number in range(MAX_REMEMBERED + 10):
            log.note(AuditKind.ISSUED, {"agent": "many", "id": f"{number}", "until": ""})
        assert len(log._pace._last) == MAX_REMEMBERED
    entries = everything(tmp_path / DIRECTORY)
    found = [each for each in entries if each.kind == "not-issued"]
    assert [each.facts["id"] for each in found] == ["00", "0", "1", "00"]
    assert [each.facts.get("left_out") for each in found] == [None, None, None, 499]
    assert "left_out 499" in found[-1].text()


def test_who_comes_as_ever_other_agents_fills_no_files_by_what_they_do_not_get(tmp_path):
    now = [0.0]
    log = audit_log.AuditLog(tmp_path, AuditSection(), Meters(), lambda: now[0])
    with contextlib.closing(log):
        for number in range(1_000):
            log.note(AuditKind.NOT_ISSUED, {"agent": "mallory", "id": f"{number}", "reason": "why"})
        now[0] += 2 / NOT_ISSUED_RATE
        log.note(AuditKind.NOT_ISSUED, {**WHO, "reason": "why"})
    found = [each for each in everything(tmp_path / DIRECTORY) if each.kind == "not-issued"]
    assert len(found) == NOT_ISSUED_BURST + 1
    assert "left_out 700" in found[-1].text()


def test_no_member_displaces_what_others_did_by_connections_that_are_refused(tmp_path):
    now, meters = [0.0], Meters()
    log = audit_log.AuditLog(tmp_path, AuditSection(connections=True), meters, lambda: now[0])
    with contextlib.closing(log):
        for number in range(3_000):
            asked = {"end": End.EXIT, "ingress": "mallory 66", "key": f"made up {number}"}
            meters.connection_ended(ended(number, Ending.REFUSED, **asked), 0.0)
        for number in range(150):
            meters.connection_ended(ended(number, Ending.REFUSED, client=f"192.0.2.1:{number}"), 0.0)
        meters.connection_ended(ended(1, Ending.REFUSED, end=End.EXIT, ingress="branch 01"), 0.0)
        meters.connection_ended(ended(2, end=End.EXIT, ingress="mallory 66"), 0.0)
        now[0] += 1 / REFUSED_RATE
        meters.connection_ended(ended(3, Ending.REFUSED, end=End.EXIT, ingress="mallory 66"), 0.0)
    found = everything(tmp_path / DIRECTORY, CONNECTIONS)[1:]
    assert len(found) == 2 * REFUSED_BURST + 3
    assert [each.facts["ingress"] for each in found[-3:]] == ["branch 01", "mallory 66", "mallory 66"]
    assert found[-1].facts["left_out"] == 3_000 - REFUSED_BURST


def test_nor_by_echoes_and_what_else_every_member_may_have(tmp_path):
    meters = Meters()
    with contextlib.closing(log_of(tmp_path, AuditSection(connections=True), meters)):
        for number in range(500):
            asked = {"end": End.EXIT, "ingress": "mallory 66", "key": "mesh:echo"}
            meters.connection_ended(ended(number, Ending.CLOSED, **asked), 0.0)
            meters.connection_ended(ended(number, Ending.CLOSED, end=End.EXIT, ingress="branch 01"), 0.0)
    found = everything(tmp_path / DIRECTORY, CONNECTIONS)[1:]
    assert sum(each.facts["key"] == "mesh:echo" for each in found) == REFUSED_BURST
    assert len(found) == REFUSED_BURST + 500


def test_nobody_who_may_change_an_agent_displaces_what_was_changed_by_what_is_refused(tmp_path):
    now = [0.0]
    log = audit_log.AuditLog(tmp_path, AuditSection(), Meters(), lambda: now[0])
    mallory, ann = Behalf("mesh:control", "mallory 66"), Behalf("control socket", "uid 1000")
    with contextlib.closing(log):
        note_request(log, mallory, "POST", "/api/v1/listeners", 201)
        for _ in range(1_000):
            note_request(log, mallory, "DELETE", "/api/v1/leases/x", 404)
        note_request(log, ann, "POST", "/api/v1/reload", 422)
        note_request(log, mallory, "DELETE", "/api/v1/listeners", 204)
        now[0] += 1 / REFUSED_RATE
        note_request(log, mallory, "DELETE", "/api/v1/leases/x", 404)
    codes = [each.facts["code"] for each in entries(tmp_path)[1:]]
    assert codes == [201, *[404] * int(REFUSED_BURST), 422, 204, 404]
    assert entries(tmp_path)[-1].facts["left_out"] == 1_000 - REFUSED_BURST


def test_no_stranger_fills_the_files_with_guesses(tmp_path):
    now = [0.0]
    log = audit_log.AuditLog(tmp_path, AuditSection(), Meters(), lambda: now[0])
    with contextlib.closing(log):
        for number in range(500):
            who = Behalf("http.address", f"2001:db8::{number:x}, with a token that is not good")
            note_guess(log, who, "GET", "/" + "\x80" * 900, HTTPStatus.UNAUTHORIZED)
        now[0] += AGAIN_S
        note_guess(log, Behalf("http.address", "::1"), "POST", "/x", HTTPStatus.FORBIDDEN)
    _, first, second = entries(tmp_path)
    assert first.kind == second.kind == "guess"
    assert second.text() == "http.address, ::1: POST /x: 403; left_out 499"


def test_how_it_stands_is_told_and_trouble_is_a_warning(tmp_path, monkeypatch):
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
    (good,) = log.standing()
    assert (good.trail, good.head.number, good.written, good.lost, good.trouble) == (CHANGES, 2, 1, 0, "")
    assert list(audit_warnings((good,))) == []
    (tmp_path / "other").write_text("in the way")
    with contextlib.closing(log_of(tmp_path / "other", AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
    (bad,) = log.standing()
    assert (bad.head.number, bad.written, bad.lost) == (0, 0, 1)
    (warning,) = audit_warnings((bad,))
    assert "cannot be written: not a directory; entries lost: 1" in warning.what


def test_it_follows_the_configuration(tmp_path):
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
        log.apply(AuditSection(changes=False))
        log.note(AuditKind.RENEWED, WHO)
        log.apply(AuditSection(file_bytes=64 * 1024))
        log.note(AuditKind.STOPPED, WHO)
    assert kinds(tmp_path) == ["file", "started", "stopped"]
    assert checked(tmp_path / DIRECTORY, CHANGES).problem == ""


def test_what_is_too_much_is_counted_and_the_count_is_an_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(trail_writer, "QUEUED", 0)
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
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
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
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
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, WHO)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("text", ["\ud800", "\x00\n\x1b[31m", "\u202e", "x" * 10_000])
def test_whatever_is_noted_is_one_line(tmp_path, text):
    with contextlib.closing(log_of(tmp_path, AuditSection())) as log:
        log.note(AuditKind.STARTED, {"agent": text, "id": ""})
        log.note(AuditKind.STOPPED, WHO)
    data = paths(tmp_path / DIRECTORY)[0].read_bytes()
    assert len(data.splitlines()) == 3
    assert all(msgspec.json.decode(line) for line in data.splitlines())


def test_a_connection_that_came_to_no_target_or_from_no_client_is_told_as_one():
    refused = {
        "end": "exit",
        "key": "db",
        "ingress": "branch",
        "ending": "refused",
        "reason": "not-permitted",
    }
    line = encoded(AuditKind.CONNECTION, 0.0, refused)
    text = entry_of(b'{"number":1,' + line[1:-1] + b',"hash":""}').text()
    assert text == "db from branch to nowhere: refused; end exit; reason not-permitted"
    own = {"end": "ingress", "key": "mesh:enrol", "exit": "hq", "ending": "closed"}
    line = encoded(AuditKind.CONNECTION, 0.0, own)
    text = entry_of(b'{"number":1,' + line[1:-1] + b',"hash":""}').text()
    assert text == "mesh:enrol from this agent by hq: closed; end ingress"
