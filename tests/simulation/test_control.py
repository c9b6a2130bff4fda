"""Questions to another agent's API through three agents, in one simulated world; the API is the test's."""

import pykka
import pytest

from actors.connections.control_end import ControlEnd
from actors.connections.inside_services import CONTROL_PLACES_EACH
from actors.connections.offers import offer_of
from actors.messages import agent as agent_messages
from actors.messages import control_end as end_messages
from actors.messages import steward as messages
from actors.remote.control_call import UNANSWERED, ControlCall
from actors.remote.steward import MAX_CALLS
from mesh.remote import talks
from mesh.remote.wire import MAX_REQUEST_BYTES
from tests.simulation.mesh_world import mesh_world

QUESTION = b"what is the matter?" * 1000


class Api:
    """Answers, now or when it is told to."""

    def __init__(self, answer=b"nothing" * 100_000, at_once=True):
        self.answer, self.at_once = answer, at_once
        self.asked = []

    def __call__(self, caller, question, reply_to):
        self.asked.append((caller, question, reply_to))
        if self.at_once:
            self.reply(-1)

    def reply(self, number):
        self.asked[number][2].tell(end_messages.AnswerFound(self.answer))


def planned(mesh, api, **managing):
    mesh.plan("branch", peers=["relay"], may_manage=True, **managing)
    mesh.plan("relay")
    mesh.plan("hq", peers=["relay"], serve_control=api)
    mesh.network.shape("relay", "hq", latency_s=0.010, bytes_per_s=5e6)
    mesh.start()
    mesh.converge()


def begin(mesh, question=QUESTION, at="branch", to="hq"):
    steward = mesh.world.ask(mesh.plans[at].root, agent_messages.GetRefs()).steward
    offer = offer_of(mesh.snapshot(at), mesh.id_of(to))
    return mesh.world.ask(steward, messages.StartCall(offer, question))


def outcome(mesh, call, limit_s=60.0):
    mesh.run_until(lambda: is_answered(call), limit_s)
    return call.get(timeout=0)


def is_answered(call):
    try:
        call.get(timeout=0)
    except pykka.Timeout:
        return False
    return True


def test_an_agent_that_may_manage_is_answered_and_nothing_is_left(caplog):
    caplog.set_level("INFO")
    with mesh_world(1) as mesh:
        api = Api()
        planned(mesh, api)
        assert outcome(mesh, begin(mesh)) == api.answer
        ((caller, question, _),) = api.asked
        assert (caller.id, caller.name, question) == (mesh.id_of("branch"), "branch", QUESTION)
        mesh.run(2.0)
        assert not mesh.actors_on("branch", ControlCall)
        assert "of mesh:control" not in caplog.text  # the API's own line tells of it
        assert not mesh.actors_on("hq", ControlEnd)
        mesh.finish()


def test_one_that_may_not_is_refused_and_learns_nothing_whatever_the_agent_is_about():
    with mesh_world(2) as mesh:
        api = Api(at_once=False)
        planned(mesh, api)
        refused = outcome(mesh, begin(mesh, at="relay"))
        busy = [begin(mesh) for _ in range(CONTROL_PLACES_EACH)]
        mesh.run_until(lambda: len(api.asked) == CONTROL_PLACES_EACH, 5.0)
        assert outcome(mesh, begin(mesh, at="relay")) == refused
        assert refused.code == "not-permitted"
        assert all(caller.name == "branch" for caller, _, _ in api.asked)
        for number, call in enumerate(busy):
            api.reply(number)
            outcome(mesh, call)
        mesh.finish()


def test_an_agent_answers_so_many_at_one_time_and_others_after_them():
    with mesh_world(3) as mesh:
        api = Api(at_once=False)
        planned(mesh, api)
        calls = [begin(mesh) for _ in range(CONTROL_PLACES_EACH + 1)]
        mesh.run_until(lambda: len(api.asked) == CONTROL_PLACES_EACH, 5.0)
        mesh.run(2.0)
        for number in range(CONTROL_PLACES_EACH):
            api.reply(number)
        found = [outcome(mesh, call) for call in calls]
        assert found.count(api.answer) == CONTROL_PLACES_EACH
        (late,) = (each for each in found if each != api.answer)
        assert late.code == "at-capacity"
        api.at_once = True
        mesh.run(2.0)
        assert outcome(mesh, begin(mesh)) == api.answer
        mesh.finish()


def test_an_agent_asks_so_many_at_one_time():
    with mesh_world(4) as mesh:
        planned(mesh, Api(at_once=False))
        calls = [begin(mesh) for _ in range(MAX_CALLS + 1)]
        last = outcome(mesh, calls[-1], 1.0)
        assert "wait" in last.why
        for call in calls:
            outcome(mesh, call)
        mesh.finish()


def test_what_is_not_answered_in_time_ends_at_both_ends():
    with mesh_world(5) as mesh:
        planned(mesh, Api(at_once=False))
        began = mesh.world.now()
        found = outcome(mesh, begin(mesh))
        assert (found.why, found.code) == ("it has not answered in time", "")
        assert mesh.world.now() - began < talks.CALL_S + 1.0
        mesh.run(15.0)
        assert not mesh.actors_on("hq", ControlEnd)
        mesh.finish()


def test_an_agent_that_is_cut_off_is_given_up():
    with mesh_world(6) as mesh:
        planned(mesh, Api())
        call = None
        mesh.network.cut("relay", "hq")
        call = begin(mesh)
        found = outcome(mesh, call)
        assert isinstance(found, messages.CallFailed)
        mesh.network.heal("relay", "hq")
        mesh.finish()


def test_an_exit_that_dies_in_the_middle_is_told():
    with mesh_world(7) as mesh:
        api = Api(at_once=False)
        planned(mesh, api)
        call = begin(mesh)
        mesh.run_until(lambda: api.asked, 5.0)
        mesh.restart("hq")
        found = outcome(mesh, call)
        assert isinstance(found, messages.CallFailed), found
        mesh.finish()


@pytest.mark.parametrize("question", [b"", b"x" * (MAX_REQUEST_BYTES + 1), b"y" * 2**20])
def test_a_question_that_is_none_or_too_long_ends_and_is_not_looked_at(question):
    with mesh_world(8) as mesh:
        api = Api()
        planned(mesh, api)
        found = outcome(mesh, begin(mesh, question))
        assert isinstance(found, messages.CallFailed)
        assert not api.asked
        assert outcome(mesh, begin(mesh)) == api.answer
        mesh.finish()


def test_an_answer_that_is_too_long_is_not_kept():
    with mesh_world(9) as mesh:
        planned(mesh, Api(bytes(talks.MAX_ANSWER_BYTES + 1)))
        found = outcome(mesh, begin(mesh), 120.0)
        assert "more than" in found.why
        mesh.finish()


def test_nothing_is_waited_for_when_an_agent_leaves():
    with mesh_world(10) as mesh:
        api = Api(at_once=False)
        planned(mesh, api)
        call = begin(mesh)
        mesh.run_until(lambda: api.asked, 5.0)
        mesh.leave("hq", drain_timeout_s=20.0)
        began = mesh.world.now()
        assert outcome(mesh, call) == messages.CallFailed(UNANSWERED)
        mesh.run_until(lambda: mesh.plans["hq"].left, 30.0)
        assert mesh.plans["hq"].left[0] - began < 5.0
