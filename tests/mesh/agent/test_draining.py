"""An agent that is told to drain, and what is said of it."""

import pykka
import pytest

from actors.messages import agent as agent_messages
from mesh.agent.draining import drain, is_draining
from mesh.agent.outcome import RefusedError
from mesh.routing.routes import compute_routes
from tests.mesh.routing.graph_company import agent, mesh


class Root:
    """Answers as the root actor."""

    def __init__(self, *answers):
        self.asked, self.answers = [], list(answers)

    def ask(self, message, *, block):
        assert not block
        self.asked.append(message)
        future = pykka.ThreadingFuture()
        if self.answers:
            answer = self.answers.pop()
            future.set_exception((type(answer), answer, None)) if isinstance(
                answer, Exception
            ) else future.set(answer)
        return future


@pytest.mark.parametrize("draining", [True, False])
def test_the_root_actor_is_told(draining):
    root = Root(True)
    drain(root, draining=draining)
    assert root.asked == [agent_messages.Drain(draining)]


@pytest.mark.parametrize(
    ("answers", "told"),
    [([False], "about to leave"), ([pykka.ActorDeadError("gone")], "do not answer"), ([], "do not")],
)
def test_it_is_refused_by_an_agent_that_leaves_or_is_stuck(monkeypatch, answers, told):
    monkeypatch.setattr("mesh.agent.draining.TIMEOUT_S", 0.01)
    with pytest.raises(RefusedError, match=told):
        drain(Root(*answers), draining=True)


@pytest.mark.parametrize("draining", [True, False])
def test_an_agent_knows_by_its_record_that_it_drains(draining):
    routes = compute_routes(agent(1), mesh((1, 2, 0), agent_1={"draining": draining}), max_hops=16, version=1)
    assert is_draining(routes) is draining
