"""``mesh audit``: what has been written down, and whether it is whole, here or as a copy."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from mesh.agent.audit.chain import Head, seal
from mesh.agent.audit.trail_files import DIRECTORY
from mesh.agent.cli import main
from tests.mesh.agent.audit.trails import paths, written


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
    found = run("verify", "--dir", place)
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
