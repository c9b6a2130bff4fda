"""What the API says of diagnoses, and how it refuses."""

import falcon.testing
import pytest

from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.diagnosis.documents import Diagnosis, Verdict
from mesh.agent.diagnosis.planning import ForbiddenError, UnknownError
from mesh.agent.outcome import RefusedError


class Fake:
    """Begins whatever it is told to, or fails as it is told to."""

    def __init__(self):
        self.error, self.at_once = None, []

    def begin(self, plan, *, at_once=16):
        self.at_once.append(at_once)
        if self.error is not None:
            raise self.error
        return Diagnosis("1", Verdict.RUNNING, 0, 0, ())

    def look(self, number):
        return Diagnosis("1", Verdict.REACHABLE, 0, 0, ()) if number == 1 else None

    def end(self, number):
        return number == 1


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def api(fake):
    return falcon.testing.TestClient(ControlApp(Behind(None, None, None, diagnosing=fake), None))


BEGINNINGS = [
    ("/api/v1/pings", {"to": "hq"}),
    ("/api/v1/traces", {"to": "hq"}),
    ("/api/v1/tests", {}),
    ("/api/v1/benches", {"key": "db"}),
]


@pytest.mark.parametrize(("path", "body"), BEGINNINGS)
def test_a_diagnosis_is_begun_looked_at_and_ended(api, path, body):
    begun = api.simulate_post(path, json=body)
    assert (begun.status_code, begun.json["verdict"]) == (201, "running")
    assert api.simulate_get(f"{path}/1").json["verdict"] == "reachable"
    assert api.simulate_delete(f"{path}/1").status_code == 204
    assert api.simulate_get(f"{path}/2").status_code == 404
    assert api.simulate_delete(f"{path}/2").status_code == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownError("no such"), 404),
        (ForbiddenError("may not"), 403),
        (RefusedError("too many"), 409),
        (StatusUnavailable("busy"), 503),
    ],
)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_what_cannot_begin_is_refused_with_the_reason(api, fake, beginning, error, status):
    path, body = beginning
    fake.error = error
    answer = api.simulate_post(path, json=body)
    assert (answer.status_code, answer.json["detail"]) == (status, str(error))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/pings", {}),
        ("/api/v1/pings", {"to": ""}),
        ("/api/v1/pings", {"to": "x" * 256}),
        ("/api/v1/pings", {"to": "hq", "count": -1}),
        ("/api/v1/pings", {"to": "hq", "interval_s": 0}),
        ("/api/v1/traces", {"to": "hq", "count": 101}),
        ("/api/v1/benches", {"key": "db", "seconds": 11}),
        ("/api/v1/benches", {"key": "db", "more": 1}),
    ],
)
def test_a_wish_that_is_wrong_begins_nothing(api, fake, path, body):
    assert api.simulate_post(path, json=body).status_code == 400
    assert not fake.at_once


@pytest.mark.parametrize("number", ["x", "-1", str(1 << 60)])
def test_a_number_that_is_none_is_told(api, number):
    assert api.simulate_get(f"/api/v1/pings/{number}").status_code == 400


def test_a_bench_does_one_thing_after_the_other(api, fake):
    api.simulate_post("/api/v1/benches", json={"key": "db"})
    assert fake.at_once == [1]
