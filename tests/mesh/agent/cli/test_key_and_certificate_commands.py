"""The single steps behind ``mesh init``."""

import json
import re
import stat
import time
from datetime import UTC, datetime

import msgspec
import pytest
from click.testing import CliRunner

from mesh.agent.cli import key_commands, main
from mesh.agent.files import AgentFileError, KeyUse, read_certificate_file, read_key
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.extensions import Extension
from mesh.trust.identity import Identity, display_id, encode_public_key
from mesh.trust.issuing import IssuingLimits

DAY_S = 86_400
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def keys(tmp_path):
    assert run("authority", "new", tmp_path / "authority.key").exit_code == 0
    assert run("identity", "new", tmp_path / "identity.key").exit_code == 0
    return tmp_path


def sign(keys, *more, out="agent.cert"):
    given = ("--authority", keys / "authority.key", "--name", "branch", "--out", keys / out)
    return run("certificate", "sign", *given, *more)


def read(keys, out="agent.cert"):
    return read_certificate(read_certificate_file(keys / out))


def test_a_new_authority_shows_its_public_key(tmp_path):
    result = run("authority", "new", tmp_path / "a.key")
    public_key = encode_public_key(read_key(tmp_path / "a.key", KeyUse.AUTHORITY).public_key)
    assert result.stdout.splitlines()[-1] == public_key
    assert (tmp_path / "a.pub").read_text() == f"{public_key}\n"
    assert run("authority", "show", tmp_path / "a.key").stdout == f"{public_key}\n"
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600


def test_a_new_identity_shows_its_public_key_and_id(tmp_path):
    result = run("identity", "new", tmp_path / "a.key")
    identity = read_key(tmp_path / "a.key", KeyUse.IDENTITY)
    assert encode_public_key(identity.public_key) in result.stdout
    assert display_id(identity.id) in result.stdout
    assert run("identity", "show", tmp_path / "a.key").stdout == result.stdout


def test_an_identity_that_its_group_may_read_is_shown_where_that_is_wanted(keys):
    (keys / "identity.key").chmod(0o440)
    assert run("identity", "show", keys / "identity.key").exit_code == 2
    shown = run("identity", "show", keys / "identity.key", "--key-mode", "group")
    assert (shown.exit_code, shown.stdout[:12]) == (0, "public key: ")


@pytest.mark.parametrize("kind", ["authority", "identity"])
def test_a_key_is_never_overwritten(tmp_path, kind):
    run(kind, "new", tmp_path / "a.key")
    before = (tmp_path / "a.key").read_text()
    result = run(kind, "new", tmp_path / "a.key")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert (tmp_path / "a.key").read_text() == before


def test_a_public_key_file_in_the_way_leaves_no_authority(tmp_path):
    (tmp_path / "a.pub").write_text("mine")
    assert run("authority", "new", tmp_path / "a.key").exit_code == 2
    assert not (tmp_path / "a.key").exists()


@pytest.mark.parametrize("name", ["", ".", "/", "a.pub"])
def test_what_is_no_name_for_a_key_is_told(keys, monkeypatch, name):
    monkeypatch.chdir(keys)
    before = sorted(keys.iterdir())
    for command in (("authority", "new"), ("identity", "new")):
        if (name, command[0]) == ("a.pub", "identity"):
            continue
        result = run(*command, name)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "expected the name of a file" in result.stderr
    if name != "a.pub":
        result = sign(keys, "--identity", "identity.key", "--out", name)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert sorted(keys.iterdir()) == before


def test_a_public_key_that_cannot_be_written_leaves_no_authority(tmp_path, monkeypatch):
    def create_file(path, text, mode):
        raise AgentFileError(f"{path}: cannot be written: no space left on device")

    monkeypatch.setattr(key_commands, "create_file", create_file)
    result = run("authority", "new", tmp_path / "a.key")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text_is_told(keys):
    """As it comes from a terminal whose locale has another encoding."""
    result = sign(keys, "--identity", keys / "identity.key", "--name", "z\udcfc")
    assert result.exit_code == 2
    assert result.stderr == "cannot issue: 'z\\udcfc' is not text in UTF-8\n"


def test_no_command_prints_a_private_key(keys):
    secrets = [
        line for name in ("authority", "identity") for line in (keys / f"{name}.key").read_text().split("\n")
    ]
    secrets = [line for line in secrets if len(line) == 44]
    assert len(secrets) == 2
    shown = (
        run("identity", "show", keys / "identity.key").output
        + run("authority", "show", keys / "authority.key").output
    )
    assert not any(secret in shown for secret in secrets)


def test_a_certificate_from_an_identity_file(keys):
    result = sign(keys, "--identity", keys / "identity.key")
    assert result.exit_code == 0, result.output
    signed = read(keys)
    identity = read_key(keys / "identity.key", KeyUse.IDENTITY)
    assert (signed.subject, signed.name) == (identity.public_key, "branch")
    assert (signed.may_register, signed.may_use) == ((), ())
    assert (signed.may_relay, signed.may_manage) == (False, False)
    assert "branch may neither offer nor use a key; it carries nobody's traffic.\n" in result.stdout
    assert signed.not_after - signed.not_before == 825 * 86400
    authority = read_key(keys / "authority.key", KeyUse.AUTHORITY)
    wire = read_certificate_file(keys / "agent.cert")
    assert TrustStore([authority.public_key]).admit(wire, signed.not_before) == signed


def test_a_certificate_with_all_rights_is_told_to_be_for_a_try_out(keys):
    result = sign(keys, "--identity", keys / "identity.key", "--all")
    signed = read(keys)
    assert (signed.may_register, signed.may_use) == (("*",), ("*",))
    assert signed.may_relay
    assert signed.may_manage
    assert "That is for a try-out.\n" in result.stdout


def test_a_certificate_from_a_public_key_with_some_rights(keys):
    public_key = encode_public_key(read_key(keys / "identity.key", KeyUse.IDENTITY).public_key)
    result = sign(
        keys, "--public-key", public_key, "--valid-for", "36h", "--register", "web-*", "--register", "db",
        "--use", "x", "--manage",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    signed = read(keys)
    assert (signed.may_register, signed.may_use) == (("web-*", "db"), ("x",))
    assert (signed.may_relay, signed.may_manage) == (False, True)
    assert signed.not_after - signed.not_before == 36 * 3600


def test_an_issuer_and_what_it_has_signed_are_shown(keys):
    result = sign(
        keys, "--identity", keys / "identity.key", "--group", "staff", "--issue", "use=web-*",
        "--issue", "relay", "--issue", "group=*", "--issue-for", "30d",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    signed = read(keys)
    limits = IssuingLimits(30 * 86400, (), ("web-*",), may_relay=True, groups=("*",))
    assert (signed.groups, signed.may_issue) == (("staff",), limits)
    said = "It lets others in, for 30 days at a time, and may let them use web-*, relay, be in any group."
    assert f"Its groups: staff. {said}\n" in result.stdout
    shown = rows_of(run("certificate", "show", keys / "agent.cert"))
    assert (shown["groups"], shown["may issue"], shown["issuer"]) == ("staff", said, "the authority")
    content = json.loads(run("certificate", "show", keys / "agent.cert", "--json").stdout)
    assert content["may_issue"] == {"for_s": 30 * 86400, "rights": ["use=web-*", "group=*", "relay"]}
    assert (content["issuer"], content["is_invitation"]) == (None, False)
    issuer = read_key(keys / "identity.key", KeyUse.IDENTITY)
    wire = issue_certificate(
        issuer, subject=bytes(32), name="new", not_before=signed.not_before, not_after=signed.not_before + 60,
        may_use=("web-1",), issuer=read_certificate_file(keys / "agent.cert"),
    )  # fmt: skip
    (keys / "new.cert").write_text(certificate_to_text(wire))
    shown = rows_of(run("certificate", "show", keys / "new.cert"))
    assert shown["issuer"].startswith(f"branch, agent {display_id(issuer.id)}, until ")
    assert shown["verdict"] == "valid"
    content = json.loads(run("certificate", "show", keys / "new.cert", "--json").stdout)
    assert content["issuer"] == {"name": "branch", "agent_id": display_id(issuer.id)}


def rows_of(shown):
    return {label: text.strip() for label, text in (line.split(":", 1) for line in shown.stdout.splitlines())}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--public-key", encode_public_key(bytes(32)), "--group", "a b"), "a group's name of 1 to 63"),
        (
            ("--public-key", encode_public_key(bytes(32)), "--issue", "issue"),
            "only an authority makes issuers",
        ),
        (("--public-key", encode_public_key(bytes(32)), "--issue", "group=a b"), "a group's name of 1 to 63"),
        (("--public-key", encode_public_key(bytes(32)), "--issue", "relays"), "did you mean relay?"),
        ((), "either --public-key or --identity"),
        (("--public-key", "short"), "44 characters of base64"),
        (("--public-key", encode_public_key(bytes(32)), "--valid-for", "1 year"), "a duration"),
        (("--public-key", encode_public_key(bytes(32)), "--name", ""), "cannot issue"),
        (("--public-key", encode_public_key(bytes(32)), "--use", "x" * 256), "1 to 255 bytes"),
        (("--public-key", encode_public_key(bytes(32)), "--use", '"web-*"'), "without quotation marks"),
    ],
)
def test_a_certificate_that_cannot_be_signed(keys, more, reason):
    result = sign(keys, *more)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert not (keys / "agent.cert").exists()


def renewed(keys, *more):
    assert run("authority", "new", keys / "other.key").exit_code == 0
    given = ("--authority", keys / "other.key", "--out", keys / "renewed.cert", "--signed-by", own_key(keys))
    return run("certificate", "renew", keys / "agent.cert", *given, *more)


def own_key(keys):
    return encode_public_key(read_key(keys / "authority.key", KeyUse.AUTHORITY).public_key)


def test_a_certificate_is_signed_anew_by_another_authority_with_all_that_it_said(keys):
    rights = ("--use", "web-*", "--register", "db", "--relay", "--group", "staff", "--issue", "use=web-*")
    sign(keys, "--identity", keys / "identity.key", *rights, "--valid-for", "40d", "--issue-for", "9d")
    before, result = read(keys), renewed(keys)
    found = read(keys, "renewed.cert")
    other = read_key(keys / "other.key", KeyUse.AUTHORITY)
    TrustStore([other.public_key]).admit(read_certificate_file(keys / "renewed.cert"), time.time())
    times = {"not_before": 0, "not_after": 0, "authority": other.public_key}
    assert msgspec.structs.replace(found, **times) == msgspec.structs.replace(before, **times)
    assert found.not_after - found.not_before == 40 * DAY_S
    assert found.not_after >= before.not_after
    assert f"renewed.cert: for branch, agent {display_id(found.agent_id)}" in result.stdout


def test_an_issuer_need_not_be_made_one_again_and_the_time_may_be_another(keys):
    sign(keys, "--identity", keys / "identity.key", "--issue", "all")
    assert renewed(keys, "--no-issue", "--valid-for", "2d").exit_code == 0
    found = read(keys, "renewed.cert")
    assert (found.may_issue, found.not_after - found.not_before) == (None, 2 * DAY_S)


def test_what_somebody_else_has_signed_is_not_signed_anew(keys):
    thief, victim = Identity(b"t" * 32), read_key(keys / "identity.key", KeyUse.IDENTITY)
    span = {"not_before": 0, "not_after": DAY_S, "name": "x"}
    own = issue_certificate(thief, subject=victim.public_key, may_manage=True, **span)
    said_to_be = msgspec.structs.replace(
        read_certificate(own), authority=read_key(keys / "authority.key", KeyUse.AUTHORITY).public_key
    )
    given = ("--authority", keys / "authority.key", "--out", keys / "renewed.cert")
    for wire, why in (
        (own, f"is of the authority {encode_public_key(thief.public_key)}, and not of {own_key(keys)}"),
        (bytes(64) + msgspec.msgpack.encode(said_to_be), "has a bad signature"),
    ):
        (keys / "held.cert").write_text(certificate_to_text(wire))
        refused = run("certificate", "renew", keys / "held.cert", *given)
        assert (refused.exit_code, why in refused.stderr) == (2, True), refused.stderr
        assert not (keys / "renewed.cert").exists()
    sign(keys, "--identity", keys / "identity.key")
    assert run("certificate", "renew", keys / "agent.cert", *given).exit_code == 0


def test_what_is_no_agents_certificate_or_says_what_is_not_known_is_not_signed_anew(keys):
    hq, limits = Identity(b"i" * 32), IssuingLimits(DAY_S)
    span = {"not_before": 0, "not_after": DAY_S, "name": "x"}
    above = issue_certificate(hq, subject=hq.public_key, may_issue=limits, **span)
    invitation = issue_certificate(hq, subject=bytes(32), issuer=above, is_invitation=True, **span)
    later = msgspec.structs.replace(read_certificate(above), extensions=(Extension("later", True, b""),))
    for wire, why in (
        (invitation, "is an invitation"),
        (bytes(64) + msgspec.msgpack.encode(later), "says what this version of mesh does not know"),
    ):
        (keys / "held.cert").write_text(certificate_to_text(wire))
        given = ("--authority", keys / "authority.key", "--out", keys / "renewed.cert")
        refused = run("certificate", "renew", keys / "held.cert", *given)
        assert (refused.exit_code, f"{why}: it cannot be signed anew" in refused.stderr) == (2, True)
        assert not (keys / "renewed.cert").exists()


def test_a_certificate_in_the_way_stays_and_the_error_says_what_to_do(keys):
    sign(keys, "--identity", keys / "identity.key")
    before = (keys / "agent.cert").read_text()
    result = sign(keys, "--identity", keys / "identity.key", "--use", "x")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "agent.cert: exists already and is not overwritten; "
        "choose another name, or move the old one away first\n"
    )
    assert (keys / "agent.cert").read_text() == before


def test_an_identity_cannot_sign(keys):
    result = run(
        "certificate", "sign", "--authority", keys / "identity.key", "--name", "x",
        "--identity", keys / "identity.key", "--out", keys / "x.cert",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "expected a mesh authority key" in result.stderr


def test_a_certificate_is_never_overwritten(keys):
    sign(keys, "--identity", keys / "identity.key")
    assert sign(keys, "--identity", keys / "identity.key").exit_code == 2


def test_showing_a_certificate(keys):
    sign(keys, "--identity", keys / "identity.key", "--register", "*")
    signed = read(keys)
    rows = dict(
        line.split(":", 1) for line in run("certificate", "show", keys / "agent.cert").stdout.splitlines()
    )
    assert rows["name"].strip() == "branch"
    assert rows["agent ID"].strip() == display_id(signed.agent_id)
    assert rows["may register"].strip() == "*"
    assert rows["valid until"].endswith("days left)")
    assert rows["verdict"].strip() == "valid"
    content = json.loads(run("certificate", "show", keys / "agent.cert", "--json").stdout)
    assert content["agent_id"] == display_id(signed.agent_id)
    assert content["public_key"] == encode_public_key(signed.subject)
    assert content["verdict"] == "valid"
    times = [datetime.fromisoformat(content[name]) for name in ("not_before", "not_after")]
    assert times == [datetime.fromtimestamp(at, UTC) for at in (signed.not_before, signed.not_after)]
    assert all(RFC_3339.fullmatch(content[name]) for name in ("not_before", "not_after"))


def test_a_certificate_is_judged_by_a_given_authority(keys):
    sign(keys, "--identity", keys / "identity.key")
    run("authority", "new", keys / "other.key")
    own, other = ((keys / f"{name}.pub").read_text().strip() for name in ("authority", "other"))
    shown = run("certificate", "show", keys / "agent.cert", "--authority", other)
    assert "not valid: the certificate of 'branch'" in shown.stdout
    assert "does not trust" in shown.stdout
    assert (shown.exit_code, shown.stderr) == (1, "")
    shown = run("certificate", "show", keys / "agent.cert", "--authority", other, "--authority", own)
    assert shown.stdout.endswith(" valid\n")
    assert shown.exit_code == 0


@pytest.mark.parametrize(
    ("not_before", "not_after", "verdict"),
    [(-2 * DAY_S, -DAY_S, "has been expired since"), (DAY_S, 2 * DAY_S, "is not valid until")],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_scripts_hear_that_a_certificate_is_not_valid(tmp_path, not_before, not_after, verdict, options):
    now = int(time.time())
    wire = issue_certificate(
        Identity(bytes(32)),
        subject=bytes(32),
        name="a",
        not_before=now + not_before,
        not_after=now + not_after,
    )
    (tmp_path / "a.cert").write_text(certificate_to_text(wire))
    shown = run("certificate", "show", tmp_path / "a.cert", *options)
    assert (shown.exit_code, shown.stderr) == (1, "")
    text = json.loads(shown.stdout)["verdict"] if options else shown.stdout
    assert "not valid: " in text
    assert verdict in text


def test_what_is_no_certificate_is_neither_valid_nor_not(tmp_path):
    (tmp_path / "a.cert").write_text("nothing")
    assert run("certificate", "show", tmp_path / "a.cert").exit_code == 2


def test_showing_what_is_no_certificate(keys):
    result = run("certificate", "show", keys / "identity.key")
    assert result.exit_code == 2
    assert "identity.key: found a mesh identity key; expected a mesh certificate" in result.stderr
