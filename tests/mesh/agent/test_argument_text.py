"""Arguments that are no text, as a shell with another encoding passes them: one line, and no traceback."""

import os
import sys

import pytest
from click.testing import CliRunner

from mesh.agent import cli, entry
from mesh.agent.argument_text import not_text

MAIN = cli.main
LATIN = os.fsdecode(b"caf\xe9")


def test_those_that_are_none_are_named():
    assert not_text(["mesh", "trace", "café"]) == ""
    assert not_text(["mesh", LATIN, "x", LATIN]) == r"expected UTF-8, found 'caf\xe9' and 'caf\xe9'"


def test_a_command_that_asks_an_agent_tells_it(monkeypatch, capsys):
    monkeypatch.setattr(cli, "main", lambda **_: LATIN.encode())
    monkeypatch.setattr(sys, "argv", ["mesh", "trace", LATIN])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "mesh: expected UTF-8, found 'caf\\xe9'\n"


def test_what_is_no_arguments_fault_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "main", lambda **_: LATIN.encode())
    monkeypatch.setattr(sys, "argv", ["mesh", "trace", "café"])
    with pytest.raises(UnicodeEncodeError):
        entry.main()


def test_connect_tells_it(monkeypatch, tmp_path):
    told = []

    def end(text, status):
        told.append((text, status))
        raise SystemExit(status)

    monkeypatch.setattr("mesh.agent.connect_command._end", end)
    result = CliRunner().invoke(MAIN, ["connect", LATIN, "--socket", str(tmp_path / "control.sock")])
    assert result.exit_code == 2
    assert told == [("expected UTF-8, found 'caf\\xe9'", 2)]
