"""``mesh token new``: a token once, and the line that a configuration takes."""

import json
import time

import pytest
import yaml
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.control.tokens import Tokens
from tests.mesh.config.test_loading import parse


def test_a_token_comes_with_the_lines_that_let_it_in():
    result = CliRunner().invoke(main, ["token", "new", 'Ann "x"'])
    assert result.exit_code == 0
    token, _, lines = result.stdout.partition("\n\n")
    assert "tokens" in yaml.safe_load(lines)["http"]
    assert Tokens(parse(lines).http.tokens).found(token).name == 'Ann "x"'


def test_scope_and_end_are_in_the_entry():
    result = CliRunner().invoke(main, ["token", "new", "ci", "--scope", "read", "--for", "30d"])
    (found,) = parse(result.stdout.partition("\n\n")[2]).http.tokens
    assert found.scope == "read"
    assert found.expires_unix_s - time.time() == pytest.approx(30 * 86_400, abs=60)


@pytest.mark.parametrize("lifetime", ["soon", "1s", "-1d", "20000d"])
def test_a_time_that_is_none_is_told(lifetime):
    result = CliRunner().invoke(main, ["token", "new", "ci", "--for", lifetime])
    assert result.exit_code == 2
    assert "--for: expected a duration" in result.stderr


def test_programs_get_json():
    made = json.loads(CliRunner().invoke(main, ["token", "new", "ci", "--json"]).stdout)
    assert len(made["hash"]) == 64
    assert made["token"].startswith("mesh_")


def test_a_name_that_is_none_is_told():
    result = CliRunner().invoke(main, ["token", "new", " "])
    assert result.exit_code == 2
    assert "NAME: expected a name" in result.stderr
