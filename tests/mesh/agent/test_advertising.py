"""Telling the mesh of an agent's services, where the agent's actors are not there to do it."""

import pykka
import pytest

from mesh.agent import reload
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.config.loading import NOTHING_WRITTEN
from mesh.config.schema import Config


class Root:
    """Answers with ``answer``; never, if that is absent."""

    def __init__(self, *answer):
        self.future = pykka.ThreadingFuture()
        for each in answer:
            self.future.set(each)

    def ask(self, message, block):
        assert not block
        return self.future


@pytest.mark.parametrize("root", [Root(), Root(None)], ids=["busy", "started anew"])
def test_it_is_not_said_to_be_done(root, monkeypatch):
    monkeypatch.setattr(reload, "ANSWER_S", 0.01)
    nothing = dict.fromkeys(("status", "http", "output", "live", "audit"))
    reloader = reload.Reloader(None, None, Config(), NOTHING_WRITTEN, root=root, **nothing)
    with pytest.raises(StatusUnavailable):
        reloader.advertise()
