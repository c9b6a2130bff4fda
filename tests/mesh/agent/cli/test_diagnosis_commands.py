"""What the commands of diagnoses print, and how they end."""

import contextlib
import json

import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.diagnosis.documents import Diagnosis, Found, Verdict
from mesh.agent.diagnosis.planning import ForbiddenError, UnknownError
from mesh.diagnostics.results import ProbeState, spread_of
from mesh.diagnostics.tasks import What

ID = "a" * 32


def found(what=What.PING, **more):
    given = {
        "agent": "hq",
        "key": "",
        "hop_count": 2,
        "state": ProbeState.DONE,
        "code": "",
        "error": "",
    } | more
    trips = given.pop("trips", ())
    counted = {"sent": len(trips), "answered": len(trips), "late": 0, "lost": 0, "open_ms": 3.0}
    carried = {"byte_count": 0, "seconds": 0.0, "bytes_per_s": None}
    return Found(
        what=what,
        agent_id=ID if given["agent"] else "",
        short_id=ID[:8] if given["agent"] else "",
        round_trip_ms=spread_of(trips),
        latest_ms=tuple(each * 1000 for each in trips),
        **(counted | carried | given),
    )


class Fake:
    def __init__(self):
        self.error, self.found, self.ended = None, (), []

    @property
    def _diagnosis(self):
        failed = sum(each.state is ProbeState.FAILED for each in self.found)
        verdict = Verdict.UNREACHABLE if failed else Verdict.REACHABLE
        return Diagnosis("1", verdict, len(self.found), failed, self.found)

    def begin(self, plan, *, at_once=16):
        if self.error is not None:
            raise self.error
        return self._diagnosis

    def end(self, number):
        self.ended.append(number)
        return True


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    fake = Fake()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(Behind(None, None, None, diagnosing=fake), None))
        yield fake


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_a_ping_prints_each_answer_and_the_figures(fake):
    fake.found = (found(key="db", trips=(0.001, 0.003)),)
    result = run("ping", "db", "-c", "2")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "db at hq aaaaaaaa, 2 hops",
        "answer 1: 1.00 ms",
        "answer 2: 3.00 ms",
        "2 sent, 2 answered, 0 lost (0 %)",
        "round trip min 1.00, mean 2.00, median 1.00, 90 % 3.00, 99 % 3.00, max 3.00 ms",
    ]
    assert fake.ended == [1]
    assert json.loads(run("ping", "db", "--json").stdout)["found"][0]["answered"] == 2


@pytest.mark.parametrize(("code", "status"), [("not-permitted", 4), ("at-capacity", 1), ("", 1)])
def test_a_ping_that_fails_says_why(fake, code, status):
    fake.found = (found(state=ProbeState.FAILED, code=code, error="refused: \x1b[31mred"),)
    result = run("ping", "hq")
    assert result.exit_code == status
    assert "hq aaaaaaaa, 2 hops: refused: \\x1b[31mred" in result.stdout


@pytest.mark.parametrize(("error", "status"), [(UnknownError("no such"), 1), (ForbiddenError("may not"), 4)])
@pytest.mark.parametrize("command", ["ping", "trace", "bench"])
def test_what_cannot_begin_is_told(fake, command, error, status):
    fake.error = error
    result = run(command, "db")
    assert (result.exit_code, result.stderr.strip()) == (status, str(error))


@pytest.mark.parametrize("command", ["ping", "trace", "bench", "unlisten", "unexpose"])
def test_who_is_named_is_somebody(fake, command):
    result = run(command, "")
    assert result.exit_code == 2
    assert "it is empty" in result.stderr


def test_a_trace_says_where_it_stops(fake):
    fake.found = (
        found(agent="relay", hop_count=1, trips=(0.001,)),
        found(hop_count=-1, state=ProbeState.FAILED, error="relay has no link to it any more"),
    )
    result = run("trace", "hq")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["1", "relay", "aaaaaaaa", "1.00", "ms", "1", "of", "1"]
    assert lines[-1] == "it stops at hop 2: hq aaaaaaaa, out of reach"


def test_a_test_has_a_verdict_and_fails_with_1_whatever_it_is(fake):
    fake.found = (found(trips=(0.001,)), found(What.OPEN, key="db"))
    result = run("test")
    assert result.exit_code == 0
    assert "all 2 can be reached" in result.stdout
    refused = found(What.OPEN, key="x", state=ProbeState.FAILED, code="not-permitted", error="refused")
    fake.found = (*fake.found, refused)
    result = run("test")
    assert result.exit_code == 1
    assert "1 of 3 cannot be reached" in result.stdout


def test_a_bench_tells_what_goes_through(fake):
    fake.found = (
        found(key="db", trips=(0.002,)),
        found(What.DOWNLOAD, key="db", byte_count=3_000_000, seconds=3.0, bytes_per_s=1e6),
        found(What.UPLOAD, key="db", state=ProbeState.FAILED, error="nothing was carried"),
    )
    result = run("bench", "db")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[2] == "download  8.0 Mbit/s (3.0 MB in 3.0 s)"
    assert lines[3] == "upload    nothing was carried"
