"""Invitations that are withdrawn, or die with whoever was revoked; and renewals of the revoked."""

import time
from dataclasses import replace

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.api import ControlApp
from mesh.agent.control.requests import INVITATIONS
from mesh.agent.enrolment.invitations import NAME
from mesh.agent.enrolment.inviting import NotWithdrawnError, Standing
from mesh.agent.enrolment.issued import NotIssuedError
from mesh.agent.files import AgentFileError
from mesh.agent.issuer_list import IssuerList
from mesh.errors import RevokedError
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import Identity, display_id
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import Revocation, Revocations, sign_list
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.enrolment.test_desk import (
    AUTHORITY,
    ISSUER,
    MEMBER,
    NEW,
    NOW,
    OTHER,
    Office,
    credentials,
    member,
)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path, credentials())


def id_of(token):
    return display_id(Identity(token.seed).id)


def hear(office, *lists):
    trust = office.own.trust
    heard = trust.revocations.joined(Revocations([read_revocations(wire, trust) for wire in lists]))
    office.own = msgspec.structs.replace(office.own, trust=trust.revoking(heard))


def standings(office):
    return [each.standing for each in office.desk.inviting.all()]


def test_nobody_joins_by_an_invitation_that_is_withdrawn_also_after_a_restart(office):
    token, other = office.invite(), office.invite(name="other")
    assert office.desk.inviting.withdraw(id_of(token)).name == "new"
    office.open()
    assert standings(office) == [Standing.WITHDRAWN, Standing.PENDING]
    assert office.join(token).why_not == "the invitation was withdrawn: ask for another"
    assert not office.join(other, OTHER).why_not
    assert standings(office) == [Standing.WITHDRAWN, Standing.USED]


def test_one_that_was_used_or_is_not_there_cannot_be_withdrawn(office):
    token = office.invite()
    office.join(token)
    with pytest.raises(NotWithdrawnError, match=f"mesh revoke {display_id(NEW.id)}"):
        office.desk.inviting.withdraw(id_of(token))
    with pytest.raises(NotWithdrawnError, match="no invitation has the ID"):
        office.desk.inviting.withdraw("0" * 32)


def test_what_cannot_be_written_down_is_not_withdrawn(office):
    token = office.invite()
    (office.data_dir / NAME).unlink()
    (office.data_dir / NAME).mkdir()
    with pytest.raises(AgentFileError, match=NAME):
        office.desk.inviting.withdraw(id_of(token))
    assert standings(office) == [Standing.PENDING]


@pytest.mark.parametrize("by", ["authority", "issuer"])
def test_an_invitation_that_is_revoked_by_its_id_lets_nobody_in_and_links_with_nobody(office, by):
    token = office.invite()
    entry = Revocation(Identity(token.seed).id, NOW, name="new")
    lists = {
        "authority": sign_list(AUTHORITY, 1, [entry]),
        "issuer": sign_list(ISSUER, 1, [entry], issuer=office.own.wire),
    }
    hear(office, lists[by])
    assert standings(office) == [Standing.REVOKED]
    assert "was revoked on" in office.join(token).why_not
    with pytest.raises(RevokedError):
        office.own.trust.admit(token.certificate, time.time())


def test_with_its_issuer_dies_every_invitation_that_is_pending(office):
    token = office.invite()
    hear(office, sign_list(AUTHORITY, 1, [Revocation(ISSUER.id, NOW, name="hq")]))
    assert standings(office) == [Standing.REVOKED]
    assert "nobody would let in whom it lets in" in office.join(token).why_not
    with pytest.raises(RevokedError, match="the issuer of the agent 'new'"):
        office.own.trust.admit(token.certificate, time.time())
    with pytest.raises(NotIssuedError, match="was revoked on"):
        office.invite()


def test_a_key_that_was_revoked_joins_by_no_invitation_and_uses_none_up(office):
    token = office.invite()
    hear(office, sign_list(AUTHORITY, 1, [Revocation(NEW.id, NOW, name="laptop")]))
    assert "an agent with this key was revoked on" in office.join(token).why_not
    assert standings(office) == [Standing.PENDING]
    assert not office.join(token, OTHER).why_not


def test_who_is_revoked_between_question_and_answer_gets_no_other_certificate(office):
    hear(office, sign_list(AUTHORITY, 1, [Revocation(MEMBER.id, NOW, name="member")]))
    assert "was revoked on" in office.ask(MEMBER, member(), MEMBER).why_not


class Taking:
    """Takes an issuer's lists."""

    def __init__(self, office):
        self.office = office

    def take(self, lists):
        hear(self.office, *lists)
        return ("",) * len(lists)


def test_by_the_api_they_are_listed_and_withdrawn_and_the_mesh_lets_none_of_them_link(office):
    token, used = office.invite(), office.invite(name="used")
    office.join(used)
    revoke = IssuerList(lambda: office.own, Taking(office)).change
    behind = replace(Asked().behind(), inviting=office.desk.inviting, revoke=revoke)
    api = falcon.testing.TestClient(ControlApp(behind, None))
    rows = api.simulate_get(INVITATIONS).json["rows"]
    assert [(row["name"], row["standing"], row["used_by"]) for row in rows] == [
        ("new", "pending", ""),
        ("used", "used", display_id(NEW.id)),
    ]
    assert api.simulate_delete(f"{INVITATIONS}/{id_of(token)}").status_code == 204
    with pytest.raises(RevokedError, match="invitation of new, withdrawn"):
        office.own.trust.admit(token.certificate, time.time())
    (entry,) = (each.revocation for each in office.own.trust.revocations)
    assert entry.until - read_certificate(token.certificate).not_after <= 2
    assert api.simulate_delete(f"{INVITATIONS}/{id_of(used)}").status_code == 404
    assert api.simulate_delete(f"{INVITATIONS}/nonsense").status_code == 400


def test_without_a_link_it_is_withdrawn_all_the_same(office):
    token = office.invite()
    asked = Asked()
    asked.snapshot = msgspec.structs.replace(asked.snapshot, peers=())
    revoke = IssuerList(lambda: office.own, Taking(office)).change
    behind = replace(asked.behind(), inviting=office.desk.inviting, revoke=revoke)
    api = falcon.testing.TestClient(ControlApp(behind, None))
    assert api.simulate_delete(f"{INVITATIONS}/{id_of(token)}").status_code == 204
    assert standings(office) == [Standing.WITHDRAWN]
