"""The list that an issuer signs while it runs: whom it may name, what follows what, and its number."""

import time

import msgspec
import pytest

from mesh.agent import issuer_list
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.issuer_list import Around, IssuerList
from mesh.agent.revocation_changes import Became, NotSignedError, Wish
from mesh.errors import RevokedError
from mesh.trust.certificates import Certificate, TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import AgentId, Identity, display_id
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import Revocation, Revocations, sign_list
from tests.mesh.agent.enrolment.test_desk import (
    AUTHORITY,
    DAY_S,
    ISSUER,
    MEMBER,
    NEW,
    NOW,
    OTHER,
    credentials,
)

ALONE = Around({}, is_linked=False)


class Member(msgspec.Struct):
    name: str
    certificate: Certificate


def certified(name: str, owner: Identity, by=None) -> dict[AgentId, Member]:
    fields = {"subject": owner.public_key, "name": name, "not_before": NOW, "not_after": NOW + DAY_S}
    signer, issuer = (AUTHORITY, b"") if by is None else (by.identity, by.wire)
    wire = issue_certificate(signer, issuer=issuer, **fields)
    return {owner.id: Member(name, read_certificate(wire))}


class Agent:
    """Takes lists as the route table and the main thread do, unless it is said to be slow."""

    def __init__(self, **changes):
        self.own = credentials(**changes)
        self.given = []
        self.is_slow = False
        self.why = ""
        self.list = IssuerList(lambda: self.own, self)

    def take(self, lists):
        self.given += lists
        if not self.is_slow and not self.why:
            self.hear(*lists)
        return tuple(self.why for _ in lists)

    def hear(self, *lists):
        trust = self.own.trust
        heard = Revocations([read_revocations(wire, trust) for wire in lists])
        known = trust.revoking(trust.revocations.joined(heard))
        self.own = msgspec.structs.replace(self.own, trust=known)

    def read(self):
        return read_revocations(self.given[-1], TrustStore([AUTHORITY.public_key])).read

    def revoke(self, *agents, **how):
        around = how.pop("around") if "around" in how else self.around
        return self.list.change(Wish(agents, **how), around)

    @property
    def around(self):
        members = {**certified("new", NEW, self.own), **certified("member", MEMBER)}
        return Around(members, is_linked=True)


@pytest.fixture
def agent():
    return Agent()


def test_whom_it_has_let_in_it_revokes_by_name_and_others_judge_by_that(agent):
    found = agent.revoke("new", reason="was stolen")
    (change,) = found.changes
    assert (change.agent_id, change.name, change.became) == (NEW.id, "new", Became.REVOKED)
    (entry,) = agent.read().revoked
    assert (entry.agent_id, entry.name, entry.reason) == (NEW.id, "new", "was stolen")
    store = TrustStore([AUTHORITY.public_key])
    judge = store.revoking(Revocations([read_revocations(found.wire, store)]))
    fields = {"subject": NEW.public_key, "name": "new", "not_before": NOW, "not_after": NOW + DAY_S}
    own = issue_certificate(ISSUER, issuer=agent.own.wire, **fields)
    with pytest.raises(RevokedError, match="by the issuer"):
        judge.admit(own, NOW)


def test_the_store_of_the_actors_is_left_to_their_thread(agent):
    def verify(*_):
        raise AssertionError("on the thread of whoever asks")

    agent.is_slow, around = True, agent.around
    agent.own = msgspec.structs.replace(agent.own, trust=TrustStore([AUTHORITY.public_key], verify=verify))
    assert agent.revoke("new", around=around).revoked == 1


@pytest.mark.parametrize("is_slow", [False, True])
def test_each_list_has_all_who_were_in_the_one_before_also_if_that_is_still_on_its_way(agent, is_slow):
    agent.is_slow = is_slow
    agent.revoke("new")
    first = agent.read().number
    assert agent.revoke(display_id(OTHER.id), around=ALONE).revoked == 2
    assert agent.read().number > first
    (again,) = agent.revoke("new", reason="once more").changes
    assert again.became is Became.AGAIN
    assert entry_of(agent, NEW).reason == "once more"
    (lifted,) = agent.revoke("new", undo=True).changes
    assert lifted.became is Became.LIFTED
    assert [entry.agent_id for entry in agent.read().revoked] == [OTHER.id]
    with pytest.raises(NotSignedError, match="is not in the list of this issuer"):
        agent.revoke(display_id(NEW.id), undo=True)


def entry_of(agent, member):
    (found,) = (each for each in agent.read().revoked if each.agent_id == member.id)
    return found


def test_who_is_revoked_twice_was_revoked_when_it_was_first_and_for_the_reason_given_last(agent, monkeypatch):
    agent.revoke("new", reason="stolen")
    first = entry_of(agent, NEW)
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    agent.revoke("new")
    assert (entry_of(agent, NEW).revoked_at, entry_of(agent, NEW).reason) == (first.revoked_at, "stolen")
    agent.revoke("new", reason="found again")
    assert (entry_of(agent, NEW).revoked_at, entry_of(agent, NEW).reason) == (first.revoked_at, "found again")


def test_of_two_of_one_name_it_is_told_which_is_revoked_already_and_an_invitation_is_none(agent):
    agent.revoke("new", around=agent.around)
    twins = {**certified("new", NEW, agent.own), **certified("new", OTHER, agent.own)}
    twice = rf"{display_id(NEW.id)} \(revoked already\), {display_id(OTHER.id)};"
    with pytest.raises(NotSignedError, match=twice):
        agent.revoke("new", around=Around(twins, is_linked=True))
    guest = certified("guest", OTHER, agent.own)[OTHER.id]
    guest.certificate = msgspec.structs.replace(guest.certificate, is_invitation=True)
    around = Around({**certified("guest", NEW, agent.own), OTHER.id: guest}, is_linked=True)
    assert [each.agent_id for each in agent.revoke("guest", around=around).changes] == [NEW.id]


def test_an_agent_that_has_lost_its_disk_goes_on_from_what_the_mesh_knows(agent):
    ahead = int(time.time() * 1000) + 3_600_000  # its clock was wrong
    entry = Revocation(OTHER.id, NOW, name="gone")
    wire = sign_list(ISSUER, ahead, [entry], issuer=agent.own.wire)
    with pytest.raises(NotSignedError, match="this agent has no peer, so it cannot know"):
        agent.revoke(display_id(NEW.id), around=ALONE)
    agent.hear(wire)
    agent.revoke(display_id(NEW.id), around=ALONE)
    assert agent.read().number == ahead + 1
    assert {entry.agent_id for entry in agent.read().revoked} == {OTHER.id, NEW.id}


def test_nobody_waits_for_long_while_another_change_is_under_way(agent, monkeypatch):
    monkeypatch.setattr(issuer_list, "TURN_S", 0.01)
    refused = []

    def take(lists):
        with pytest.raises(StatusUnavailable, match="under way: ask again"):
            agent.revoke(display_id(OTHER.id))
        refused.append(1)
        return ("",)

    monkeypatch.setattr(agent, "take", take)
    agent.revoke("new")
    agent.revoke("new")
    assert len(refused) == 2


def test_what_is_over_is_left_out(agent, monkeypatch):
    agent.revoke("new", for_s=60)
    later = time.time() + 120
    monkeypatch.setattr(issuer_list.time, "time", lambda: later)
    agent.revoke(display_id(OTHER.id))
    assert [entry.agent_id for entry in agent.read().revoked] == [OTHER.id]


def test_a_dry_run_signs_nothing_for_others(agent):
    assert agent.revoke("new", dry_run=True).changes[0].became is Became.REVOKED
    assert agent.given == []
    assert agent.revoke("new").changes[0].became is Became.REVOKED


def test_whom_another_one_has_certified_is_to_be_revoked_there(agent):
    with pytest.raises(NotSignedError, match=r"member .* was signed by the authority .* --authority FILE"):
        agent.revoke("member")
    with pytest.raises(NotSignedError, match="was signed by the authority"):
        agent.revoke(display_id(ISSUER.id), around=Around(certified("hq", ISSUER), is_linked=True))
    other = credentials(identity=OTHER, name="hq2")
    with pytest.raises(NotSignedError, match=r"was signed by the issuer hq2 .*--at hq2"):
        agent.revoke("new", around=Around(certified("new", NEW, other), is_linked=True))
    assert agent.given == []


def test_names_that_mean_nobody_or_several_are_told(agent):
    with pytest.raises(NotSignedError, match="no agent here is called 'gone'"):
        agent.revoke("gone")
    twins = {**certified("new", NEW, agent.own), **certified("new", OTHER, agent.own)}
    with pytest.raises(NotSignedError, match="may be any of these agents"):
        agent.revoke("new", around=Around(twins, is_linked=True))


def test_who_is_no_issuer_or_was_revoked_says_who_can(agent):
    with pytest.raises(NotSignedError, match=r"hq is no issuer: .*--at ISSUER"):
        Agent(limits=None).revoke("new", around=ALONE)
    entry = Revocation(ISSUER.id, NOW, name="hq")
    agent.hear(sign_list(AUTHORITY, 1, [entry]))
    with pytest.raises(NotSignedError, match="nobody would take its list"):
        agent.revoke("new")


def test_a_list_that_is_not_taken_is_told(agent):
    agent.why = "of a time more than a day ahead of this agent's clock"
    with pytest.raises(NotSignedError, match="more than a day ahead"):
        agent.revoke("new")


def test_who_has_certified_somebody_before_another_issuer_did_revokes_it_by_its_id(agent):
    """Else a certificate of before the renewal would be good until its end."""
    assert agent.revoke(display_id(NEW.id), around=Around({}, is_linked=True)).revoked == 1
