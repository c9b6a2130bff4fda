"""``mesh join``: what it refuses before it dials anybody, and that it leaves nothing behind."""

import re
import time

import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.enrolment import joining
from mesh.agent.enrolment.joining import NotJoinedError
from mesh.agent.files import AgentFileError
from mesh.remote.join_token import token_to_text
from mesh.trust.certificates import issue_certificate
from tests.mesh.agent.enrolment.test_joining import ISSUER, own, token


def join(*arguments, **how):
    return CliRunner().invoke(main, ["join", *map(str, arguments)], **how)


@pytest.fixture
def text():
    return token_to_text(token(int(time.time())))


def certificate_for(owner):
    now = int(time.time())
    return issue_certificate(
        ISSUER, subject=owner.public_key, name="laptop", not_before=now, not_after=now + 60, issuer=own(now)
    )


@pytest.mark.parametrize("cut", [-1, -100, 40])
def test_a_token_that_was_cut_off_is_told_as_such(text, cut, tmp_path):
    result = join(text[:cut], "--dir", tmp_path / "x")
    assert (result.exit_code, result.stderr) == (
        2,
        "the token is cut off: copy it again, all of its one line\n",
    )


def test_a_directory_that_is_not_empty_is_left_as_it_is(text, tmp_path):
    (tmp_path / "note").write_text("mine")
    result = join(text, "--dir", tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "the directory is not empty; name another with --dir" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    result = join(text, "--dir", tmp_path / "note")
    assert "is no directory" in result.stderr


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "..", 'a"b', "a\\b"])
def test_a_token_chooses_no_place_and_writes_nothing_else_into_the_configuration(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(joining, "enrolled", lambda invitation, owner: certificate_for(owner))
    result = join(token_to_text(token(int(time.time()), name=name)))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "which mesh invite never makes" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("existed", [False, True])
def test_who_does_not_join_leaves_nothing_behind(text, tmp_path, monkeypatch, existed):
    home = tmp_path / "home"
    if existed:
        home.mkdir()

    def refuse(invitation, owner):
        assert [path.name for path in home.iterdir()] == ["identity.key"]
        raise NotJoinedError("the issuer hq is away")

    monkeypatch.setattr(joining, "enrolled", refuse)
    result = join(text, "--dir", home)
    assert (result.exit_code, result.stderr) == (2, "the issuer hq is away\n")
    assert home.exists() == existed
    assert not existed or list(home.iterdir()) == []


def test_who_joins_has_all_that_an_agent_needs(text, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "enrolled", lambda invitation, owner: certificate_for(owner))
    home = tmp_path / "home"
    result = join("-", "--dir", home, input=f"{text}\n")
    assert result.exit_code == 0, result.output
    assert re.search(rf"^Joined as laptop, agent \w+, in {home}\.$", result.stdout, re.MULTILINE)
    assert f"Start it: mesh agent {home}/config.yaml" in result.stdout
    assert (home / "identity.key").stat().st_mode & 0o777 == 0o600
    checked = CliRunner().invoke(main, ["check", str(home / "config.yaml")])
    assert checked.exit_code == 0, checked.output
    assert "with 0 endpoints, 0 listeners, 1 peer" in checked.stdout


def test_a_full_disk_leaves_nothing_behind(text, tmp_path, monkeypatch):
    def fail(*_):
        raise AgentFileError("no space left on device")

    monkeypatch.setattr(joining, "enrolled", fail)
    assert join(text, "--dir", tmp_path / "home").exit_code == 2
    assert not (tmp_path / "home").exists()
