"""Records of connections: each in the journal, and in the log as many as its key may have."""

import logging

import pytest

from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending, ending_of
from mesh.connection.recorder import MAX_PLACES, WINDOW_S, Recorder
from mesh.connection.stream import ResetCode
from mesh.journal import EventKind, Journal


def record(key="my-api", *, end=End.INGRESS, ending=Ending.CLOSED, reason="", ingress="branch 1111"):
    view = ConnectionView(
        id="0123456789ab",
        end=end,
        key=key,
        client="127.0.0.1:5000" if end is End.INGRESS else "",
        ingress=ingress,
        exit="hq 2222",
        target="" if end is End.INGRESS else "10.0.0.5:80",
        age_s=1.25,
        to_service_bytes=10,
        to_client_bytes=20,
    )
    return ConnectionRecord(view, ending, reason)


class Writer:
    def __init__(self):
        self.journal = Journal()
        self.recorder = Recorder()
        self.now = 100.0

    def write(self, *args, lines_per_s=10, **kwargs):
        return self.recorder.record(
            record(*args, **kwargs), self.journal, now=self.now, unix_s=1e9, lines_per_s=lines_per_s
        )


@pytest.fixture
def writer(caplog):
    caplog.set_level(logging.INFO, "mesh.connections")
    return Writer()


def test_the_lines_of_both_ends(writer, caplog):
    writer.write()
    writer.write(end=End.EXIT, ending=Ending.REFUSED, reason="no\nlistener")
    assert caplog.messages == [
        (
            "connection 0123456789ab of my-api from 127.0.0.1:5000 to hq 2222: closed"
            "; 1.25 s, 10 bytes to the service, 20 back"
        ),
        (
            "connection 0123456789ab of my-api from branch 1111 to 10.0.0.5:80: refused: no\nlistener"
            "; 1.25 s, 10 bytes to the service, 20 back"
        ),
    ]
    assert caplog.records[0].args["connection"] == "0123456789ab"
    assert caplog.records[0].args["key"] == "my-api"


def test_beyond_its_rate_a_key_has_no_lines_and_their_number_is_told_at_the_end(writer, caplog):
    counts = [writer.write() for _ in range(1_000)]
    assert len(caplog.records) == 10 * WINDOW_S
    (count,) = [each for each in counts if each is not None]  # whoever has a timer needs one of it
    assert count is counts[int(10 * WINDOW_S)]
    writer.write("another")
    assert caplog.records[-1].args["key"] == "another"
    writer.now += WINDOW_S
    writer.write()  # begins a count of its own
    count.tell()
    assert caplog.messages[-1].startswith("connections of my-api: 900 more have ended")
    assert len(writer.journal.after(0, 10_000, {EventKind.CONNECTION}).events) == 1_000


def test_one_that_was_refused_is_told_among_many_that_ended(writer, caplog):
    for _ in range(1_000):
        writer.write()
    writer.write(ending=Ending.REFUSED, reason="refused")
    assert "refused" in caplog.messages[-1]
    (count,) = [each for _ in range(200) if (each := writer.write(ending=Ending.REFUSED)) is not None]
    count.tell()
    assert caplog.messages[-1].startswith("connections of my-api: 101 more were refused")


def test_no_lines_are_wanted(writer, caplog):
    for _ in range(20):
        writer.write(lines_per_s=0)
    assert not caplog.records
    assert len(writer.journal.after(0, 100).events) == 20


def test_keys_that_others_make_up_take_no_memory(writer):
    for number in range(10 * MAX_PLACES):
        writer.write(f"key-{number}", lines_per_s=0)
    assert len(writer.recorder._ended._by_name) == MAX_PLACES + 1


def test_more_keys_than_are_counted_share_one_count(writer, caplog):
    for number in range(3 * MAX_PLACES):
        writer.write(f"key-{number}")
    assert len(caplog.records) == MAX_PLACES + 10 * WINDOW_S
    writer.now += WINDOW_S
    for number in range(MAX_PLACES):
        writer.write(f"later-{number}")
    assert len(caplog.records) == 2 * MAX_PLACES + 10 * WINDOW_S


@pytest.mark.parametrize(
    ("key", "ending"), [("no-such-{}", Ending.REFUSED), ("mesh:echo:granted-{}", Ending.CLOSED)]
)
def test_who_makes_keys_up_is_counted_himself(writer, caplog, key, ending):
    for number in range(1_000):
        writer.write(key.format(number), end=End.EXIT, ending=ending)
    assert len(caplog.records) == 10 * WINDOW_S
    writer.write("my-api", end=End.EXIT)
    assert caplog.records[-1].args["key"] == "my-api"


def test_a_member_that_connects_without_pause_hides_nobody_elses_connections(writer):
    writer.write("my-api", end=End.EXIT, ingress="honest 3333")
    for number in range(5_000):
        writer.write(f"key-{number}", end=End.EXIT, ingress="mallory 4444", lines_per_s=0)
    kept = [event.what.view.ingress for event in writer.journal.after(0, 10_000).events]
    assert kept.count("honest 3333") == 1


@pytest.mark.parametrize("code", ResetCode)
@pytest.mark.parametrize("end", End)
def test_every_reset_has_a_meaning(code, end):
    ending = ending_of(code, end)
    if code is ResetCode.RESET:
        assert ending is (Ending.SERVICE if end is End.INGRESS else Ending.CLIENT)
    elif code is ResetCode.FORBIDDEN:
        assert ending is Ending.FORBIDDEN
    else:
        assert ending in (Ending.CANCELLED, Ending.OPERATOR, Ending.LOST)
