"""The API's way to other agents, and what they find: taken apart, put together, refused and written down."""

import threading
import time

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.admission import ByHttpAddress
from mesh.agent.control.api import ApiApp, ControlApp, Front, MeshApp
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.behind import Behind
from mesh.agent.control.in_process import answer_of
from mesh.agent.control.mesh_door import MeshDoor
from mesh.agent.control.question_log import AGAIN_S, MAX_REMEMBERED, QuestionLog
from mesh.agent.control.requests import AGENTS, PLANS
from mesh.agent.control.tokens import Tokens, token_hash
from mesh.agent.dashboard.guard import HostGuard
from mesh.config.schema import TokenSection
from mesh.connection.reserved import Caller
from mesh.remote.wire import Answered, Asked, read_answered, write_asked
from mesh.trust.certificates import read_certificate
from tests.mesh.agent.control.test_control_api import Steered
from tests.mesh.trust.certificate_company import AGENT, issue

CALLER = Caller(AGENT.id, read_certificate(issue(name="branch")))
GOOD = Answered(200, "application/json", '"1f"', 0, b'{"good":true}')


class Calling:
    """Keeps what is asked."""

    def __init__(self, answered=GOOD):
        self.answered = answered
        self.asked = []

    def call(self, to, asked):
        self.asked.append((to, asked))
        if isinstance(self.answered, Exception):
            raise self.answered
        return self.answered


def reading(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"read":true}']


def behind_of(calling):
    return Behind(Steered(), None, None, calling=calling)


@pytest.fixture
def calling():
    return Calling()


@pytest.fixture
def app(calling):
    return falcon.testing.TestClient(ControlApp(behind_of(calling), reading))


def test_a_request_goes_on_as_it_is_and_so_does_its_answer(app, calling):
    answer = app.simulate_put(
        f"{AGENTS}/hq/leases/a1?hold=2&x=%20y",
        body=b'{"hold_s":5}',
        headers={
            "Content-Type": "application/json",
            "If-Match": '"1e"',
            "Cookie": "no",
            "Authorization": "Bearer no",
            "X-Forwarded-For": "no",
        },
    )
    ((to, asked),) = calling.asked
    assert to == "hq"
    assert asked == Asked(
        "PUT",
        "/api/v1/leases/a1?hold=2&x=%20y",
        "application/json",
        '"1e"',
        "control socket",
        b'{"hold_s":5}',
    )
    assert (answer.status_code, answer.json, answer.headers["etag"]) == (200, {"good": True}, '"1f"')


@pytest.mark.parametrize(
    ("place", "there"),
    [
        ("dashboard", "/api/dashboard"),
        ("dashboard?offset=5", "/api/dashboard?offset=5"),
        ("agents/abc", "/api/v1/agents/abc"),
        ("leases/a%0d%0ab", "/api/v1/leases/a%0D%0Ab"),
        ("leases/%c3%a4", "/api/v1/leases/%C3%A4"),
        ("a%3fb", "/api/v1/a%3Fb"),
    ],
)
def test_a_place_is_beneath_the_api_whatever_is_in_it(app, calling, place, there):
    assert app.simulate_get(f"{AGENTS}/hq/{place}").status_code == 200
    assert calling.asked[0][1].place == there


@pytest.mark.parametrize(
    "place",
    [
        "../health",
        "a/../../b",
        "%2e%2e/health",
        "./a",
        "a//b",
        "a/",
        "agents/x/listeners",
        "agents/x/agents/y/z",
    ],
)
def test_no_place_leads_out_of_it_or_to_yet_another_agent(app, calling, place):
    assert app.simulate_get(f"{AGENTS}/hq/{place}").status_code == 404
    assert not calling.asked


def test_what_cannot_be_carried_is_refused(app, calling):
    assert app.simulate_post(f"{AGENTS}/hq/plans", body=bytes(64 * 1024 + 1)).status_code == 413
    assert app.simulate_get(f"{AGENTS}/hq/{'x' * 9000}").status_code == 400
    assert app.simulate_get(f"{AGENTS}/hq/a", headers={"If-Match": "x" * 300}).status_code == 400
    assert app.simulate_patch(f"{AGENTS}/hq/a").status_code == 405
    assert not calling.asked


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "", "application/jsonx"])
def test_another_agent_shows_no_pages_here(app, calling, kind):
    calling.answered = Answered(200, kind, body=b"<script>")
    answer = app.simulate_get(f"{AGENTS}/hq/a")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")
    assert "<script>" not in answer.text


def test_only_a_token_makes_use_of_the_right_to_manage_also_to_read(calling):
    tokens = Tokens([TokenSection(name="ci", hash=token_hash("secret"))])
    api = ApiApp((), (HostGuard(), ByHttpAddress(Bearers(tokens))), calling)
    client = falcon.testing.TestClient(Front(api, reading))
    place, wrong = f"{AGENTS}/hq/listeners", {"Authorization": "Bearer wrong"}
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        assert client.simulate_request(method, place, host="localhost").status_code == 401
        bad = client.simulate_request(method, place, headers=wrong, host="localhost")
        assert bad.status_code == 401
    good = {"Authorization": "Bearer secret"}
    assert client.simulate_get(place, headers=good, host="evil.example").status_code == 403
    assert not calling.asked
    assert client.simulate_get(place, headers=good, host="localhost").status_code == 200
    assert calling.asked[0][1].asker == "the token of ci"


def test_whoever_comes_through_the_mesh_gets_no_further_and_reads_no_files():
    calling = Calling()
    app = MeshApp(behind_of(calling), reading)
    assert answer_of(app, Asked("GET", "/api/dashboard"), "branch 1234").body == b'{"read":true}'
    further = answer_of(app, Asked("GET", f"{AGENTS}/relay/listeners"), "branch 1234")
    assert further.status == 403
    body = msgspec.json.encode({"file": "/etc/shadow"})
    asked = Asked("POST", f"{PLANS}?dry_run=true", "application/json", body=body)
    for caller in ("branch 1234", "http.address", "the token of control socket"):
        assert answer_of(app, asked, caller).status == 403
    other = msgspec.structs.replace(asked, place="/agents/12345678/forward/manage")
    assert answer_of(app, other, "branch 1234").status != 200
    assert not calling.asked


class Reply:
    """Where an answer goes."""

    actor_urn = "test"

    def __init__(self):
        self.came = threading.Event()

    def is_alive(self):
        return True

    def tell(self, message):
        self.answered = read_answered(message.data)
        self.came.set()


def asked_by_mesh(door, question):
    reply = Reply()
    door(CALLER, question, reply)
    assert reply.came.wait(10.0)
    return reply.answered


def test_a_door_answers_on_threads_of_its_own_and_writes_down_who_asked(caplog):
    caplog.set_level("INFO", "mesh.agent")
    door = MeshDoor()
    door.serve(reading)
    try:
        answered = asked_by_mesh(door, write_asked(Asked("DELETE", "/api/v1/x?y=1", asker="a\x1b[2Jb")))
        assert (answered.status, answered.body) == (200, b'{"read":true}')
        assert asked_by_mesh(door, b"\x93nonsense").status == 400
    finally:
        door.close()
    good, bad = (record.getMessage() for record in caplog.records)
    assert good.startswith("branch ")
    assert good.endswith("DELETE /api/v1/x?y=1: 200")
    assert "\x1b" not in good
    assert bad.endswith("asked what cannot be read: 400")
    assert {record.event_kind for record in caplog.records} == {"management"}


def test_slow_answers_hold_up_neither_who_asks_nor_the_end():
    door, go_on = MeshDoor(), threading.Event()

    def slow(environ, start_response):
        go_on.wait(10.0)
        return reading(environ, start_response)

    door.serve(slow)
    replies = [Reply() for _ in range(8)]
    began = time.monotonic()
    for reply in replies:
        door(CALLER, write_asked(Asked("GET", "/")), reply)
    assert time.monotonic() - began < 1.0
    go_on.set()
    assert all(reply.came.wait(10.0) for reply in replies)
    door.close()


def test_each_change_is_told_and_each_question_once_in_a_while(caplog):
    caplog.set_level("INFO", "mesh.agent")
    now = [0.0]
    questions = QuestionLog(lambda: now[0])
    question, renewal = Asked("GET", "/api/v1/listeners?offset=1"), Asked("PUT", "/api/v1/leases/1")
    for _ in range(5):
        questions.record(CALLER, question, 200)
        questions.record(CALLER, renewal, 204)
        questions.record(CALLER, Asked("POST", "/api/v1/reload"), 200)
    assert [record.args["what"] for record in caplog.records].count("POST /api/v1/reload") == 5
    assert len(caplog.records) == 7
    questions.record(CALLER, question, 503)  # another outcome is news
    now[0] = AGAIN_S
    questions.record(CALLER, question, 200)
    assert caplog.records[-2].args["code"] == 503
    assert caplog.records[-1].getMessage().endswith("200, 5 times since this was told last")
    for number in range(2 * MAX_REMEMBERED):
        questions.record(CALLER, Asked("GET", f"/{number}"), 404)
    assert len(questions._told) == MAX_REMEMBERED
