"""``mesh audit``: what has been written down, and whether it is whole, here or as a copy."""

import contextlib
import dataclasses
import json
import os
import shutil

import falcon.testing
import pytest
from click.testing import CliRunner

from mesh.agent.audit import reading
from mesh.agent.audit.chain import Head, seal
from mesh.agent.audit.trail_files import DIRECTORY
from mesh.agent.audit.verifying import NO_HEAD, Checked
from mesh.agent.cli import main
from mesh.agent.control import audit_routes
from mesh.agent.control.admission import ByHttpAddress
from mesh.agent.control.api import ApiApp, ControlApp, all_routes
from mesh.agent.control.audit_routes import AuditEntries
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.requests import AUDIT, AUDIT_CHECKS
from mesh.agent.control.socket_file import NAME
from mesh.agent.control.tokens import Tokens
from mesh.agent.dashboard.guard import Marks
from mesh.remote.wire import Answered
from tests.mesh.agent.audit.trails import paths, written
from tests.mesh.agent.cli.asked import Asked


@pytest.fixture
def directory(tmp_path):
    written(tmp_path / DIRECTORY, 30, file_bytes=1_000)
    return tmp_path / DIRECTORY


def run(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def test_the_last_entries_are_shown_for_people_and_for_programs(directory):
    lines = run("list", "--dir", directory, "--last", "3").stdout.splitlines()
    assert lines[-1].endswith("request       test, uid 1: POST /29: 200")
    assert len(lines) == 3
    shown = run("list", "--dir", directory, "--kind", "request", "--json").stdout.splitlines()
    assert json.loads(shown[-1])["what"] == "POST /29"
    assert {json.loads(line)["kind"] for line in shown} == {"request"}


def test_the_files_are_found_by_the_control_socket_though_no_agent_runs(directory):
    found = run("verify", "--socket", directory.parent / "control.sock")
    assert found.exit_code == 0
    assert found.stdout.startswith("changes: whole: entries 1 to ")


def test_a_break_is_told_with_file_and_line_and_a_copy_can_be_checked(directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "copy")
    second = paths(directory)[1]
    second.write_bytes(second.read_bytes().replace(b"uid 1", b"uid 0", 1))
    found = run("verify", "--dir", directory)
    assert found.exit_code == 1
    assert f"changes: BROKEN: {second}, line 2: entry" in found.stdout
    assert json.loads(run("verify", "--dir", directory, "--json").stdout)[0]["problem"]
    assert run("verify", "--dir", copy).exit_code == 0


def test_a_head_that_was_noted_shows_an_end_that_was_cut_off(directory):
    head = run("verify", "--dir", directory).stdout.splitlines()[0].rpartition("head ")[2]
    assert run("verify", "--dir", directory, "--head", head).exit_code == 0
    paths(directory)[-1].unlink()
    found = run("verify", "--dir", directory, "--head", head)
    assert found.exit_code == 1
    assert "the end is cut off" in found.stdout


@pytest.mark.parametrize("head", ["changes:1", "other:1:" + "0" * 64, "changes:x:" + "0" * 64])
def test_a_head_that_is_none_is_told(directory, head):
    found = run("verify", "--dir", directory, "--head", head)
    assert found.exit_code == 2
    assert "expected TRAIL:NUMBER:HASH" in found.stderr


def test_where_there_is_none_that_is_told(tmp_path):
    found = run("verify", "--dir", tmp_path)
    assert (found.exit_code, "no audit log here" in found.stderr) == (2, True)


@pytest.fixture
def far(directory, tmp_path):
    """The agent here, which asks hq; hq has the audit log."""
    there = falcon.testing.TestClient(
        ControlApp(dataclasses.replace(Asked().behind(), audit_dir=directory), None)
    )

    class Calling:
        def call(self, to, asked):
            assert to == "hq"
            path, _, query = asked.place.partition("?")
            answer = there.simulate_get(path, query_string=query)
            return Answered(answer.status_code, answer.headers["content-type"], body=answer.content)

    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(dataclasses.replace(Asked().behind(), calling=Calling()), None))
        yield lambda *arguments: run(*arguments, "--at", "hq", "--socket", tmp_path / NAME)


def test_the_audit_log_of_another_agent_is_listed_in_pages_and_verified_there(far, directory, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PAGE_BYTES", 700)
    here = run("list", "--dir", directory, "--last", "20")
    assert far("list", "--last", "20").stdout == here.stdout
    assert len(here.stdout.splitlines()) == 20
    assert far("verify").stdout == run("verify", "--dir", directory).stdout
    assert far("list", "--connections").stdout == ""
    second = paths(directory)[1]
    second.write_bytes(second.read_bytes().replace(b"uid 1", b"uid 0", 1))
    found = far("verify")
    assert (found.exit_code, f"changes: BROKEN: {second.name}, line 2: entry" in found.stdout) == (1, True)


def test_another_agent_that_answers_without_end_or_with_escapes_is_read_as_text(far, monkeypatch):
    page = AuditEntries((), "1-1", "1-1")
    monkeypatch.setattr(audit_routes, "older", lambda *_: None)
    monkeypatch.setattr(audit_routes, "shown", lambda _: page)
    assert far("list", "--last", "20").stdout == ""
    steered = Checked("\x1b[2J", 0, 0, 0, "", NO_HEAD, "\x1b[2J")
    monkeypatch.setattr(audit_routes, "checked", lambda *_: steered)
    found = far("verify")
    assert (found.exit_code, "\x1b" in found.output) == (1, False)


def test_what_another_agent_refuses_is_told(far, directory):
    assert far("verify", "--head", "changes:x").exit_code == 2
    assert far("list", "--dir", directory).exit_code == 2
    directory.chmod(0)
    shutil.rmtree(directory)
    directory.write_text("no directory")
    assert "the audit log cannot be read: not a directory" in far("list").stderr


def test_it_tells_nobody_at_the_http_address_without_a_token_what_is_written_down(directory):
    behind = dataclasses.replace(Asked().behind(), audit_dir=directory)
    app = ApiApp(all_routes(behind), (Marks(), ByHttpAddress(Bearers(Tokens()))))
    client = falcon.testing.TestClient(app)
    for place in (AUDIT, AUDIT_CHECKS):
        assert client.simulate_get(place).status_code == client.simulate_head(place).status_code == 403
    alone = falcon.testing.TestClient(ControlApp(Asked().behind(), None))
    assert alone.simulate_get(AUDIT).status_code == 404
    assert alone.simulate_get(AUDIT, params={"before": "1-1", "after": "1-1"}).status_code == 404
    own = falcon.testing.TestClient(ControlApp(behind, None))
    assert own.simulate_get(AUDIT, params={"before": "1-1", "after": "1-1"}).status_code == 400
    assert own.simulate_get(AUDIT, params={"before": "../x"}).status_code == 400


def planted(directory, *entries):
    """A trail that somebody has made who can write the files: its chain is whole."""
    directory.mkdir()
    lines, head = b"", Head()
    first = json.dumps({"time": "\x1b[2J", "kind": "file", "after": head.digest}).encode()
    for entry in (first, *entries):
        line, head = seal(head, entry)
        lines += line
    (directory / "changes.000001.jsonl").write_bytes(lines)
    return directory


def test_what_somebody_has_planted_reaches_the_terminal_as_text(tmp_path):
    forged = json.dumps({"time": "now\r\n", "kind": "\x9b2J\u202e", "who": "\x1b]0;"}).encode()
    place = planted(tmp_path / DIRECTORY, forged)
    listed = run("list", "--dir", place)
    assert (listed.exit_code, listed.stdout.count("\n")) == (0, 2)
    assert listed.stdout.replace("\n", "").isprintable()
    raw = run("list", "--dir", place, "--json").stdout
    assert raw.replace("\n", "").isprintable()
    assert json.loads(raw.splitlines()[-1])["kind"] == "\x9b2J\u202e"
    for more in ((), ("--json",)):
        found = run("verify", "--dir", place, *more)
        assert found.exit_code == 0
        assert found.stdout.replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_line_of_lists_in_lists_is_no_entry(tmp_path, command):
    deep = b'{"time":"t","kind":"k","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    place = planted(tmp_path / DIRECTORY, deep)
    first = place / "changes.000001.jsonl"
    second = place / "changes.000002.jsonl"
    second.write_bytes(first.read_bytes().splitlines(keepends=True)[1])
    found = run(command, "--dir", place)
    assert not isinstance(found.exception, RecursionError)
    assert "Traceback" not in found.output
    assert (f"{second}, line 1: is no entry of an audit log" in found.stdout) == (command == "verify")


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(directory, command):
    pipe = directory / "changes.999999.jsonl"
    os.mkfifo(pipe)
    found = run(command, "--dir", directory)
    assert found.exit_code == 2
    assert f"{pipe}: cannot be read: not a regular file" in found.stderr
