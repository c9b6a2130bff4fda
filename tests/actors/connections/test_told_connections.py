"""What both ends tell of a connection: how it is, how it ended, and by which name."""

import logging

import pytest

from actors.messages import connection as messages
from mesh.agent.control.gathering import Gathering
from mesh.config.schema import LoggingSection
from mesh.connection.endings import ConnectionRecord, Ending
from mesh.connection.recorder import WINDOW_S
from mesh.connection.session import connection_id
from mesh.journal import EventKind, Journal
from tests.actors.connections.both_ends_company import Ends
from tests.actors.connections.end_company import KEY, RESET
from tests.actors.connections.exit_company import Asker

pytestmark = pytest.mark.usefixtures("no_crashes")


@pytest.fixture
def ends():
    ends = Ends().open()
    yield ends
    ends.world.stop()


def records(meters):
    found = [event.what for event in meters.journal.after(0, 100, {EventKind.CONNECTION}).events]
    assert all(isinstance(each, ConnectionRecord) for each in found)
    return found


def told(ends):
    """The one record of each end."""
    ((near,), (far,)) = records(ends.ingress_meters), records(ends.exit_meters)
    return near, far


def view_of(end, ends):
    answers = Gathering()
    end.ref.tell(messages.DescribeConnection(answers))
    ends.run(0.1)
    (view,) = answers.ask([end.ref], messages.DescribeConnection(Gathering()), 0.0)
    return view


def test_both_ends_call_it_the_same_and_no_frame_has_the_name(ends):
    ends.client.send(b"x" * 1_000)
    ends.run(0.5)
    ends.target.send(b"y" * 300)
    ends.run(0.5)
    near, far = view_of(ends.ingress, ends), view_of(ends.exit, ends)
    assert near.id == far.id
    assert len(near.id) == 12
    assert all(bytes.fromhex(near.id) not in frame.body for frame in ends.to_exit.frames)
    for view in (near, far):
        assert (view.to_service_bytes, view.to_client_bytes, view.key) == (1_000, 300, KEY)
        assert view.age_s > 0
    assert near.client
    assert not far.client
    assert (near.target, far.target) == ("", "target:80")
    for meters in (ends.ingress_meters, ends.exit_meters):
        (end,) = meters.open_connections.with_id(near.id)
        assert meters.open_connections.after(0, 10) == (end,)
        assert meters.open_connections.after(end.number, 10) == ()


def test_each_connection_has_its_own_name_whichever_end_asks():
    one, other = b"1" * 32, b"2" * 32
    assert connection_id(one, other) == connection_id(one, other)
    assert len({connection_id(one, other), connection_id(other, one), connection_id(one, one)}) == 3


def test_one_that_ends_in_order(ends):
    ends.client.send(b"question")
    ends.target.send(b"answer")
    ends.run(0.5)
    ends.client.socket.shutdown_write()  # the target's program closes at the end of what it is sent
    ends.run(10.0)
    near, far = told(ends)
    assert (near.ending, far.ending) == (Ending.CLOSED, Ending.CLOSED)
    assert near.view.id == far.view.id
    assert (far.view.to_service_bytes, far.view.to_client_bytes) == (8, 6)
    assert not len(ends.ingress_meters.open_connections)
    assert not len(ends.exit_meters.open_connections)


@pytest.mark.parametrize(("side", "ending"), [("client", Ending.CLIENT), ("target", Ending.SERVICE)])
def test_one_that_a_program_resets(ends, side, ending):
    getattr(ends, side).socket.abort()
    ends.run(20.0)
    near, far = told(ends)
    assert (near.ending, far.ending) == (ending, ending)


@pytest.mark.parametrize("end", ["ingress", "exit"])
def test_one_that_an_operator_closes(ends, end):
    ends.client.send(b"x" * 10)
    ends.run(0.5)
    getattr(ends, end).ref.tell(messages.CloseForOperator())
    ends.run(20.0)
    near, far = told(ends)
    assert (near.ending, far.ending) == (Ending.OPERATOR, Ending.OPERATOR)
    assert (ends.client.end, ends.target.end) == (RESET, RESET)
    assert ends.is_over


@pytest.mark.parametrize("end", ["ingress", "exit"])
def test_one_that_fails_is_told_too(ends, end):
    getattr(ends, end).ref.stop(block=False)
    ends.run(40.0)
    near, far = told(ends)
    here, there = (near, far) if end == "ingress" else (far, near)
    assert here.ending is Ending.STOPPED
    assert there.ending is Ending.CANCELLED


def test_who_writes_connections_down_for_good_hears_of_each_once(ends):
    heard = []
    ends.ingress_meters.connection_ended = lambda record, unix_s: heard.append((record, unix_s))
    ends.ingress.ref.tell(messages.CloseForOperator())
    ends.run(20.0)
    near, _ = told(ends)
    ((record, unix_s),) = heard
    assert record is near
    assert unix_s > 0.0


def test_one_whose_ends_lose_each_other(ends):
    ends.cut(True)
    ends.client.send(b"anybody?")
    ends.run(100.0)
    near, _ = told(ends)
    assert near.ending is Ending.LOST
    assert near.reason


def test_one_that_is_rejected_has_one_name_too(scene):
    scene.ask(Asker(key="unheard-of"))
    scene.run(5.0)
    (record,) = records(scene.exit_meters)
    assert record.ending is Ending.REFUSED
    assert record.reason.startswith("unknown-key")
    assert scene.rejection == "unknown-key"
    assert record.view.id == scene.asker.initiator.id


def test_what_has_no_line_is_counted_though_nothing_follows(ends, caplog):
    caplog.set_level(logging.INFO, "mesh.connections")
    ends.ingress.ref.tell(messages.CloseForOperator())
    ends.run(20.0)
    (record,) = records(ends.ingress_meters)
    other = Ends().open()
    most = int(LoggingSection().connections * WINDOW_S)
    for _ in range(most):
        other.ingress_meters.recorder.record(
            record, Journal(), now=other.world.now(), unix_s=0.0, lines_per_s=LoggingSection().connections
        )
    caplog.clear()
    other.client.socket.abort()
    other.run(WINDOW_S - 1.0)
    assert not [line for line in caplog.messages if "more have ended" in line]
    other.run(1.0)
    assert caplog.messages[-1].startswith(f"connections of {KEY}: 1 more have ended")
    other.world.stop()


def test_a_client_that_is_refused_has_one_line(one, caplog):
    caplog.set_level(logging.INFO)
    one.exits[0].answer("refused")
    one.run(1.0)
    assert [": refused: refused at hq " in line for line in caplog.messages] == [True]


def test_a_client_that_nobody_answers_has_one_line(one, caplog):
    caplog.set_level(logging.INFO)
    one.run(60.0)
    told = [": refused: no candidate answered; no answer from hq " in line for line in caplog.messages]
    assert told == [True]


@pytest.mark.parametrize("key", [KEY, "unheard-of"])
def test_whom_an_exit_refuses_has_one_line_with_the_key(scene, caplog, key):
    caplog.set_level(logging.INFO)
    scene.door.close()
    scene.ask(Asker(key=key))
    scene.run(5.0)
    (line,) = caplog.messages
    assert f" of {key} from agent " in line
    assert ": refused: " in line
