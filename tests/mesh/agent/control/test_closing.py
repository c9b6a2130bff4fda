"""Which connections are reset when an endpoint is taken out at once."""

from types import SimpleNamespace

import pytest
from pykka import ActorDeadError

from actors.messages import connection as connection_messages
from mesh.agent.control import closing
from mesh.agent.dashboard.status import NoAnswer
from mesh.connection.endings import End
from mesh.connection.open_connections import OpenConnections


class Connection:
    """An end of a connection, which answers, has ended, or is stuck."""

    def __init__(self, number, end, key, how="answers"):
        self.id = f"{number:012x}"
        self.view, self.how, self.is_closed = SimpleNamespace(id=self.id, end=end, key=key), how, False

    def is_alive(self):
        return self.how != "ended"

    def tell(self, message):
        match message:
            case connection_messages.CloseForOperator():
                self.is_closed = True
            case connection_messages.DescribeConnection(reply_to=reply_to) if self.how == "answers":
                reply_to.tell(self.view)
            case _ if self.how == "ended":
                raise ActorDeadError("gone")


def known(*connections):
    opened = OpenConnections()
    for each in connections:
        opened.opened(each.id, each)
    return opened


@pytest.mark.parametrize("at_once", [1, 2, 200])
def test_only_those_that_end_at_the_endpoint_are_reset(monkeypatch, at_once):
    monkeypatch.setattr(closing, "ASKED_AT_ONCE", at_once)
    meant = [Connection(1, End.EXIT, "a"), Connection(2, End.EXIT, "a")]
    others = [
        Connection(3, End.INGRESS, "a"),
        Connection(4, End.EXIT, "b"),
        Connection(5, End.EXIT, "a", "ended"),
    ]
    closing.close_exits(known(meant[0], *others, meant[1]), "a")
    assert all(each.is_closed for each in meant)
    assert not any(each.is_closed for each in others)


def test_one_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr(closing, "PATIENCE_S", 0.01)
    with pytest.raises(NoAnswer, match="not all of its connections"):
        closing.close_exits(known(Connection(1, End.EXIT, "a", "stuck")), "a")


def test_nothing_is_open():
    closing.close_exits(OpenConnections(), "a")
