"""Whom a name means, and what is told of an agent that was asked in vain."""

import types

import msgspec
import pykka
import pytest

from actors.messages import steward as messages
from mesh.agent.control import calling
from mesh.agent.control.calling import AT_ONCE, ActorCalling
from mesh.agent.control.problem import ProblemError
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.remote.wire import Answered, Asked, write_answered
from mesh.trust.identity import display_id, short_id
from mesh.trust.naming import called
from tests.actors.company import IDENTITIES, record_of, routes_of

OWN, NEAR, FAR = IDENTITIES[:3]
ASKED = Asked("GET", "/api/v1/listeners")
HERE = Answered(200, "application/json", body=b'"here"')
THERE = Answered(200, "application/json", body=b'"there"')


def future(value):
    found = pykka.ThreadingFuture()
    found.set(value)
    return found


class Ref:
    """Answers each question in its turn."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def ask(self, message, *, block):
        self.asked.append(message)
        return self.answers.pop(0) if self.answers else pykka.ThreadingFuture()


def asking(routes, outcome=None):
    steward = Ref(future(future(write_answered(THERE) if outcome is None else outcome)))
    refs = types.SimpleNamespace(route_table=Ref(future(routes)), steward=steward)
    return ActorCalling(Ref(future(refs)), lambda _: HERE), steward


def known():
    """Three agents of one name; the one that is near can be reached."""
    routes = routes_of(OWN, record_of(OWN), record_of(NEAR), record_of(FAR))
    return msgspec.structs.replace(routes, hop_counts={OWN.id: 0, NEAR.id: 1})


def test_an_agent_is_asked_by_its_id_long_or_short_and_this_one_at_once():
    for to in (display_id(NEAR.id), short_id(NEAR.id)):
        there, steward = asking(known())
        assert there.call(to, ASKED) == THERE
        assert steward.asked[0].offer.party.id == NEAR.id
    here, steward = asking(known())
    assert here.call(display_id(OWN.id), ASKED) == HERE
    assert not steward.asked


@pytest.mark.parametrize(
    ("to", "status", "told"),
    [
        ("nobody", 404, ["nobody"]),
        ("agent", 409, [display_id(each.id) for each in (OWN, NEAR, FAR)]),
        (display_id(FAR.id), 502, [short_id(FAR.id), "no path leads to it"]),
    ],
)
def test_nobody_several_and_one_out_of_reach_are_told(to, status, told):
    there, steward = asking(known())
    with pytest.raises(ProblemError) as problem:
        there.call(to, ASKED)
    assert problem.value.document.status == status
    assert all(each in problem.value.document.detail for each in told)
    assert not steward.asked


def test_who_comes_by_an_invitation_is_not_meant_by_the_name_in_it():
    routes, invited = known(), (OWN.id, FAR.id)
    records = {
        agent_id: msgspec.structs.replace(
            record,
            certificate=msgspec.structs.replace(record.certificate, is_invitation=agent_id in invited),
        )
        for agent_id, record in routes.records.items()
    }
    there, steward = asking(msgspec.structs.replace(routes, records=records))
    assert there.call("agent", ASKED) == THERE
    assert steward.asked[0].offer.party.id == NEAR.id


def test_a_name_that_looks_like_an_id_is_not_taken_for_it():
    agents = [(NEAR.id, display_id(FAR.id)), (FAR.id, "far"), (OWN.id, "far")]
    assert called(agents, display_id(FAR.id)) == [FAR.id]
    assert called(agents, "far") == [FAR.id, OWN.id]
    assert called(agents, short_id(NEAR.id)) == [NEAR.id]
    assert called([(NEAR.id, short_id(FAR.id)), (FAR.id, "far")], short_id(FAR.id)) == [NEAR.id, FAR.id]


@pytest.mark.parametrize(
    ("outcome", "status", "text"),
    [
        (messages.CallFailed("refused", "not-permitted"), 403, "certificate does not let it manage"),
        (messages.CallFailed("refused", "unknown-key"), 502, "cannot be managed"),
        (messages.CallFailed("refused", "at-capacity"), 502, "ask again"),
        (messages.CallFailed("it has not answered in time"), 502, "it has not answered in time"),
        (write_answered(THERE)[:-1], 502, "malformed answer"),
        (b"<html>", 502, "malformed answer"),
    ],
)
def test_what_has_gone_wrong_is_told_with_the_agents_name(outcome, status, text):
    there, _ = asking(known(), outcome)
    with pytest.raises(ProblemError) as problem:
        there.call(display_id(NEAR.id), ASKED)
    assert problem.value.document.status == status
    assert text in problem.value.document.detail
    assert short_id(NEAR.id) in problem.value.document.detail


def test_nobody_waits_for_ever_neither_for_an_answer_nor_for_a_turn(monkeypatch):
    monkeypatch.setattr(calling, "CALL_S", 0.05)
    monkeypatch.setattr(calling, "GRACE_S", 0.0)
    monkeypatch.setattr(calling, "WAIT_S", 0.05)
    there, steward = asking(known())
    steward.answers = []
    with pytest.raises(StatusUnavailable):
        there.call(display_id(NEAR.id), ASKED)
    there, steward = asking(known())
    for _ in range(AT_ONCE):
        assert there._turns.acquire(blocking=False)
    with pytest.raises(StatusUnavailable, match="under way"):
        there.call(display_id(NEAR.id), ASKED)
    assert not steward.asked
