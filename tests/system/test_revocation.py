"""An authority takes an agent out of a mesh of real processes, and lets it in again."""

import stat

import pytest

from mesh.agent.files import KeyUse, write_key
from mesh.trust.identity import Identity
from scripts.lab.clients import connect, is_reset, read_exactly, refuses
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

SEED = b"an authority that revokes".ljust(32)


@pytest.fixture
def pair(mesh, tmp_path):
    """Branch - hq, which offers an echo as "a"; the authority's key is in a file."""
    mesh.authority = Identity(SEED)
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    key = tmp_path / "authority.key"
    write_key(key, KeyUse.AUTHORITY, SEED)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        branch.wait_for_route("a")
        yield branch, hq, port, key


def test_the_revoked_is_cut_off_at_once_says_so_itself_and_stays_out(pair):
    branch, hq, port, key = pair
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        told = hq.ask("revoke", "branch", "--authority", str(key), "--reason", "was stolen").stdout
        assert "is revoked" in told
        assert is_reset(client, 10.0)
    wait_until(lambda: refuses(port), "the service is gone for branch")
    assert "was stolen" in hq.ask("revocations").stdout
    wait_until(lambda: "this agent was revoked on" in branch.ask("status").stdout, "branch knows it")
    assert "not ready" in branch.ask("status").stdout
    kept = hq.folder / "revocations"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    hq.kill()
    hq.start()
    hq.wait_for_lines_with("link refused")
    hq.wait_for_lines_with("'branch'")
    hq.ask("revoke", "branch", "--authority", str(key), "--undo")
    branch.wait_for_route("a")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def test_a_list_in_the_data_directory_is_taken_up_and_a_damaged_one_is_told(pair):
    branch, hq, _, key = pair
    hq.ask("revoke", branch.identity.id.hex(), "--authority", str(key), "--offline")
    lists = key.with_suffix(".revocations").read_text()
    (hq.folder / "revocations").write_text(lists[:200])
    hq.wait_for_lines_with("the list is cut off")
    (hq.folder / "revocations").write_text(lists)
    wait_until(lambda: branch.identity.id.hex() in hq.ask("revocations").stdout, "hq has taken the list up")
    branch.wait_for_lines_with("this agent was revoked on")
