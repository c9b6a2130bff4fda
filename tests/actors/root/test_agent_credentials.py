"""The root actor: certificate and authorities change while the agent runs."""

from typing import Any

import pytest

from actors.messages import agent as messages
from actors.root.agent import RIGHTS_KNOWN_S
from actors.runtime.seam import ConnectFailed
from actors.runtime.virtual.world import UNIX_START_S
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import Identity, short_id
from tests.actors.company import AUTHORITY
from tests.actors.root.root_mesh import KEY, PORT, running_mesh

OTHER = Identity(b"another authority".ljust(32))
BOTH, ONE, NEW = (AUTHORITY, OTHER), (AUTHORITY,), (OTHER,)
RIGHTS = {"may_register": ["*"], "may_use": ["*"], "may_relay": True}


@pytest.fixture
def mesh(caplog):
    yield from running_mesh(caplog)


def credentials(
    mesh: Any,
    of: str,
    *,
    trusted: Any = ONE,
    by: Identity = AUTHORITY,
    name: str = "",
    until_s: int = 1_000_000,
    **rights: Any,
) -> Credentials:
    """Of an agent: issued a second after its first ones."""
    identity = mesh.identity(of)
    wire = issue_certificate(
        by,
        subject=identity.public_key,
        name=name or of,
        not_before=int(UNIX_START_S) + 1,
        not_after=int(UNIX_START_S) + until_s,
        **RIGHTS | rights,
    )
    trust = TrustStore([each.public_key for each in trusted])
    return Credentials(identity, wire, read_certificate(wire), trust)


def certify(mesh: Any, of: str, run_s: float = 3.0, **changes: Any) -> Credentials:
    made = credentials(mesh, of, **changes)
    mesh.roots[of].ref.tell(messages.ChangeCredentials(made))
    mesh.run(run_s)
    return made


def links(mesh: Any) -> dict[str, set[str]]:
    return {name: {each.actor_urn for each in mesh.links(name)} for name in mesh.roots}


def talks(mesh: Any, client: Any, service: Any) -> bool:
    before = len(service.received), len(client.received)
    client.send(b"more")
    service.send(b"mehr")
    mesh.run(0.5)
    return (len(service.received), len(client.received)) == (before[0] + 4, before[1] + 4)


@pytest.mark.parametrize("name", ["relay", "hq", "branch"])
def test_a_renewed_certificate_touches_no_link_and_every_other_agent_hears_of_it(mesh, name):
    client, service = mesh.converse()
    before = links(mesh)
    made = certify(mesh, name, name="renamed", until_s=2_000_000)
    assert links(mesh) == before
    assert talks(mesh, client, service)
    for at in mesh.roots:
        assert mesh.record(name, at=at).certificate == made.certificate
    neighbours = [each for at in mesh.roots for each in mesh.links(at) if each._link.name == "renamed"]
    assert len(neighbours) == (2 if name == "relay" else 1)
    assert all(each._link.peer.peer == made.certificate for each in neighbours)


@pytest.mark.parametrize(("name", "end"), [("branch", "IngressConnection"), ("hq", "ExitConnection")])
def test_new_connections_are_told_of_by_the_name_that_the_agent_has_now(mesh, name, end):
    certify(mesh, name, name="renamed")
    mesh.converse()
    ends = [each for each in mesh.world.dispatcher(name).actors if type(each).__name__ == end]
    (view,) = (each._view() for each in ends if each._id)
    assert "renamed" in (view.ingress if name == "branch" else view.exit)


def test_a_link_goes_on_after_the_end_of_the_certificate_that_it_began_with(mesh):
    for name in mesh.roots:
        certify(mesh, name, run_s=1.0, until_s=100)
    before = links(mesh)
    for name in mesh.roots:
        certify(mesh, name, run_s=1.0, until_s=100_000)
    client, service = mesh.converse()
    mesh.run(200.0)
    assert links(mesh) == before
    assert talks(mesh, client, service)


def test_without_another_certificate_links_close_when_it_ends(mesh):
    for name in mesh.roots:
        certify(mesh, name, run_s=1.0, until_s=100)
    mesh.run(200.0)
    assert [mesh.links(name) for name in mesh.roots] == [[], [], []]


def test_whoever_is_not_trusted_any_more_loses_links_connections_and_records_at_once(mesh, caplog):
    caplog.set_level("INFO")
    certify(mesh, "branch", trusted=BOTH)
    certify(mesh, "hq", trusted=BOTH)
    certify(mesh, "relay", trusted=BOTH, by=OTHER)
    client, service = mesh.converse()
    for name in ("branch", "hq"):  # they have another certificate now, and hq's is the one that is refused
        certify(mesh, name, trusted=BOTH, by=OTHER if name == "branch" else AUTHORITY)
    assert talks(mesh, client, service)
    certify(mesh, "relay", trusted=NEW, by=OTHER, run_s=1.1)
    hq, branch = mesh.identity("hq"), mesh.identity("branch")
    assert mesh.record("hq", at="relay") is None
    assert mesh.record("branch", at="relay") is not None
    peers = {each._link.peer.peer_id for each in mesh.links("relay") if each._link.name}
    assert peers == {branch.id}
    assert "closing the link to hq" in caplog.text
    assert "the peer closed it: the certificate of 'hq'" in caplog.text  # hq's operator sees it, too
    assert hq.id not in mesh.actor("relay", "RouteTable")._state._link_state._store.past
    mesh.run(30.0)
    assert mesh.record("hq", at="relay") is None
    assert isinstance(mesh.connect(), ConnectFailed)


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_an_end_that_does_not_trust_the_other_any_more_resets_what_is_open(mesh, caplog, who):
    for name in mesh.roots:
        certify(mesh, name, trusted=BOTH, by=OTHER if name == who else AUTHORITY)
    client, service = mesh.converse()
    judge = "hq" if who == "branch" else "branch"
    certify(mesh, judge, trusted=ONE, run_s=1.0)
    assert client.end
    assert service.end  # the one who is not trusted any more hears of it at once, too
    assert f"certificate of {who} {short_id(mesh.identity(who).id)} is not accepted any more" in caplog.text
    assert mesh.record(who, at=judge) is None
    mesh.run(20.0)
    assert mesh.counts(who) == (0, 0, 0)
    assert mesh.counts(judge) == (0, 0, 0)


def test_one_that_is_trusted_again_is_back_though_it_has_said_nothing_new(mesh):
    certify(mesh, "relay", trusted=BOTH)
    certify(mesh, "branch", trusted=BOTH)
    certify(mesh, "hq", trusted=BOTH, by=OTHER)
    certify(mesh, "branch", trusted=ONE)
    assert KEY not in mesh.snapshot("branch").candidates
    client = mesh.connect()
    assert isinstance(client, ConnectFailed)
    certify(mesh, "branch", trusted=BOTH, run_s=1.0)
    assert talks(mesh, *mesh.converse())


def test_a_stranger_comes_in_as_soon_as_its_authority_is_one(mesh):
    for name in ("branch", "hq"):
        certify(mesh, name, trusted=NEW, by=OTHER)
    mesh.run(10.0)
    assert mesh.links("branch") == mesh.links("hq") == []
    certify(mesh, "relay", trusted=NEW, by=OTHER, run_s=10.0)
    assert talks(mesh, *mesh.converse())


def test_the_right_to_relay_comes_and_goes_and_nobody_takes_that_for_forgery(mesh, caplog):
    client, service = mesh.converse()
    before = links(mesh)
    certify(mesh, "relay", may_relay=False)
    assert KEY not in mesh.snapshot("branch").candidates
    assert not talks(mesh, client, service)
    certify(mesh, "relay", may_relay=True)
    assert talks(mesh, *mesh.converse())
    assert links(mesh) == before
    assert "in the name of another" not in caplog.text


def test_a_new_right_to_relay_waits_until_others_know_whatever_else_changes(mesh):
    certify(mesh, "relay", may_relay=False)
    certify(mesh, "relay", run_s=0.1, may_relay=True)
    root, directory = mesh.roots["relay"], mesh.actor("relay", "PeerDirectory")
    mesh.world.ask(root.ref, messages.Configure(root._surroundings.setup.config))
    mesh.run(0.1)
    assert not directory._relays
    mesh.run(RIGHTS_KNOWN_S)
    assert directory._relays


def test_rights_to_keys_come_and_go(mesh):
    certify(mesh, "branch", may_use=["other"])
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}
    assert isinstance(mesh.connect(), ConnectFailed)
    certify(mesh, "branch")
    assert talks(mesh, *mesh.converse())
    certify(mesh, "hq", may_register=["other"])
    assert KEY not in mesh.snapshot("branch").candidates
    certify(mesh, "hq")
    assert talks(mesh, *mesh.converse())


@pytest.mark.parametrize(("who", "right"), [("branch", "may_use"), ("hq", "may_register")])
def test_what_is_open_ends_with_the_right_by_which_it_was_opened(mesh, who, right):
    mesh.converse()
    (meter,) = mesh.roots["branch"]._surroundings.meters.listeners.values()
    assert meter.connected() == 1
    certify(mesh, who, **{right: ["other"]})
    assert isinstance(mesh.connect(), ConnectFailed)
    assert meter.connected() == 0


def test_an_agent_that_starts_everything_anew_has_its_new_certificate(mesh):
    made = certify(mesh, "relay", until_s=2_000_000)
    mesh.kill("relay", "RouteTable")
    later = certify(mesh, "relay", run_s=6.0, until_s=3_000_000)
    assert mesh.record("relay", at="hq").certificate == later.certificate != made.certificate
    assert talks(mesh, *mesh.converse())
