"""``mesh init``: a whole mesh that works as it stands."""

import re
import shlex
import stat

import pytest
from click.testing import CliRunner

from mesh.addresses import TcpAddress
from mesh.agent.cli import init_command, main
from mesh.agent.credentials import open_credentials
from mesh.agent.files import read_certificate_file
from mesh.config import load_config
from mesh.trust.certificates import read_certificate

NAMES = ("branch", "relay", "hq")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def load(directory, name):
    return load_config(directory / name / "config.yaml", environment={}, host_name="host")


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def mesh(tmp_path):
    result = run("init", tmp_path / "mesh", "--agents", "branch:use=*,relay:relay,hq:register=postgres-*")
    assert result.exit_code == 0, result.output
    return tmp_path / "mesh"


def test_it_makes_an_authority_and_three_agents(mesh):
    expected = ["authority.key", "authority.pub", *NAMES]
    expected += [f"{name}/{file}" for name in NAMES for file in ("agent.cert", "config.yaml", "identity.key")]
    assert files(mesh) == sorted(expected)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in mesh.rglob("*.key")}
    assert modes == {"authority.key": 0o600, "identity.key": 0o600}


def test_the_configurations_work_as_they_stand(mesh):
    configs = [load(mesh, name) for name in NAMES]
    authority = (mesh / "authority.pub").read_text().strip()
    for name in NAMES:
        result = run("check", mesh / name / "config.yaml")
        assert result.exit_code == 0, result.output
        assert f"ok: agent {name} with 0 endpoints" in result.stdout
        assert authority in (mesh / name / "config.yaml").read_text()
    now = read_certificate(read_certificate_file(mesh / "hq" / "agent.cert")).not_before
    credentials = [open_credentials(config, now_unix_s=now, random_bytes=bytes) for config in configs]
    for one in credentials:
        for other in credentials:
            admitted = one.trust.admit(other.wire, other.certificate.not_before)
            assert admitted.name == other.certificate.name
            assert not admitted.may_manage
            assert admitted.not_after - admitted.not_before == 825 * 86400
    assert len({one.identity.id for one in credentials}) == 3


def test_what_was_not_asked_for_is_not_granted(mesh):
    rights = {}
    for name in NAMES:
        signed = read_certificate(read_certificate_file(mesh / name / "agent.cert"))
        rights[name] = (signed.may_register, signed.may_use, signed.may_relay, signed.may_manage)
    assert rights == {
        "branch": ((), ("*",), False, False),
        "relay": ((), (), True, False),
        "hq": (("postgres-*",), (), False, False),
    }


def test_several_rights_of_one_agent(tmp_path):
    agents = " a : register=x-* : register = y: use=*:manage , b:all, c"
    result = run("init", tmp_path / "m", "--agents", agents)
    assert result.exit_code == 0, result.output
    signed = {
        name: read_certificate(read_certificate_file(tmp_path / "m" / name / "agent.cert")) for name in "abc"
    }
    assert (signed["a"].may_register, signed["a"].may_use) == (("x-*", "y"), ("*",))
    assert (signed["a"].may_relay, signed["a"].may_manage) == (False, True)
    assert (signed["b"].may_register, signed["b"].may_use) == (("*",), ("*",))
    assert (signed["b"].may_relay, signed["b"].may_manage) == (True, True)
    assert (signed["c"].may_register, signed["c"].may_use, signed["c"].may_relay) == ((), (), False)
    assert "  a may offer x-*, y and use any key and manage other agents; it carries nobody's traffic.\n" in (
        result.output
    )
    assert "  b may do everything: " in result.output
    assert "  c may neither offer nor use a key; it carries nobody's traffic.\n" in result.output


def test_who_may_relay_is_dialed(tmp_path):
    assert run("init", tmp_path / "m", "--agents", "a,b:relay,c:relay").exit_code == 0
    assert [bool(load(tmp_path / "m", name).accept) for name in "abc"] == [False, True, True]


def test_what_a_mesh_cannot_do_without_rights_is_told(tmp_path):
    without = run("init", tmp_path / "m", "--agents", "a,b,c").output
    assert "Nobody may offer a key: grant it as in NAME:register=PATTERN.\n" in without
    assert "Nobody may use a key: grant it as in NAME:use=PATTERN.\n" in without
    assert "only those that they have a link to: grant it as in a:relay.\n" in without
    enough = run("init", tmp_path / "n", "--agents", "a:register=x,b:relay,c:use=x").output
    assert "grant it" not in enough
    assert "have a link to" not in run("init", tmp_path / "o", "--agents", "a,b").output


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (
            "a:relays",
            "a: expected the right relay, manage, issue, register=PATTERN, use=PATTERN, group=NAME or all",
        ),
        ("a:relays", "; did you mean relay?"),
        ("a:used=*", "; did you mean use?"),
        ("a:", "found ''; a pattern that has a colon or a comma is for: mesh certificate sign"),
        ("a:use=x:8080", "found '8080'; a pattern that has a colon or a comma is for: mesh certificate sign"),
        ("a:use", "a: expected a pattern after use, as in use=web-* or use=*"),
        ("a:register=", "a: expected a pattern after register, as in register=web-*"),
        ("a:relay=yes", "a: expected relay without a value, found 'relay=yes'"),
        ("a:use=a b\t", "a: use=a b"),
        ('a:use="x"', "without quotation marks"),
    ],
)
def test_a_right_that_is_not_one_is_told(tmp_path, agent, reason):
    result = run("init", tmp_path / "m", "--agents", agent)
    assert (result.exit_code, (tmp_path / "m").exists()) == (2, False)
    assert reason in result.stderr


def test_the_others_dial_the_relay(mesh):
    branch, relay, hq = (load(mesh, name) for name in NAMES)
    assert [str(entry.address) for entry in relay.accept] == [":4433"]
    assert relay.peers == branch.accept == hq.accept == ()
    assert [entry.address for entry in branch.peers + hq.peers] == [TcpAddress("relay", 4433)] * 2
    assert all(load(mesh, name).http.address == TcpAddress("127.0.0.1", 8080) for name in NAMES)
    assert "FILL IN" in (mesh / "branch" / "config.yaml").read_text()
    assert "FILL IN" not in (mesh / "relay" / "config.yaml").read_text()


def test_the_commented_examples_work_when_uncommented(mesh):
    path = mesh / "branch" / "config.yaml"
    text = path.read_text()
    for line in ('    - key: "my-api"', '      target: "localhost:3000"', '    - key: "postgres-main"'):
        text = text.replace(f"  #{line[2:]}", f"  {line[2:]}")
    text = text.replace('  #    address: "127', '      address: "127').replace("# accept:", "accept:")
    text = text.replace('#   - address: "0.0.0.0', '  - address: "0.0.0.0')
    path.write_text(text)
    config = load(mesh, "branch")
    assert [str(entry.target) for entry in config.forward.endpoints] == ["localhost:3000"]
    assert [str(entry.address) for entry in config.forward.listeners] == ["127.0.0.1:5432"]
    assert [str(entry.address) for entry in config.accept] == ["0.0.0.0:4433"]


def test_a_service_is_proposed_that_the_certificates_grant(tmp_path):
    for agents, offered, wanted in (
        ("branch:use=*,relay:relay,hq:register=postgres-*", "postgres-main localhost:PORT", "branch"),
        ("branch:use=*,relay:relay,hq:register=web", "web localhost:PORT", "branch"),
        ("a:all,b:all", "my-api localhost:PORT", "b"),
        ("one:all", "my-api localhost:PORT", "one"),
    ):
        told = run("init", tmp_path / agents.replace("*", "x"), "--agents", agents).output
        assert f"mesh expose {offered} --save   # at " in told
        assert re.search(rf"mesh listen \S+ 127.0.0.1:PORT --save   # at {wanted}\n", told)
    local = run("init", tmp_path / "local", "--local", "--agents", "a:all,b:use=*").output
    assert f"mesh listen my-api 127.0.0.1:PORT --save --config {tmp_path}/local/b/config.yaml\n" in local


def test_the_next_steps_are_told(tmp_path):
    result = run("init", tmp_path / "m", "--agents", "branch,relay,hq")
    for name in ("branch", "hq"):
        path = tmp_path / "m" / name / "config.yaml"
        (number,) = [n for n, line in enumerate(path.read_text().splitlines(), 1) if "FILL IN" in line]
        assert f'       {path}:{number}: address: "relay:4433"\n' in result.output
    assert "relay/config.yaml" not in result.output
    assert "mesh agent config.yaml" in result.output
    assert "keep it secret and offline" in result.output
    result = run("init", tmp_path / "n", "--agents", "a,b", "--relay", "b=b.example.com:7000")
    assert "FILL IN" not in result.output
    assert [str(entry.address) for entry in load(tmp_path / "n", "a").peers] == ["b.example.com:7000"]
    assert [str(entry.address) for entry in load(tmp_path / "n", "b").accept] == [":7000"]


@pytest.mark.parametrize(
    ("dialed", "accepted"),
    [
        ("192.0.2.7:7000", "0.0.0.0:7000"),
        ("[2001:db8::7]:7000", "[::]:7000"),  # at 0.0.0.0 nobody who dials it gets through
        ("b.example.com:7000", ":7000"),  # whose address may be of either kind
    ],
)
def test_a_relay_accepts_links_where_the_others_dial(tmp_path, dialed, accepted):
    result = run("init", tmp_path / "m", "--agents", "a,b", "--relay", f"b={dialed}")
    assert f"accepts links on {accepted}" in result.output
    assert [str(entry.address) for entry in load(tmp_path / "m", "b").accept] == [accepted]


def test_the_relays_port_is_to_be_opened(tmp_path):
    result = run(
        "init", tmp_path / "m", "--agents", "a,b,c", "--relay", "b=b.example.com:7000", "--relay", "c"
    )
    (line,) = [line for line in result.output.splitlines() if "firewall" in line]
    assert "TCP port 7000 of b, 4433 of c: in its firewall, or its security group" in line
    assert "firewall" not in run("init", tmp_path / "n", "--agents", "only").output


def test_a_local_mesh_is_started_where_it_was_made(tmp_path):
    directory = tmp_path / "my mesh"
    result = run("init", directory, "--agents", "branch,relay,hq", "--local")
    assert not re.search("copy|machine and start|firewall", result.output, re.IGNORECASE)
    commands = [line.strip() for line in result.output.splitlines() if line.startswith("       mesh agent ")]
    paths = [shlex.split(command)[2] for command in commands]
    assert paths == [str(directory / name / "config.yaml") for name in NAMES]
    for name, path in zip(NAMES, paths, strict=True):
        assert f"       {name}: http://{load(directory, name).http.address}/\n" in result.output
        assert run("check", path).exit_code == 0


def test_without_a_usual_name_the_first_is_the_relay(tmp_path):
    assert run("init", tmp_path / "m", "--agents", "a, b").exit_code == 0
    assert load(tmp_path / "m", "a").accept
    assert load(tmp_path / "m", "b").peers


def test_one_agent_is_by_itself(tmp_path):
    result = run("init", tmp_path / "m", "--agents", "only")
    assert "by itself" in result.output
    config = load(tmp_path / "m", "only")
    assert config.accept == config.peers == ()


def test_several_relays_dial_each_other_once(tmp_path):
    result = run("init", tmp_path / "m", "--agents", "a,b,c", "--relay", "b", "--relay", "c=[::1]:9")
    assert result.exit_code == 0, result.output
    peers = {
        name: [str(entry.address) for entry in load(tmp_path / "m", name).peers] for name in ("a", "b", "c")
    }
    assert peers == {"a": ["b:4433", "[::1]:9"], "b": [], "c": ["b:4433"]}


def test_a_local_mesh_has_a_port_for_everything(tmp_path):
    result = run("init", tmp_path / "m", "--agents", "branch,relay,hq", "--local")
    assert "FILL IN" not in result.output
    configs = [load(tmp_path / "m", name) for name in NAMES]
    assert [config.http.address.port for config in configs] == [8080, 8081, 8082]
    assert [str(entry.address) for config in configs for entry in config.accept] == ["127.0.0.1:4433"]
    assert [str(entry.address) for config in configs for entry in config.peers] == ["127.0.0.1:4433"] * 2


def test_nothing_is_overwritten(mesh):
    before = {name: (mesh / name).read_bytes() for name in files(mesh) if (mesh / name).is_file()}
    result = run("init", mesh, "--agents", "other")
    assert result.exit_code == 2
    assert "authority.key: exists already and is not overwritten; to add an agent" in result.stderr
    assert {name: (mesh / name).read_bytes() for name in files(mesh) if (mesh / name).is_file()} == before


@pytest.mark.parametrize("existing", ["hq", "authority.pub"])
def test_what_exists_is_seen_before_anything_is_written(tmp_path, existing):
    (tmp_path / existing).mkdir()
    assert run("init", tmp_path, "--agents", "branch,hq").exit_code == 2
    assert files(tmp_path) == [existing]


def test_a_failure_takes_back_what_was_made(tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(init_command, "starter_config", fail)
    assert run("init", tmp_path / "m", "--agents", "a,b").exit_code != 0
    assert not (tmp_path / "m").exists()
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "mine").write_text("")
    assert run("init", tmp_path / "n", "--agents", "a,b").exit_code != 0
    assert files(tmp_path / "n") == ["mine"]


def test_a_directory_that_cannot_be_made_is_told_in_one_line(tmp_path):
    """Taking back what was made must not fail where nothing could be made."""
    (tmp_path / "file").write_text("mine")
    result = run("init", tmp_path / "file", "--agents", "a,b")
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path / 'file'}: cannot be made a directory: file exists\n"
    assert (tmp_path / "file").read_text() == "mine"
    result = run("init", tmp_path / "file" / "x", "--agents", "a,b")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--agents", ""),
        ("--agents", "a,,b"),
        ("--agents", "a,a"),
        ("--agents", "a,A"),
        ("--agents", "../x"),
        ("--agents", "."),
        ("--agents", "a/b"),
        ("--agents", "authority.key"),
        ("--agents", "x" * 64),
        ("--agents", "a,b", "--relay", "c"),
        ("--agents", "a,b", "--relay", "a", "--relay", "a=x:1"),
        ("--agents", "a,b", "--relay", "a=x"),
        ("--agents", "a,b", "--relay", "a=unix:/x"),
        ("--agents", "a,b", "--valid-for", "soon"),
        (),
    ],
)
def test_wrong_arguments_end_with_status_2_and_no_files(tmp_path, arguments):
    result = run("init", tmp_path / "m", *arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert not (tmp_path / "m").exists()


def test_an_agent_is_added_later_with_a_copy_of_anothers_configuration(mesh):
    """The way that README.md tells."""
    home = mesh / "elsewhere"
    home.mkdir()
    (public_key,) = re.findall("public key: (.+)", run("identity", "new", home / "identity.key").stdout)
    copied = (mesh / "hq" / "config.yaml").read_text().replace('name: "hq"', 'name: "late"')
    (home / "config.yaml").write_text(copied)
    key, certificate = mesh / "authority.key", home / "agent.cert"
    signing = ("--authority", key, "--name", "late", "--public-key", public_key, "--out", certificate)
    signed = run("certificate", "sign", *signing)
    assert signed.exit_code == 0, signed.output
    checked = run("check", home / "config.yaml")
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "ok: agent late with 0 endpoints, 0 listeners, 1 peer" in checked.stdout
