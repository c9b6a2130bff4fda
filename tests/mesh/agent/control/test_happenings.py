"""Events and connections over the API: cursors, filters, pages, closing, and what is refused."""

import json
from types import SimpleNamespace

import falcon.testing
import pykka
import pytest

from actors.messages import connection as messages
from mesh.agent.control.api import ApiApp, ByControlSocket
from mesh.agent.control.behind import Behind
from mesh.agent.control.connection_routes import connection_routes
from mesh.agent.control.event_routes import event_routes
from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending
from mesh.connection.open_connections import OpenConnections
from mesh.journal import EventKind, Journal, Note


def view(connection_id, end=End.INGRESS):
    return ConnectionView(
        id=connection_id,
        end=end,
        key="my-api",
        client="127.0.0.1:5000",
        ingress="branch 1111",
        exit="hq 2222",
        target="",
        age_s=2.0,
        to_service_bytes=1,
        to_client_bytes=2,
    )


class Connection:
    """Stands for the reference of a connection's actor."""

    def __init__(self, connection_id, how="answers"):
        self.id, self.how, self.told = connection_id, how, []

    def is_alive(self):
        return self.how not in ("dead", "dies")

    def tell(self, message):
        if self.how == "dead":
            raise pykka.ActorDeadError
        if not isinstance(message, messages.DescribeConnection):
            self.told.append(message)
        elif self.how == "answers":
            message.reply_to.tell(view(self.id))


@pytest.fixture
def agent():
    behind = Behind(None, None, None, Journal(), OpenConnections())
    app = ApiApp((*event_routes(behind), *connection_routes(behind)), (ByControlSocket(),))
    client = falcon.testing.TestClient(app)

    def get(place, status=200):
        answer = client.simulate_get(f"/api/v1/{place}")
        assert answer.status_code == status, answer.text
        return json.loads(answer.text)

    def opened(*args):
        connection = Connection(*args)
        behind.open_connections.opened(connection.id, connection)
        return connection

    return SimpleNamespace(
        client=client, get=get, journal=behind.journal, opened=opened, ends=behind.open_connections
    )


def happen(agent, count, kind=EventKind.LINK):
    for number in range(count):
        agent.journal.add(kind, 1_800_000_000.25 + number, Note("info", f"event {number}", {"peer": "hq"}))


def test_events_come_page_by_page_and_then_as_they_happen(agent):
    happen(agent, 25)
    seen, cursor = [], ""
    while page := (answer := agent.get(f"events?after={cursor}&limit=10"))["events"]:
        seen += [event["message"] for event in page]
        cursor = answer["cursor"]
        assert not answer["are_lost"]
    assert seen == [f"event {number}" for number in range(25)]
    happen(agent, 1)
    answer = agent.get(f"events?after={cursor}")
    assert [event["number"] for event in answer["events"]] == [26]
    assert answer["events"][0]["facts"] == {"peer": "hq"}
    assert answer["events"][0]["time"].startswith("2027-01-15T08:00:00.25")


def test_what_was_lost_in_between_is_told(agent):
    happen(agent, 3)
    cursor = agent.get("events")["cursor"]
    happen(agent, 5_000)
    answer = agent.get(f"events?after={cursor}&limit=1000")
    assert answer["are_lost"]
    assert len(answer["events"]) == 1_000
    assert not agent.get(f"events?after={answer['cursor']}")["are_lost"]


def test_a_cursor_of_an_agent_before_its_restart_begins_anew_and_says_so(agent):
    happen(agent, 3)
    answer = agent.get("events?after=00000000-2000")
    assert answer["are_lost"]
    assert len(answer["events"]) == 3


def test_the_last_of_some_kinds(agent):
    happen(agent, 5)
    happen(agent, 5, EventKind.ALARM)
    answer = agent.get("events?last=2&kind=link&kind=exit")
    assert [event["message"] for event in answer["events"]] == ["event 3", "event 4"]


def test_a_connection_that_has_ended_is_an_event_with_its_figures(agent):
    agent.journal.add(EventKind.CONNECTION, 1e9, ConnectionRecord(view("0123456789ab"), Ending.CLOSED, ""))
    (event,) = agent.get("events?kind=connection")["events"]
    assert event["facts"]["ending"] == "closed"
    assert event["facts"]["connection"] == "0123456789ab"
    assert "from 127.0.0.1:5000 to hq 2222: closed" in event["message"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=12",
        "after=zzzzzzzz-1",
        "after=00000000-" + 30 * "9",
        "kind=nonsense",
        "last=-1",
        "after=00000000-1&last=1",
        "unknown=1",
    ],
)
def test_queries_that_make_no_sense_are_refused(agent, query):
    assert agent.get(f"events?{query}", 400)["status"] == 400


def test_connections_come_page_by_page_without_those_that_end_meanwhile(agent):
    for number in range(7):
        agent.opened(f"{number:012x}", {3: "dead", 4: "dies"}.get(number, "answers"))
    seen, after = [], 0
    while after is not None:
        page = agent.get(f"connections?after={after}&limit=3")
        seen += [each["id"] for each in page["connections"]]
        after = page["next"]
    assert seen == [f"{number:012x}" for number in range(7) if number not in (3, 4)]


def test_connections_that_do_not_answer_hold_nobody_up(agent):
    agent.opened("0" * 12, "is silent")
    assert "in time" in agent.get("connections", 503)["detail"]


def test_closing_tells_both_ends_of_that_connection_alone(agent):
    one, same, other = agent.opened("a" * 12), agent.opened("a" * 12), agent.opened("b" * 12)
    assert agent.client.simulate_delete(f"/api/v1/connections/{'a' * 12}").status_code == 204
    assert [len(each.told) for each in (one, same, other)] == [1, 1, 0]
    assert isinstance(one.told[0], messages.CloseForOperator)
    agent.opened("c" * 12, "dead")
    assert agent.client.simulate_delete(f"/api/v1/connections/{'c' * 12}").status_code == 204


@pytest.mark.parametrize(("name", "status"), [("d" * 12, 404), ("x", 400), ("D" * 12, 400), ("%0a", 400)])
def test_closing_what_is_not_there_is_refused(agent, name, status):
    assert agent.client.simulate_delete(f"/api/v1/connections/{name}").status_code == status


def test_pages_are_bounded(agent):
    assert agent.get("connections?limit=201", 400)["status"] == 400
    assert agent.get("connections?after=-1", 400)["status"] == 400
