"""Bytes between a client and a target, the loss of their path, and how an end ends."""

import logging

import pytest

from actors.messages import connection as messages
from actors.messages.connection_table import BodiesForged
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId, short_id
from tests.actors.company import start
from tests.actors.connections.both_ends_company import MIB, SIDES, Ends, both, pattern, resets
from tests.actors.connections.end_company import EXIT, EXIT_NAME, INGRESS, KEY, RESET

pytestmark = pytest.mark.usefixtures("no_crashes")

RELAY = AgentId(b"relay".ljust(16))


# Forged


@pytest.mark.parametrize("is_exit", [True, False])
def test_bodies_that_do_not_authenticate_are_counted_and_reported_with_the_peer_they_came_from(ends, is_exit):
    end, table, meters, source = (
        (ends.exit, ends.exit_table, ends.exit_meters, INGRESS)
        if is_exit
        else (ends.ingress, ends.ingress_table, ends.ingress_meters, EXIT)
    )
    forged = [
        Frame(
            type=FrameType.DATA,
            from_exit=not is_exit,
            source=source.id,
            destination=(EXIT if is_exit else INGRESS).id,
            connection=1,
            number=number,
            body=bytes(100),
        )
        for number in range(50)
    ]
    for frames in (forged[:20], forged[20:]):
        end.ref.tell(messages.SegmentsArrived(tuple(frames), RELAY))
    ends.run(0.1)
    assert meters.frames_forged == 50
    assert table.of(BodiesForged) == [BodiesForged(source.id, RELAY, 1, count) for count in (20, 30)]
    ends.client.send(b"still there")
    ends.run(0.1)
    assert bytes(ends.target.received) == b"still there"


# In order


@pytest.mark.parametrize("byte_count", [1, 65_536, 65_537, 3 * MIB])
@pytest.mark.parametrize("side", SIDES)
def test_bytes_arrive_as_they_were_sent(ends, side, byte_count):
    one, other = both(ends, side)
    one.send(pattern(byte_count))
    ends.run(5.0)
    assert bytes(other.received) == pattern(byte_count)
    assert (one.end, other.end) == ("", "")


@pytest.mark.parametrize("side", SIDES)
def test_an_end_of_stream_is_half_a_close(ends, side):
    one, other = both(ends, side)
    one.send(b"question")
    one.socket.shutdown_write()
    ends.run(1.0)
    assert (bytes(other.received), other.end) == (b"question", "EOF")
    assert one.end == ""
    ends.run(300.0)
    other.send(pattern(200_000))
    ends.run(1.0)
    assert bytes(one.received) == pattern(200_000)
    other.socket.close()
    ends.run(4.0)  # the end that was written to after its end of stream stays for 3 s, to repeat its last ACK
    assert one.end == "EOF"
    assert ends.is_over
    assert resets(ends) == (0, 0)


def test_both_ends_of_stream_at_once_are_a_close(ends):
    for program in (ends.client, ends.target):
        program.send(pattern(1000))
        program.socket.shutdown_write()
    ends.run(5.0)
    assert (ends.client.end, ends.target.end) == ("EOF", "EOF")
    assert ends.is_over


@pytest.mark.parametrize("side", SIDES)
def test_a_close_with_nothing_unread_is_an_end_of_stream_at_the_other_side(ends, side):
    one, other = both(ends, side)
    one.send(b"all")
    one.socket.close()
    ends.run(1.0)
    assert (bytes(other.received), other.end) == (b"all", "EOF")


def test_an_end_of_stream_before_the_open_completes_arrives():
    ends = Ends()
    ends.client.closes_at_end = False
    ends.client.send(b"early")
    ends.client.socket.shutdown_write()
    ends.open()
    assert (bytes(ends.target.received), ends.target.end) == (b"early", "EOF")
    assert ends.client.end == "EOF"  # the target's program closes at the end of what it is sent
    ends.run(3.0)
    assert ends.is_over
    ends.world.stop()


def test_what_is_sent_and_received_is_counted(ends):
    ends.client.send(bytes(1000))
    ends.target.send(bytes(300_000))
    ends.run(2.0)
    for meters, sent, received in (
        (ends.ingress_meters, 1000, 300_000),
        (ends.exit_meters, 300_000, 1000),
    ):
        assert (meters.bytes_sent, meters.bytes_received) == (sent, received)


# Paths


@pytest.mark.parametrize("gone_s", [0.1, 5.0, 29.0])
def test_a_path_that_comes_back_in_time_loses_nothing(ends, gone_s):
    ends.client.send(pattern(2 * MIB))
    ends.target.send(pattern(2 * MIB))
    ends.run(0.02)
    ends.path(exists=False)
    ends.run(gone_s)
    ends.path(exists=True)
    ends.run(3.0)
    assert bytes(ends.target.received) == bytes(ends.client.received) == pattern(2 * MIB)


def test_another_path_repeats_at_once_what_was_lost_on_the_old_one(ends):
    other_wire = start(ends.world, type(ends.to_exit), ends._reach_exit, host="branch")
    ends.to_exit.is_cut = True
    ends.client.send(b"lost")
    ends.run(0.001)
    ends.ingress.ref.tell(messages.PathChanged(EXIT.id, other_wire.ref))
    ends.run(0.05)
    assert bytes(ends.target.received) == b"lost"
    assert other_wire.of(FrameType.DATA)


@pytest.mark.parametrize("busy", [True, False])
def test_a_path_that_stays_away_resets_both_sides_after_the_reroute_timeout(busy):
    ends = Ends(reroute_timeout_s=12.0).open()
    if busy:
        ends.client.send(pattern(2 * MIB))
    ends.path(exists=False)
    ends.run(11.9)
    assert (ends.client.end, ends.target.end) == ("", "")
    ends.run(0.3)
    assert (ends.client.end, ends.target.end) == (RESET, RESET)
    assert ends.is_over
    ends.world.stop()


def test_each_loss_of_the_path_has_its_own_time(ends):
    for _ in range(3):
        ends.path(exists=False)
        ends.run(20.0)
        ends.path(exists=True)
        ends.run(5.0)
    ends.path(exists=False)
    ends.run(29.0)
    ends.path(exists=True)
    ends.client.send(b"still here")
    ends.run(1.0)
    assert bytes(ends.target.received) == b"still here"


def test_an_idle_connection_lasts(ends):
    ends.run(3 * 3600.0)
    ends.client.send(b"good morning")
    ends.run(1.0)
    assert bytes(ends.target.received) == b"good morning"


# The end of an end


def die(ends, end, how):
    if how == "stop":
        end.ref.stop(block=False)
    elif how == "close":
        end.ref.tell(messages.CloseConnection("the agent is leaving"))
    else:
        end.ref.tell("no message")
    ends.run(1.0)


@pytest.mark.parametrize("how", ["stop", "close"])
@pytest.mark.parametrize("end", ["ingress", "exit"])
def test_an_end_that_stops_resets_both_sides(ends, end, how):
    die(ends, getattr(ends, end), how)
    wire = ends.to_exit if end == "ingress" else ends.to_ingress
    assert len(wire.of(FrameType.RESET)) >= 1
    assert (ends.client.end, ends.target.end) == (RESET, RESET)
    assert ends.is_over
    assert resets(ends) == (1, 1)


@pytest.mark.parametrize("end", ["ingress", "exit"])
def test_a_connection_that_its_agent_leaves_is_told_in_both_logs(ends, end, caplog):
    with caplog.at_level(logging.INFO, logger="mesh.connections"):
        die(ends, getattr(ends, end), "close")
    told = [record.args for record in caplog.records]
    assert [(each["end"], each["ending"], each["reason"]) for each in told] == [
        (end, "stopped", "the agent is leaving"),
        (
            "exit" if end == "ingress" else "ingress",
            "given up",
            "the other end has given it up, or its agent is leaving",
        ),
    ]
    assert len({each["connection"] for each in told}) == 1
    assert str(ends.ingress) == f"IngressConnection({KEY}, {EXIT_NAME} {short_id(EXIT.id)}#1)"
    assert str(ends.exit) == f"ExitConnection({KEY}, agent {short_id(INGRESS.id)}#1)"
    assert resets(ends) == (1, 1)


def test_an_end_that_crashes_resets_both_sides(ends, caplog):
    die(ends, ends.ingress, "crash")
    assert (ends.client.end, ends.target.end) == (RESET, RESET)
    assert ends.is_over
    assert caplog.records.pop().exc_info
    caplog.clear()


@pytest.mark.parametrize("end", ["ingress", "exit"])
@pytest.mark.parametrize(
    ("news", "why"),
    [(messages.PeerRestarted, "agent has restarted"), (messages.PeerExpired, "agent has ended")],
)
def test_a_connection_of_an_agent_that_is_gone_is_reset(ends, end, news, why, caplog):
    far = EXIT if end == "ingress" else INGRESS
    with caplog.at_level("INFO", logger="mesh.connections"):
        getattr(ends, end).ref.tell(news(far.id))
        ends.run(1.0)
    assert why in caplog.text
    assert (ends.client.end, ends.target.end) == (RESET, RESET)
    assert ends.is_over


def test_an_other_end_that_vanishes_is_given_up(ends):
    ends.cut(True)
    ends.exit.ref.stop(block=False)
    ends.run(1.0)
    ends.client.send(b"anybody?")
    ends.run(28.0)
    assert ends.client.end == ""
    ends.run(10.0)
    assert ends.client.end == RESET
    assert not ends.ingress.ref.is_alive()
