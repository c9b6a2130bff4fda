"""What the control socket takes, and how it refuses; and a client's view of it."""

import contextlib
import threading
from pathlib import Path
from types import SimpleNamespace

import falcon
import falcon.testing
import msgspec
import pytest

from mesh.addresses import TcpAddress
from mesh.agent.control.admission import ByHttpAddress
from mesh.agent.control.api import ApiApp, ControlApp
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.behind import Behind
from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.jobs import MainThread
from mesh.agent.control.requests import ENDPOINTS, LEASES, LISTENERS, PLANS, RELOAD, PlanRequest
from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.control.socket_file import NAME
from mesh.agent.control.steering import SteeringError
from mesh.agent.control.steering_routes import steering_routes
from mesh.agent.control.tokens import Tokens, new_token, token_hash
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.events import Events, Job
from mesh.agent.outcome import Added, Outcome, OutdatedError, RefusedError, Verdict
from mesh.config.schema import EndpointSection, ListenerSection, TokenSection

DRY = f"{PLANS}?dry_run=true"

DONE = Outcome(Verdict.DONE, added=("endpoint a",), at_start=("agent.name",))
REFUSED = Outcome.refused(("config.yaml:1: x: found an unknown key", "1 problem"))


class Steered:
    def __init__(self):
        self.outcome, self.planned = DONE, []

    def reload(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def expecting(self, revision):
        if revision not in (None, "1f-1"):
            raise OutdatedError("the revision is 1f-1 by now: read again, then decide")
        return self

    def desired(self):
        return self.layers.shown

    def replace_saved(self, saved, *, dry_run):
        self.planned.append((saved, dry_run))
        return self.outcome

    def plan(self, path):
        self.planned.append(path)
        return self.outcome

    plan_text = plan

    def hold(self, service, hold_s):
        return self._added(service, (hold_s,), "1f")

    def save(self, service):
        return self._added(service, (), None)

    def _added(self, service, how, lease):
        if service.key == "taken":
            raise RefusedError("listener taken: port taken")
        self.planned.append((service, *how))
        return Added(f"listener {service.key}", "127.0.0.1:6000", lease)

    def renew(self, lease, hold_s):
        self.planned.append((lease, hold_s))
        return lease == "1f"

    def release(self, lease):
        return lease == "1f"

    def remove(self, kind, key, address, *, resets=False):
        if key == "nope":
            raise RefusedError("there is no such listener of nope")
        self.planned.append((kind, key, address, *["resets"] * resets))


def reading(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"page": "' + environ["PATH_INFO"].encode() + b'"}']


def app_of(steered):
    return ControlApp(Behind(steered, None, None), reading)


@pytest.fixture
def steered():
    return Steered()


@pytest.fixture
def app(steered):
    return falcon.testing.TestClient(app_of(steered))


def test_a_reload_answers_what_has_become_of_it(app, steered):
    answer = app.simulate_post(RELOAD)
    assert answer.status_code == 200
    assert msgspec.convert(answer.json, Outcome) == DONE
    assert answer.json["verdict"] == "done"


def test_a_refusal_is_a_problem_with_every_reason(app, steered):
    steered.outcome = REFUSED
    answer = app.simulate_post(RELOAD)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM_TYPE)
    assert answer.json["problems"] == list(REFUSED.problems)
    assert answer.json["detail"] == Verdict.REFUSED.value


@pytest.mark.parametrize("file", ["/etc/shadow", "relative", "/dev/zero"])
def test_who_may_only_change_an_agent_has_it_read_no_file(steered, file):
    """Complaints about a file quote it, and the agent's user may read more than the bearer of a token."""
    token = new_token()
    tokens = Tokens((TokenSection(name="deployment", hash=token_hash(token)),))
    api = ApiApp(steering_routes(SimpleNamespace(steering=steered)), (ByHttpAddress(Bearers(tokens)),))
    bearer = falcon.testing.TestClient(api, headers={"Authorization": f"Bearer {token}"})
    answer = bearer.simulate_post(DRY, json={"file": file})
    assert answer.status_code == 403
    assert "control socket" in answer.json["detail"]
    assert steered.planned == []
    assert bearer.simulate_post(DRY).status_code == 200
    assert steered.planned == [None]


def test_a_plan_is_of_the_agents_own_file_or_another_or_a_text(app, steered):
    assert app.simulate_post(DRY).status_code == 200
    assert app.simulate_post(DRY, json={"file": "/x/y.yaml"}).status_code == 200
    assert app.simulate_post(DRY, json={"config": "peers: []"}).status_code == 200
    assert steered.planned == [None, Path("/x/y.yaml"), "peers: []"]
    steered.outcome = REFUSED
    answer = app.simulate_post(DRY, json={"config": "x: 1"})
    assert (answer.status_code, answer.json["place"]) == (422, "body.config")
    assert answer.json["problems"] == list(REFUSED.problems)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"config": ""}, "body.config"),
        ({"config": "", "forward": {}}, "body.forward"),
        ({"config": "", "file": "/x", "forward": {}}, "body.file"),
    ],
)
def test_a_whole_configuration_is_only_thought_of_and_one_at_a_time(app, steered, body, place):
    answer = app.simulate_post(PLANS, json=body)
    assert (answer.status_code, answer.json["place"]) == (400, place)
    assert steered.planned == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"file": "y.yaml"}', "expected an absolute path, found 'y.yaml'"),
        (b'{"file": 1}', "Expected `str | null`"),
        (b'{"fil": "/x"}', "unknown field `fil`"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"file": "\xff"}', "UTF-8"),
    ],
)
def test_a_body_that_is_wrong_is_told_and_nothing_is_done(app, steered, body, told):
    answer = app.simulate_post(DRY, body=body, content_type=falcon.MEDIA_JSON)
    assert answer.status_code == 400
    assert told.lower() in answer.json["detail"].lower()
    assert steered.planned == []


def test_a_body_that_is_too_large_is_refused(app, steered):
    assert app.simulate_post(PLANS, body=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert steered.planned == []


@pytest.mark.parametrize(("path", "status"), [(RELOAD, 405), ("/api/v1/nothing", 404)])
def test_what_there_is_not_is_a_problem_too(app, path, status):
    answer = app.simulate_get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_TYPE)


def test_what_fails_is_told_without_details_which_the_log_has(app, steered, caplog):
    steered.outcome = ValueError("secret")
    answer = app.simulate_post(RELOAD)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_an_agent_that_is_too_busy_says_so(app, steered):
    steered.outcome = SteeringError("not within 45 s")
    answer = app.simulate_post(RELOAD)
    assert (answer.status_code, answer.json["detail"]) == (503, "not within 45 s")


LISTENER = ListenerSection(key="web", address=TcpAddress("127.0.0.1", 0))
ENDPOINT = EndpointSection(key="web", target=TcpAddress("localhost", 80), max_connections=3)


def test_a_service_is_held_or_saved(app, steered):
    held = app.simulate_post(
        LISTENERS, json={"service": {"key": "web", "address": "127.0.0.1:0"}, "hold_s": 20}
    )
    assert (held.status_code, held.json["lease"], held.json["address"]) == (201, "1f", "127.0.0.1:6000")
    entry = {"key": "web", "target": "localhost:80", "max_connections": 3}
    saved = app.simulate_post(ENDPOINTS, json={"service": entry, "save": True})
    assert (saved.status_code, saved.json["lease"]) == (201, None)
    assert steered.planned == [(LISTENER, 20.0), (ENDPOINT,)]


@pytest.mark.parametrize(
    ("place", "body", "expected"),
    [
        (LISTENERS, {"service": {"key": "web", "address": "nowhere"}}, (400, "address: found")),
        (LISTENERS, {"service": {"key": "web", "target": "localhost:80"}}, (400, "unknown key")),
        (ENDPOINTS, {"service": {}}, (400, "key: found")),
        (ENDPOINTS, {"service": {"key": "a", "target": "${HOME}:1"}}, (400, "HOME")),
        (ENDPOINTS, {}, (400, "missing required field `service`")),
        (LISTENERS, {"service": {"key": "taken", "address": ":1"}}, (409, "port taken")),
        (LISTENERS, {"service": {"key": "web", "address": ":1"}, "hold_s": 0}, (400, "hold_s")),
        (LISTENERS, {"service": {"key": "web", "address": ":1"}, "hold_s": 1e9}, (400, "hold_s")),
    ],
)
def test_a_service_that_cannot_be_is_refused_with_the_reason(app, steered, place, body, expected):
    answer, (status, told) = app.simulate_post(place, json=body), expected
    assert answer.status_code == status
    assert told in answer.json["detail"]
    assert steered.planned == []


def test_a_lease_is_renewed_and_released(app, steered):
    assert app.simulate_put(f"{LEASES}/1f", json={"hold_s": 7}).status_code == 204
    assert steered.planned == [("1f", 7.0)]
    assert app.simulate_delete(f"{LEASES}/1f").status_code == 204
    assert app.simulate_put(f"{LEASES}/2e", json={}).status_code == 404
    assert app.simulate_delete(f"{LEASES}/2e").status_code == 404


def test_services_are_taken_out_by_their_key(app, steered):
    assert app.simulate_delete(LISTENERS, params={"key": "web", "address": ":1"}).status_code == 204
    assert app.simulate_delete(ENDPOINTS, params={"key": "web"}).status_code == 204
    assert app.simulate_delete(LISTENERS, params={"key": "web", "now": "true"}).status_code == 204
    taken = [("listeners", "web", ":1"), ("endpoints", "web", None), ("listeners", "web", None, "resets")]
    assert steered.planned == taken
    assert app.simulate_delete(LISTENERS, params={"key": "nope"}).status_code == 409
    assert app.simulate_delete(LISTENERS).status_code == 400


def test_everything_else_is_read_as_at_the_http_address(app):
    assert app.simulate_get("/ready").json == {"page": "/ready"}


# Over the socket


@pytest.fixture
def client(tmp_path, steered):
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(app_of(steered))
        yield AgentClient(tmp_path / NAME, 10.0)


def test_a_client_gets_answers_and_refusals(client, steered):
    assert client.get("/api/dashboard", dict) == {"page": "/api/dashboard"}
    assert client.post(RELOAD, Outcome) == DONE
    client.post(DRY, Outcome, PlanRequest("/a/" + "b" * 4000))
    assert len(str(steered.planned[0])) == 4003
    steered.outcome = REFUSED
    with pytest.raises(Refused) as caught:
        client.post(RELOAD, Outcome)
    assert (caught.value.status, caught.value.problems) == (422, REFUSED.problems)


def test_nothing_is_left_of_a_door_that_is_closed(tmp_path, steered):
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(app_of(steered))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotRunning, match=r"no agent answers at .*control\.sock: no such file"):
        AgentClient(tmp_path / NAME).get("/ready", dict)


def test_an_answer_of_another_version_is_no_crash(client):
    for kind in (Outcome, list):
        with pytest.raises(NotUnderstood, match="does it run another version"):
            client.get("/api/dashboard", kind)


def test_where_no_socket_can_be_made_the_agent_runs_without_a_door(tmp_path, steered, caplog):
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path / "missing"))) as door:
        door.serve(app_of(steered))
    assert "no command can ask or change this agent, but SIGHUP can: " in caplog.text


def test_a_door_that_closes_leaves_the_socket_of_another_agent_alone(tmp_path):
    first = ControlDoor(ControlSocket(tmp_path))
    (tmp_path / NAME).unlink()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))):
        first.close()
        assert (tmp_path / NAME).is_socket()


def test_an_agent_without_a_data_directory_has_no_door(steered):
    with contextlib.closing(ControlDoor(ControlSocket(None))) as door:
        door.serve(app_of(steered))


# By way of the main thread


def test_the_main_thread_does_one_thing_at_a_time_and_whoever_asked_gets_what_came_of_it(steered):
    events = Events()
    main = MainThread(events, steered)
    answers = []
    asker = threading.Thread(target=lambda: answers.append((main.reload(), main.plan(None))))
    asker.start()
    for _ in range(2):
        job = events.get(10.0)
        assert isinstance(job, Job)
        job.run()
    asker.join(10.0)
    assert answers == [(DONE, DONE)]


def test_what_fails_there_fails_for_who_asked(steered):
    events, failures = Events(), []
    steered.outcome = ValueError("why")

    def ask():
        try:
            MainThread(events, steered).reload()
        except ValueError as error:
            failures.append(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    events.get(10.0).run()
    asker.join(10.0)
    assert failures == ["why"]


def test_nobody_waits_for_ever_and_what_nobody_waits_for_is_not_done(steered, monkeypatch):
    monkeypatch.setattr("mesh.agent.control.jobs.WAIT_S", 0.01)
    events = Events()
    with pytest.raises(SteeringError, match="not come to it"):
        MainThread(events, steered).plan(None)
    events.get(1.0).run()
    assert steered.planned == []


def test_an_agent_that_ends_lets_nobody_wait_for_what_it_does_not_do(steered):
    events, failures = Events(), []
    main = MainThread(events, steered)

    def ask():
        try:
            main.reload()
        except SteeringError as error:
            failures.append(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    job = events.get(10.0)
    events.put(job)  # as if it had not been taken
    events.abandon_jobs()
    asker.join(10.0)
    assert failures == ["the agent ends"]
