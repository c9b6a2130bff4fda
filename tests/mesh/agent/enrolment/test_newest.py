"""What an issuer remembers of the certificates that agents show, so that it renews none that is older."""

import time

import pytest

from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment import newest
from mesh.agent.enrolment.newest import LOOK_S, CertificateWatch, NewestCertificates
from mesh.agent.files import AgentFileError
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity

AUTHORITY, ONE, TWO, THREE = (Identity(bytes([byte]) * 32) for byte in range(1, 5))


def shown(identity, begins):
    wire = issue_certificate(
        AUTHORITY, subject=identity.public_key, name="x", not_before=begins, not_after=begins + 100
    )
    return read_certificate(wire)


def test_the_newest_is_remembered_over_a_restart_whatever_is_shown_afterwards(tmp_path):
    kept = NewestCertificates(tmp_path)
    kept.note([shown(ONE, 20), shown(TWO, 5)])
    kept.note([shown(ONE, 10)])
    for each in (kept, NewestCertificates(tmp_path)):
        assert [each.newer_than(shown(ONE, begins)) for begins in (10, 19, 20, 21)] == [20, 20, 0, 0]
        assert each.newer_than(shown(TWO, 5)) == each.newer_than(shown(THREE, 0)) == 0
    assert (tmp_path / newest.NAME).stat().st_mode & 0o777 == 0o600


def test_no_more_are_remembered_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(newest, "MAX_AGENTS", 2)
    kept = NewestCertificates(tmp_path)
    kept.note([shown(ONE, 20), shown(TWO, 5), shown(THREE, 7)])
    assert [kept.newer_than(shown(each, 1)) for each in (ONE, TWO, THREE)] == [20, 0, 7]


def test_a_damaged_file_is_told_with_what_to_do(tmp_path):
    (tmp_path / newest.NAME).write_text("[")
    with pytest.raises(AgentFileError, match=r"newest-certificates\.json: is damaged .*take it away"):
        NewestCertificates(tmp_path)


def test_what_could_not_be_written_is_tried_again(tmp_path):
    folder = tmp_path / "gone"
    kept = NewestCertificates(folder)
    with pytest.raises(AgentFileError):
        kept.note([shown(ONE, 20)])
    assert kept.newer_than(shown(ONE, 1)) == 20
    folder.mkdir()
    kept.note([])
    assert NewestCertificates(folder).newer_than(shown(ONE, 1)) == 20


class Events:
    def __init__(self):
        self.jobs = []

    def put(self, job):
        self.jobs.append(job)


def watching(look, *, is_issuer=True):
    events, saw = Events(), []
    watch = CertificateWatch(events, is_issuer=lambda: is_issuer, look=look, saw=saw.append)
    return watch, events, saw


def finish(events):
    deadline = time.monotonic() + 5
    while not events.jobs and time.monotonic() < deadline:
        time.sleep(0.001)
    for job in events.jobs:
        job.run()
    events.jobs.clear()


def test_an_issuer_looks_each_minute_and_others_never():
    looks = []
    watch, events, saw = watching(lambda: looks.append(1) or [shown(ONE, 20)])
    watch.due(1000.0)
    finish(events)
    assert saw == [(shown(ONE, 20),)]
    watch.due(1000.0 + LOOK_S - 1)
    assert watch.wait_s(1000.0 + LOOK_S - 1) == 1
    watch.due(1000.0 + LOOK_S)
    finish(events)
    assert len(saw) == len(looks) == 2
    watch.due(5.0)  # a clock that was set back
    finish(events)
    assert len(saw) == 3
    idle, _, _ = watching(lambda: looks.append(1), is_issuer=False)
    idle.due(1000.0)
    assert len(looks) == 3


def test_actors_that_are_busy_are_asked_at_the_next_look():
    def busy():
        raise StatusUnavailable("busy")

    watch, events, saw = watching(busy)
    watch._see()
    assert (events.jobs, saw) == ([], [])
