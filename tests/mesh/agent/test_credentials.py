"""What an agent shows: from its files, or for itself alone."""

import itertools

import msgspec
import pytest

from mesh.addresses import TcpAddress
from mesh.agent.credentials import (
    CertificateEarlyError,
    FileCheck,
    check_files,
    notices,
    open_credentials,
)
from mesh.agent.files import (
    IDENTITY_FILE,
    PUBLIC_MODE,
    AgentFileError,
    KeyMode,
    KeyUse,
    create_file,
    write_key,
)
from mesh.agent.revocation_file import REVOCATIONS_FILE, write_lists
from mesh.agent.validity import invalid
from mesh.config.schema import (
    KEY_MODES,
    AcceptSection,
    AgentSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
    TrustSection,
)
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import issue_certificate
from mesh.trust.identity import Identity, display_id, encode_public_key
from mesh.trust.revocations import Revocation, sign_list

AUTHORITY = Identity(b"a" * 32)
NOW = 1_800_000_000
DAY = 86400


def byte_count():
    counter = itertools.count(1)
    return lambda count: bytes([next(counter)]) * count


@pytest.fixture
def config(tmp_path):
    return Config(
        agent=AgentSection(name="branch", data_dir=tmp_path / "data"),
        trust=TrustSection(authorities=(AUTHORITY.public_key,), certificate=tmp_path / "branch.cert"),
    )


def start(config, now=NOW):
    return open_credentials(config, now_unix_s=now, random_bytes=byte_count())


def refusal(config, now=NOW):
    with pytest.raises(AgentFileError) as caught:
        start(config, now)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def certify(config, public_key, *, authority=AUTHORITY, name="branch", days=100):
    wire = issue_certificate(
        authority, subject=public_key, name=name, not_before=NOW, not_after=NOW + days * DAY
    )
    create_file(config.trust.certificate, certificate_to_text(wire), PUBLIC_MODE)


def make_identity(config, seed=b"i" * 32):
    config.agent.data_dir.mkdir()
    write_key(config.agent.data_dir / IDENTITY_FILE, KeyUse.IDENTITY, seed)
    return Identity(seed)


def test_an_agent_with_key_and_certificate(config):
    identity = make_identity(config)
    certify(config, identity.public_key)
    credentials = start(config)
    assert credentials.identity.id == credentials.certificate.agent_id == identity.id
    assert credentials.trust.admit(credentials.wire, NOW) == credentials.certificate
    assert check_files(config, now_unix_s=NOW) == FileCheck((), ())
    assert "i" * 32 not in repr(credentials)


def test_the_first_start_makes_the_key_and_says_how_to_sign(config):
    text = refusal(config)
    identity = Identity(b"\1" * 32)
    assert text.startswith(f"trust.certificate: {config.trust.certificate}: is missing")
    assert f"--name branch --public-key {encode_public_key(identity.public_key)} --out branch.cert" in text
    certify(config, identity.public_key)
    assert start(config).identity.id == identity.id


def test_a_data_directory_in_which_others_write_is_refused(config):
    make_identity(config)
    config.agent.data_dir.chmod(0o777)
    certify(config, Identity(b"i" * 32).public_key)
    text = refusal(config)
    assert text.startswith(f"agent.data_dir: {config.agent.data_dir}: others can write in this directory")
    assert check_files(config, now_unix_s=NOW).problems == (text,)


def test_no_key_is_made_where_others_write(config):
    config.agent.data_dir.mkdir()
    config.agent.data_dir.chmod(0o777)
    assert "others can write" in refusal(config)
    assert list(config.agent.data_dir.iterdir()) == []


def test_an_agent_that_was_revoked_is_told_by_a_check_and_starts_all_the_same(config):
    identity = make_identity(config)
    certify(config, identity.public_key)
    lists = config.agent.data_dir / REVOCATIONS_FILE
    write_lists(lists, [sign_list(AUTHORITY, 1, [Revocation(identity.id, NOW, reason="was stolen")])])
    (notice,) = check_files(config, now_unix_s=NOW).notices
    assert notice.startswith("this agent was revoked on")
    assert "mesh join" in notice
    assert start(config).trust.revocation(start(config).certificate) is not None
    lists.write_text("-----BEGIN MESH REVOCATIONS-----")
    (problem,) = check_files(config, now_unix_s=NOW).problems
    assert "the list is cut off" in problem


def test_a_check_writes_nothing(config, tmp_path):
    check = check_files(config, now_unix_s=NOW)
    assert len(check.problems) == 1
    assert check.problems[0].startswith(
        f"trust.certificate: {tmp_path}/branch.cert: cannot be read: no such file"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_link", [False, True])
def test_a_path_with_dots_is_told_without_them(config, tmp_path, is_link):
    """It is the same file, also where what comes before the dots is a link to elsewhere."""
    elsewhere = tmp_path / "far" / "home"
    elsewhere.mkdir(parents=True)
    above = tmp_path / "far" if is_link else tmp_path
    home = tmp_path / "home"
    home.symlink_to(elsewhere) if is_link else home.mkdir()
    trust = msgspec.structs.replace(config.trust, certificate=home / ".." / "no.cert")
    (problem,) = check_files(msgspec.structs.replace(config, trust=trust), now_unix_s=NOW).problems
    assert problem.startswith(f"trust.certificate: {above}/no.cert: cannot be read")


def test_a_certificate_whose_key_is_missing_makes_no_other_key(config, tmp_path):
    certify(config, AUTHORITY.public_key)
    text = refusal(config)
    assert (
        f"agent.data_dir: {tmp_path}/data/identity.key: is missing; {config.trust.certificate} is for agent"
        in text
    )
    assert check_files(config, now_unix_s=NOW).problems == (text,)
    assert not (tmp_path / "data").exists()


def test_a_certificate_of_another_agent_is_refused(config):
    identity = make_identity(config)
    certify(config, AUTHORITY.public_key)
    text = refusal(config)
    assert f"is for agent {display_id(AUTHORITY.id)}, but " in text
    assert text.endswith(f"is the key of {display_id(identity.id)}")


def test_a_certificate_of_a_foreign_authority_is_refused(config):
    identity = make_identity(config)
    certify(config, identity.public_key, authority=Identity(b"f" * 32))
    assert "an authority that this agent does not trust" in refusal(config)


def test_an_expired_certificate_is_refused(config):
    certify(config, make_identity(config).public_key)
    text = refusal(config, now=NOW + 100 * DAY)
    assert text.startswith(f"trust.certificate: {config.trust.certificate}: ")
    assert "expired since" in text


def test_a_certificate_that_is_early_is_told_apart_with_both_times(config):
    certify(config, make_identity(config).public_key)
    with pytest.raises(CertificateEarlyError) as caught:
        start(config, now=NOW - 301)
    times = "it begins at 2027-01-15 08:00:00 UTC, and this machine's clock shows 2027-01-15 07:54:59 UTC"
    assert str(caught.value) == f"trust.certificate: {config.trust.certificate}: is not valid yet: {times}"
    check = check_files(config, now_unix_s=NOW - 301)
    assert check.problems == ()  # an agent would start and wait, so what is started after a check is, too
    (notice,) = check.notices
    assert notice.startswith(f"the certificate of this agent is not valid yet: {times}")
    assert start(config, now=NOW - 300).certificate.name == "branch"
    assert check_files(config, now_unix_s=NOW - 300) == FileCheck((), ())


@pytest.mark.parametrize("spoil", ["authority", "key", "mode"])
def test_nothing_is_waited_for_that_time_does_not_mend(config, spoil):
    identity = make_identity(config)
    authority = Identity(b"f" * 32) if spoil == "authority" else AUTHORITY
    certify(config, AUTHORITY.public_key if spoil == "key" else identity.public_key, authority=authority)
    if spoil == "mode":
        (config.agent.data_dir / IDENTITY_FILE).chmod(0o644)
    with pytest.raises(AgentFileError) as caught:
        start(config, now=0)
    assert not isinstance(caught.value, CertificateEarlyError)
    assert len(check_files(config, now_unix_s=0).problems) == 1


def test_a_check_tells_all_problems(config):
    make_identity(config)
    (config.agent.data_dir / IDENTITY_FILE).chmod(0o644)
    assert len(check_files(config, now_unix_s=NOW).problems) == 2
    certify(config, AUTHORITY.public_key, authority=Identity(b"f" * 32))
    problems = check_files(config, now_unix_s=NOW).problems
    assert ["does not trust" in problems[0], "others can read" in problems[1]] == [True, True]
    assert [problem.partition(": ")[0] for problem in problems] == ["trust.certificate", "agent.data_dir"]


def test_a_certificate_that_ends_soon_or_has_another_name_is_noticed(config):
    certify(config, make_identity(config).public_key, name="other", days=29)
    certificate = start(config).certificate
    (named,) = notices(config, certificate, NOW)
    assert "agent.name is 'branch', but the mesh shows the certificate's name, 'other'" in named
    assert check_files(config, now_unix_s=NOW).notices == (named,)
    ending, named_again = notices(config, certificate, NOW + 28 * DAY)
    assert "in 24.0 hours" in ending
    assert named_again == named


def test_a_certificate_that_has_ended_is_refused_with_how_to_renew_it(config):
    certify(config, make_identity(config).public_key, days=29)
    text = refusal(config, now=NOW + 30 * DAY)
    assert "has been expired since 2027-02-13" in text
    assert "renews it with: mesh certificate sign --authority authority.key --name branch" in text
    assert check_files(config, now_unix_s=NOW + 30 * DAY).problems == (text,)


def test_a_peer_that_is_to_be_this_very_agent_is_an_error_by_name(config):
    identity = make_identity(config)
    certify(config, identity.public_key)
    elsewhere = PeerSection(address=TcpAddress("relay", 1), id=AUTHORITY.id)
    itself = PeerSection(address=TcpAddress("hq", 1), id=identity.id)
    config = msgspec.structs.replace(config, peers=(elsewhere, itself, PeerSection(address=itself.address)))
    text = refusal(config)
    assert text.startswith("peers[1].id: found this agent's own ID; expected")
    assert check_files(config, now_unix_s=NOW).problems == (text,)


SECRET = "s3cret"
WRITTEN = {
    "agent.name": "${NAME}",
    "agent.data_dir": "${HOME}/keys",
    "trust.certificate": "${CERTIFICATE}",
    "forward.endpoints[0].key": "${OFFERED}",
    "forward.listeners[0].key": "${USED}",
}


@pytest.mark.parametrize("spoil", ["nothing", "no certificate", "no key", "mode", "directory", "foreign"])
def test_what_came_from_the_environment_is_told_by_its_name(tmp_path, spoil):
    """It may be secret, such as the content of a file where its path belongs."""
    home = tmp_path / SECRET
    home.mkdir()
    config = Config(
        agent=AgentSection(name=SECRET, data_dir=home / "data"),
        trust=TrustSection(authorities=(AUTHORITY.public_key,), certificate=home / f"{SECRET}.cert"),
        forward=ForwardSection(
            endpoints=(EndpointSection(key=SECRET, target=TcpAddress("localhost", 1)),),
            listeners=(ListenerSection(key=f"{SECRET}-too", address=TcpAddress("localhost", 2)),),
        ),
    )
    identity = make_identity(config)
    if spoil != "no certificate":
        authority = Identity(b"f" * 32) if spoil == "foreign" else AUTHORITY
        certify(config, identity.public_key, authority=authority)
    key = config.agent.data_dir / IDENTITY_FILE
    if spoil == "no key":
        key.unlink()
    elif spoil == "mode":
        key.chmod(0o644)
    elif spoil == "directory":
        config.agent.data_dir.chmod(0o777)
    check = check_files(config, now_unix_s=NOW, written=WRITTEN)
    said = [*check.problems, *check.notices]
    if spoil == "nothing":
        assert "agent.name is '${NAME}'" in said[0]
        assert "does not let it offer '${OFFERED}' or use '${USED}'" in said[1]
        assert "--register '${OFFERED}' --use '${USED}'" in said[1]
    else:
        with pytest.raises(AgentFileError) as caught:
            open_credentials(config, now_unix_s=NOW, random_bytes=byte_count(), written=WRITTEN)
        said.append(str(caught.value))
        assert any("${" in line for line in check.problems)
    assert said
    assert not [line for line in said if SECRET in line]


def test_an_agent_that_others_dial_and_that_may_not_relay_is_noticed(config):
    certify(config, make_identity(config).public_key)
    accepting = msgspec.structs.replace(config, accept=(AcceptSection(address=TcpAddress("localhost", 1)),))
    (notice,) = check_files(accepting, now_unix_s=NOW).notices
    assert "carries nobody's traffic" in notice


def test_an_agent_without_trust_lives_by_itself():
    alone = Config(agent=AgentSection(name="alone"))
    credentials = start(alone)
    assert credentials.certificate.name == "alone"
    assert credentials.certificate.allows_register("any")
    assert credentials.certificate.allows_use("any")
    for now in (0, NOW, NOW + 100 * 365 * DAY):  # a clock that starts in 1970 is put right by decades
        assert credentials.trust.admit(credentials.wire, now) == credentials.certificate
        assert invalid(credentials.certificate, now) is None
    assert credentials.certificate.authority != credentials.identity.public_key
    assert check_files(alone, now_unix_s=NOW).problems == ()


def test_an_agent_without_trust_keeps_its_key_where_it_is_told(config):
    alone = msgspec.structs.replace(config, trust=None)
    assert start(alone).identity.id == start(alone).identity.id
    key_file = config.agent.data_dir / IDENTITY_FILE
    key_file.chmod(0o640)
    (problem,) = check_files(alone, now_unix_s=NOW).problems
    assert problem.startswith(f"agent.data_dir: {key_file}: others can read")


@pytest.mark.parametrize("has_trust", [True, False])
def test_a_key_that_its_group_may_read_needs_leave_and_is_told_how(config, has_trust):
    certify(config, make_identity(config).public_key)
    if not has_trust:
        config = msgspec.structs.replace(config, trust=None)
    key_file = config.agent.data_dir / IDENTITY_FILE
    for mode in (0o440, 0o640):
        key_file.chmod(mode)
        text = refusal(config)
        assert f"{key_file}: others can read or change this key file (mode {mode:04o})" in text
        assert "agent.key_mode: group" in text
        assert check_files(config, now_unix_s=NOW).problems == (text,)
        agent = msgspec.structs.replace(config.agent, key_mode="group")
        allowed = msgspec.structs.replace(config, agent=agent)
        assert start(allowed).identity.public_key == Identity(b"i" * 32).public_key
        assert check_files(allowed, now_unix_s=NOW).problems == ()
    key_file.chmod(0o644)
    text = refusal(allowed)
    assert "expected mode 0640" in text
    assert "key_mode" not in text


def test_the_modes_of_the_configuration_are_those_of_the_files():
    assert tuple(mode.value for mode in KeyMode) == KEY_MODES


def test_two_first_starts_at_once_agree_on_one_key(config, monkeypatch):
    """The other process writes its key between this one's look and its own write."""
    alone = msgspec.structs.replace(config, trust=None)

    def late(count):
        if not config.agent.data_dir.joinpath(IDENTITY_FILE).exists():
            write_key(config.agent.data_dir / IDENTITY_FILE, KeyUse.IDENTITY, b"o" * 32)
        return b"m" * count

    credentials = open_credentials(alone, now_unix_s=NOW, random_bytes=late)
    assert credentials.identity.id == Identity(b"o" * 32).id


def test_trust_without_a_place_for_the_key(config):
    agent = AgentSection(name="branch")
    assert "agent.data_dir: is missing" in refusal(msgspec.structs.replace(config, agent=agent))
