"""Commands that make and use an authority's key with a passphrase."""

import pytest
from click.testing import CliRunner
from nacl.pwhash import argon2id

from mesh.agent import locked_keys
from mesh.agent.cli import main, passphrases
from mesh.agent.cli.passphrases import VARIABLE

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def light(monkeypatch):
    monkeypatch.setattr(locked_keys, "OPERATIONS", argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(locked_keys, "MEMORY_BYTES", argon2id.MEMLIMIT_MIN)
    monkeypatch.delenv(VARIABLE, raising=False)


def run(*arguments, typed="", at_terminal=True, environment=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            passphrases, "_require_terminal", passphrases._require_terminal if not at_terminal else str
        )
        return CliRunner().invoke(main, [*map(str, arguments)], input=typed, env=environment)


def sign(home, **how):
    (home / "a.cert").unlink(missing_ok=True)
    return run(
        "certificate", "sign", "--authority", home / "authority.key", "--name", "x",
        "--public-key", "A" * 43 + "=", "--out", home / "a.cert", *how.pop("more", ()), **how,
    )  # fmt: skip


def test_it_is_asked_for_twice_when_it_is_new_and_once_when_it_is_used(tmp_path):
    made = run("init", tmp_path / "m", "--agents", "a", "--passphrase", typed=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert made.exit_code == 0, made.output
    assert "Passphrase for the authority's key" in made.stderr
    assert PASSPHRASE not in made.output
    signed = sign(tmp_path / "m", typed=f"{PASSPHRASE}\n")
    assert signed.exit_code == 0, signed.output
    assert "authority.key" in signed.stderr
    shown = run("authority", "show", tmp_path / "m" / "authority.key", typed=f"{PASSPHRASE}\n")
    assert (tmp_path / "m" / "authority.pub").read_text() == shown.stdout
    wrong = sign(tmp_path / "m", typed="another one\n")
    assert wrong.exit_code == 2
    assert wrong.stderr.endswith("authority.key: the passphrase is wrong, or the key is damaged\n")
    assert not (tmp_path / "m" / "a.cert").exists()


def test_scripts_give_it_by_a_file_or_a_variable(tmp_path):
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\nand a remark\n")
    made = run("authority", "new", tmp_path / "authority.key", "--passphrase-file", file, at_terminal=False)
    assert made.exit_code == 0, made.output
    assert sign(tmp_path, more=("--passphrase-file", file), at_terminal=False).exit_code == 0
    assert sign(tmp_path, environment={VARIABLE: PASSPHRASE}, at_terminal=False).exit_code == 0
    alone = sign(tmp_path, at_terminal=False)
    assert (alone.exit_code, alone.stderr.count("\n")) == (2, 1)
    assert "nobody is there to ask" in alone.stderr
    missing = sign(tmp_path, more=("--passphrase-file", tmp_path / "none"), at_terminal=False)
    assert missing.exit_code == 2
    assert "none: cannot be read" in missing.stderr


def test_who_has_it_can_revoke(tmp_path):
    key = tmp_path / "authority.key"
    run("authority", "new", key, "--passphrase", typed=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    revoked = run("revoke", "0" * 32, "--authority", key, "--offline", typed=f"{PASSPHRASE}\n")
    assert revoked.exit_code == 0, revoked.output
    assert "the list of this authority, 1 agent" in revoked.stdout
    assert "no earlier list is beside the key" in revoked.stdout
    again = run("revoke", "1" * 32, "--authority", key, "--offline", typed=f"{PASSPHRASE}\n")
    assert "the list of this authority, 2 agents" in again.stdout
    assert "no earlier list" not in again.stdout


def test_a_short_one_makes_no_key(tmp_path):
    made = run("authority", "new", tmp_path / "authority.key", "--passphrase", typed="short\nshort\n")
    assert made.exit_code == 2
    assert "8 to 1,024 characters" in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_one_nothing_is_asked(tmp_path):
    assert run("authority", "new", tmp_path / "authority.key", at_terminal=False).exit_code == 0
    assert sign(tmp_path, at_terminal=False).exit_code == 0
