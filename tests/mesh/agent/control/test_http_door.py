"""The API at ``http.address``: for reading, and for the bearers of tokens."""

import logging
import queue
import threading

import falcon.testing
import msgspec
import pytest

from mesh.agent.control.admission import (
    FREE_WORK_MS,
    MAX_CHANGES,
    MAX_READERS,
    WORK_BURST_MS,
    WORK_MS_PER_S,
    ByHttpAddress,
    Throttle,
)
from mesh.agent.control.api import ApiApp
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.requests import OPENAPI
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.control.tokens import FAILURES_BURST, Tokens, new_token, token_hash
from mesh.agent.dashboard.app import DOCUMENT_BURST_BYTES
from mesh.agent.dashboard.guard import HostGuard, Marks
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.config.schema import TokenSection
from mesh.sampling import MARK

CHANGED = []
THINGS = "/api/v1/things"


def show(call: Call[Nothing, Nothing]) -> str:
    """Show something."""
    return call.caller


def change(call: Call[Nothing, Nothing]) -> None:
    """Change something."""
    CHANGED.append(call.caller)


GATE = threading.Event()


READING = threading.Semaphore(0)


def show_slowly(call: Call[Nothing, Nothing]) -> str:
    """Show something that takes long to make."""
    READING.release()
    GATE.wait(20)
    return call.caller


def linger(call: Call[Nothing, Nothing]) -> None:
    """Change something that takes long."""
    GATE.wait(20)
    CHANGED.append(call.caller)


class Place(msgspec.Struct, frozen=True):
    id: str


def change_one(call: Call[Place, Nothing]) -> None:
    """Change one thing."""
    CHANGED.append(call.parameters.id)


ROUTES = (
    Route(Method.GET, THINGS, show),
    Route(Method.POST, THINGS, change, changes=True),
    Route(Method.PUT, THINGS, linger, changes=True),
    Route(Method.DELETE, f"{THINGS}/{{id}}", change_one, changes=True),
    Route(Method.GET, f"{THINGS}/slow", show_slowly),
    Route(Method.POST, f"{THINGS}/slow", show_slowly, waits=True),
)


class Clock:
    now = 0.0
    work_s = 0.0
    """What each request takes of the processor."""
    worked_s = 0.0

    def working(self):
        self.worked_s += self.work_s
        return self.worked_s

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    CHANGED.clear()
    return Clock()


@pytest.fixture
def token():
    return new_token()


@pytest.fixture
def tokens(token, clock):
    return Tokens((TokenSection(name="deployment", hash=token_hash(token)),), clock)


@pytest.fixture
def app(tokens, clock):
    middleware = (Marks(), HostGuard(), Throttle(clock, clock.working), ByHttpAddress(Bearers(tokens)))
    return falcon.testing.TestClient(ApiApp(ROUTES, middleware), headers={"Host": "localhost"})


def bearing(token):
    return {"Authorization": f"Bearer {token}"}


def test_everybody_reads(app):
    assert app.simulate_get(THINGS).json == "http.address"
    assert app.simulate_get(OPENAPI).headers["x-content-type-options"] == "nosniff"
    assert app.simulate_get(THINGS, headers=bearing("wrong")).status_code == 200


def test_the_bearer_of_a_token_changes_things_and_the_log_has_its_name(app, token, caplog):
    caplog.set_level(logging.INFO)
    assert app.simulate_post(THINGS, headers=bearing(token)).status_code == 204
    assert CHANGED == ["the token of deployment"]
    assert f"POST {THINGS} by the token of deployment: 204" in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer \xe9"},
        bearing("mesh_"),
        {"Cookie": "token=x"},
    ],
)
def test_nobody_else_does(app, headers):
    answer = app.simulate_post(THINGS, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM_TYPE)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert CHANGED == []


def test_where_there_are_no_tokens_the_way_to_have_one_is_told(app, tokens, token):
    tokens.allow(())
    answer = app.simulate_post(THINGS, headers=bearing(token))
    assert answer.status_code == 403
    assert "mesh token new" in answer.json["detail"]
    assert CHANGED == []


def test_failures_are_limited_and_do_not_lock_out_whoever_has_a_token(app, token, clock, caplog):
    answers = [app.simulate_post(THINGS, headers=bearing("wrong")) for _ in range(50)]
    assert [each.status_code for each in answers] == [401] * int(FAILURES_BURST) + [429] * (
        50 - int(FAILURES_BURST)
    )
    assert answers[-1].headers["retry-after"] == "1"
    assert caplog.text.count("a token that is not good") == FAILURES_BURST
    assert app.simulate_post(THINGS, headers=bearing(token)).status_code == 204
    clock.now += 1.0
    assert app.simulate_post(THINGS, headers=bearing("wrong")).status_code == 401


def test_a_name_that_was_rebound_here_reads_nothing(app, token):
    for answer in (
        app.simulate_get(THINGS, headers={"Host": "evil.example"}),
        app.simulate_post(THINGS, headers={"Host": "evil.example"} | bearing(token)),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM_TYPE)
    assert CHANGED == []


def test_whoever_reads_too_much_waits(clock):
    def much(_: Call[Nothing, Nothing]) -> str:
        """Show much."""
        return "x" * (DOCUMENT_BURST_BYTES + 1)

    middleware = (Throttle(clock, clock.working), ByHttpAddress(Bearers(Tokens())))
    app = falcon.testing.TestClient(ApiApp((Route(Method.GET, THINGS, much),), middleware))
    assert app.simulate_get(THINGS).status_code == 200
    refused = app.simulate_get(THINGS)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    clock.now += 60.0
    assert app.simulate_get(THINGS).status_code == 200


def test_tokens_differ_and_only_their_hashes_are_kept(token, tokens):
    assert new_token() != token
    assert len(token) > 40
    assert tokens.found(token).name == "deployment"
    assert tokens.found(token[:-1]) is None
    assert token.encode() not in repr(vars(tokens)).encode()


def test_changes_that_take_long_leave_threads_to_those_who_read(app, token):
    GATE.clear()
    answers = queue.SimpleQueue()
    asking = [
        threading.Thread(
            target=lambda: answers.put(app.simulate_put(THINGS, headers=bearing(token)).status_code)
        )
        for _ in range(MAX_CHANGES + 1)
    ]
    try:
        for each in asking:
            each.start()
        assert answers.get(timeout=10) == 503
        assert app.simulate_get(THINGS).status_code == 200
        assert app.simulate_post(THINGS).status_code == 401
    finally:
        GATE.set()
        for each in asking:
            each.join(20)
    assert [answers.get_nowait() for _ in range(MAX_CHANGES)] == [204] * MAX_CHANGES
    assert app.simulate_post(THINGS, headers=bearing(token)).status_code == 204


def test_a_place_for_a_change_is_free_again_whatever_came_of_it(app, token):
    for _ in range(3 * MAX_CHANGES):
        answer = app.simulate_post(THINGS, headers=bearing(token), body=b"{", content_type="text/plain")
        assert answer.status_code == 415
    assert app.simulate_post(THINGS, headers=bearing(token)).status_code == 204


def test_a_path_of_any_length_takes_little_of_the_log(app, caplog):
    app.simulate_delete(f"{THINGS}/{'x' * 10_000}%0aforged", headers=bearing("wrong"))
    (line,) = caplog.messages
    assert len(line) < 200
    assert "\n" not in line
    assert hasattr(caplog.records[0], MARK)


def test_answers_that_take_long_to_make_are_rationed_and_short_ones_are_not(app, clock):
    clock.work_s = FREE_WORK_MS / 1000
    assert {app.simulate_get(THINGS).status_code for _ in range(2_000)} == {200}
    clock.work_s = 0.02
    answers = [app.simulate_get(THINGS) for _ in range(100)]
    served = [each.status_code for each in answers].count(200)
    assert served == pytest.approx(WORK_BURST_MS / (20 - FREE_WORK_MS), abs=1.5)
    assert answers[-1].status_code == 503
    assert answers[-1].headers["retry-after"]
    clock.now += 2 * WORK_BURST_MS / WORK_MS_PER_S
    assert app.simulate_get(THINGS).status_code == 200


def test_few_are_read_to_at_one_time(app, token):
    GATE.clear()
    asking = [
        threading.Thread(target=app.simulate_get, args=(f"{THINGS}/slow",)) for _ in range(MAX_READERS)
    ] + [threading.Thread(target=app.simulate_post, args=(f"{THINGS}/slow",))]
    try:
        for each in asking:
            each.start()
        for _ in asking:
            assert READING.acquire(timeout=10)
        assert app.simulate_get(THINGS).status_code == 503
        assert app.simulate_post(THINGS, headers=bearing(token)).status_code == 204
    finally:
        GATE.set()
        for each in asking:
            each.join(20)
    assert app.simulate_get(THINGS).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_have_the_agent_do_nothing(app, site):
    foreign = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    READING.acquire(blocking=False)
    GATE.set()
    assert app.simulate_post(f"{THINGS}/slow", headers=foreign).status_code == 403
    assert not READING.acquire(blocking=False)
    assert app.simulate_get(THINGS, headers=foreign).status_code == 403
    assert app.simulate_get(THINGS, headers={**foreign, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    for own in ("same-origin", "none"):
        assert app.simulate_get(THINGS, headers={**foreign, "Sec-Fetch-Site": own}).status_code == 200
