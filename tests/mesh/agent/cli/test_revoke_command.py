"""``mesh revoke``: at an issuer's hand and at an authority's, and what it says."""

import contextlib
from dataclasses import replace

import msgspec
import pytest

from mesh.agent.control import revocation_routes
from mesh.agent.control.api import ControlApp
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.files import KeyUse, write_key
from mesh.agent.revocation_changes import Became, Change, NextList, NotSignedError
from mesh.agent.revocation_file import read_lists
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import display_id, short_id
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import MAX_NUMBER, Revocations, sign_list
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.cli.test_asking_commands import run
from tests.mesh.agent.control.test_reading import HQ, RELAY
from tests.mesh.trust.certificate_company import AUTHORITY


class Issuer:
    """The agent that is asked; ``why`` says that it signs nothing."""

    def __init__(self):
        self.asked, self.why = [], ""

    def change(self, wish, around):
        self.asked.append((wish, around))
        if self.why:
            raise NotSignedError(self.why)
        changes = (Change(HQ.agent_id, "hq", Became.LIFTED if wish.undo else Became.REVOKED),)
        return NextList(sign_list(AUTHORITY, 7, []), 0, 2, changes)


@pytest.fixture
def issuer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    issuer = Issuer()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(replace(Asked().behind(), revoke=issuer.change), None))
        yield issuer


WHO = f"hq {short_id(HQ.agent_id)} ({display_id(HQ.agent_id)})"


def test_the_agent_that_is_asked_signs(issuer):
    result = run("revoke", "hq", "--reason", "was stolen", "--until", "30d")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{WHO} is revoked",
        "the list of this issuer: 2 agents; it tells the mesh, and says nothing of others' certificates",
    ]
    ((wish, around),) = issuer.asked
    assert (wish.agents, wish.reason, wish.for_s) == (("hq",), "was stolen", 30 * 86_400)
    assert (wish.undo, wish.dry_run, around.is_linked) == (False, False, True)
    assert around.members.keys() >= {HQ.agent_id, RELAY.agent_id}


@pytest.mark.parametrize(
    ("option", "said"), [("--undo", "is revoked no more"), ("--dry-run", "would be revoked")]
)
def test_it_is_said_what_becomes_of_each_agent(issuer, option, said):
    result = run("revoke", "hq", option)
    assert result.stdout.splitlines()[0] == f"{WHO} {said}"
    assert ("tells the mesh" in result.stdout) == (option == "--undo")


def test_why_not_is_the_one_line_that_is_told(issuer):
    issuer.why = "the certificate of hq was signed by the authority"
    result = run("revoke", "hq")
    assert (result.exit_code, result.stderr) == (2, f"{issuer.why}\n")


@pytest.mark.parametrize("options", [("--offline",), ("--passphrase-file", "x")])
def test_what_is_of_an_authority_needs_its_key(issuer, options):
    result = run("revoke", "hq", *options)
    assert result.exit_code == 2
    assert "is of use with --authority only" in result.stderr
    assert not issuer.asked


def test_an_agent_that_answers_what_cannot_be_is_told_as_text(issuer, monkeypatch):
    monkeypatch.setattr(revocation_routes, "display_id", lambda _: "\x1b[2J")
    result = run("revoke", "hq")
    assert (result.exit_code, "expected an agent's ID, found" in result.stderr) == (1, True)
    assert "\x1b" not in result.stderr


def test_a_list_of_a_time_to_come_uses_up_no_numbers_of_an_authority(tmp_path):
    key, asked = tmp_path / "authority.key", Asked()
    write_key(key, KeyUse.AUTHORITY, bytes([1]) * 32)
    ahead = read_revocations(sign_list(AUTHORITY, MAX_NUMBER - 1, []), TrustStore([AUTHORITY.public_key]))
    asked.snapshot = msgspec.structs.replace(asked.snapshot, revocations=Revocations([ahead]))
    command = ("revoke", display_id(HQ.agent_id), "--authority", key)
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(asked.behind(), None))
        refused = run(*command, "--socket", tmp_path / NAME)
    assert (refused.exit_code, "is of 9999-12-31" in refused.stderr) == (2, True)
    assert read_lists(key.with_suffix(".revocations")) == ()
    assert run(*command, "--offline").exit_code == 0


def test_an_authority_signs_by_its_key_and_a_dry_run_writes_nothing(tmp_path):
    key, agent_id = tmp_path / "authority.key", display_id(HQ.agent_id)
    write_key(key, KeyUse.AUTHORITY, bytes([1]) * 32)
    command = ("revoke", agent_id, "--authority", key, "--offline")
    assert "would be revoked" in run(*command, "--dry-run").stdout
    assert read_lists(key.with_suffix(".revocations")) == ()
    told = run(*command).stdout
    assert "is revoked" in told
    assert "no earlier list is beside the key" in told
    assert "is revoked already" in run(*command, "--dry-run").stdout
    (wire,) = read_lists(key.with_suffix(".revocations"))
    (entry,) = read_revocations(wire, TrustStore([AUTHORITY.public_key])).read.revoked
    assert entry.agent_id == HQ.agent_id
    assert "is revoked no more" in run(*command, "--undo").stdout
    assert "is not in the list of this authority" in run(*command, "--undo").stderr
