"""Lists of an agent that may be anybody's: each comes to an end."""

from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest

from mesh.agent.cli import paging
from mesh.agent.cli.connection_command import open_connections
from mesh.agent.cli.event_command import PAGE, _events
from mesh.agent.cli.paging import LIST_S
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.client import AgentClient, NotUnderstood
from mesh.agent.control.happenings import ToldEvent, ToldEvents
from mesh.agent.control.requests import PEERS
from mesh.journal import EventKind


class Endless(AgentClient):
    """Asks an agent that answers with ``answer`` of how often it was asked."""

    def __init__(self, path, answer, most=1_000):
        super().__init__(path)
        self.answer, self.asked, self.most = answer, 0, most

    def _ask(self, method, place, body):
        self.asked += 1
        assert self.asked <= self.most, "it goes on and on"
        return msgspec.json.encode(self.answer(self.asked))


def listing(client):
    return all_rows(SimpleNamespace(client=client), PEERS, dict)


def test_pages_that_follow_each_other_are_one_list(tmp_path):
    pages = [{"rows": [{"n": 1}], "next_offset": 5}, {"rows": [{"n": 2}], "next_offset": None}]
    assert listing(Endless(tmp_path, lambda asked: pages[asked - 1])) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("following", [0, -1, 7])
def test_pages_that_lead_back_are_none(tmp_path, following):
    client = Endless(tmp_path, lambda _: {"rows": [{}], "next_offset": following})
    with pytest.raises(NotUnderstood, match="leads to"):
        listing(client)
    assert client.asked <= 2


def test_connections_that_lead_back_are_none(tmp_path):
    client = Endless(tmp_path, lambda _: {"connections": [], "next": 3})
    with pytest.raises(NotUnderstood, match="leads to"):
        open_connections(SimpleNamespace(client=client))


def test_a_list_that_goes_on_ends_in_time(tmp_path, monkeypatch):
    client = Endless(tmp_path, lambda asked: {"rows": [{}], "next_offset": asked})
    monkeypatch.setattr(paging.time, "monotonic", lambda: float(client.asked))
    with pytest.raises(NotUnderstood, match="has not ended"):
        listing(client)
    assert client.asked == LIST_S


def test_a_list_that_is_longer_than_any_is_none(tmp_path):
    row = {"text": "x" * 4_000}
    client = Endless(tmp_path, lambda asked: {"rows": [row], "next_offset": asked})
    client.list_bytes = 65_536
    with pytest.raises(NotUnderstood, match="more than 65,536 bytes"):
        listing(client)
    assert client.asked < 20


def test_events_that_come_without_end_end_with_those_that_were_asked_for(tmp_path):
    event = ToldEvent(1, datetime.now(UTC), EventKind.LINK, "info", "x", {})
    client = Endless(tmp_path, lambda asked: ToldEvents((event,) * PAGE, str(asked), are_lost=False), most=9)
    agent = SimpleNamespace(client=client)
    assert len(list(_events(agent, (), 2 * PAGE, follow=False))) == 2 * PAGE
    assert len(list(_events(agent, (), 0, follow=False))) == PAGE
