"""Records of connections: each in the journal, and in the log as many as its key may have."""

import logging

import pytest

from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending, ending_of
from mesh.connection.recorder import MAX_KEYS, WINDOW_S, Recorder
from mesh.connection.stream import ResetCode
from mesh.journal import EventKind, Journal


def record(key="my-api", *, end=End.INGRESS, ending=Ending.CLOSED, reason=""):
    view = ConnectionView(
        id="0123456789ab",
        end=end,
        key=key,
        client="127.0.0.1:5000" if end is End.INGRESS else "",
        ingress="branch 1111",
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
        self.recorder.record(
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


def test_beyond_its_rate_a_key_has_no_lines_and_the_next_one_counts_them(writer, caplog):
    for _ in range(1_000):
        writer.write()
    assert len(caplog.records) == 10 * WINDOW_S
    writer.write("another")
    assert caplog.records[-1].args["key"] == "another"
    writer.now += WINDOW_S
    writer.write()
    assert caplog.records[-1].left_out == 1_000 - 10 * WINDOW_S
    assert len(writer.journal.after(0, 10_000, {EventKind.CONNECTION}).events) == 1_000


def test_no_lines_are_wanted(writer, caplog):
    for _ in range(20):
        writer.write(lines_per_s=0)
    assert not caplog.records
    assert len(writer.journal.after(0, 100).events) == 20


def test_keys_that_others_make_up_take_no_memory(writer):
    for number in range(10 * MAX_KEYS):
        writer.write(f"key-{number}", lines_per_s=0)
    assert len(writer.recorder._windows) == MAX_KEYS


@pytest.mark.parametrize("code", ResetCode)
@pytest.mark.parametrize("end", End)
def test_every_reset_has_a_meaning(code, end):
    ending = ending_of(code, end)
    if code is ResetCode.RESET:
        assert ending is (Ending.SERVICE if end is End.INGRESS else Ending.CLIENT)
    else:
        assert ending in (Ending.CANCELLED, Ending.OPERATOR, Ending.LOST)
