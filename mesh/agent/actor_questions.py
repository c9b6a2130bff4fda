"""Questions to the actors from the threads of the HTTP side, each with a time limit."""

import time
from typing import TypeVar

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.dashboard.status import NoAnswer, StatusUnavailable

T = TypeVar("T")


def agent_refs(root: AskRef[agent_messages.Inbound], deadline: float) -> agent_messages.AgentRefs:
    """The actors of an agent; ``deadline`` is that of ``time.monotonic``.

    Raises:
        StatusUnavailable: they are being started anew, or busy.
    """
    asked: pykka.Future[agent_messages.AgentRefs | None] = root.ask(agent_messages.GetRefs(), block=False)
    refs = answer_by(asked, deadline)
    if refs is None:
        raise StatusUnavailable("the agent's actors are being started anew")
    return refs


def answer_by(future: "pykka.Future[T]", deadline: float) -> T:
    """The answer of an actor.

    Raises:
        StatusUnavailable: there is none by ``deadline``, or the actor has ended.
    """
    try:
        return future.get(timeout=max(0.0, deadline - time.monotonic()))
    except pykka.Timeout:
        raise NoAnswer("the agent's actors did not answer in time") from None
    except pykka.ActorDeadError:
        raise StatusUnavailable("the actor that knows the answer is gone") from None
