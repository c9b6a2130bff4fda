"""Who waits for a place, and for how long."""

from math import inf

from mesh.connection.waiting_room import PLACE_PATIENCE_S, WaitingRoom


def test_as_many_wait_as_there_are_seats_and_leave_in_their_order():
    room: WaitingRoom[str] = WaitingRoom()
    assert [room.enter(name, 1.0, 2) for name in "abc"] == [True, True, False]
    assert len(room) == 2
    assert [room.take() for _ in range(3)] == ["a", "b", None]
    assert room.deadline() == inf


def test_nobody_waits_longer_than_their_patience():
    room: WaitingRoom[str] = WaitingRoom()
    room.enter("a", 1.0, 9)
    room.enter("b", 1.5, 9)
    assert room.deadline() == 1.0 + PLACE_PATIENCE_S
    assert room.overdue(0.99 + PLACE_PATIENCE_S) == []
    assert room.overdue(1.0 + PLACE_PATIENCE_S) == ["a"]
    assert room.deadline() == 1.5 + PLACE_PATIENCE_S


def test_after_the_notice_those_stay_for_whom_one_is_closing():
    room: WaitingRoom[str] = WaitingRoom(notice_s=0.5)
    for name in "abc":
        room.enter(name, 1.0, 9)
    assert room.deadline(closing=1) == 1.5
    assert room.overdue(1.4, closing=0) == []
    assert room.overdue(1.5, closing=1) == ["b", "c"]
    assert room.deadline(closing=1) == 1.0 + PLACE_PATIENCE_S
    assert room.deadline(closing=0) == 1.5
    assert room.overdue(2.0, closing=0) == ["a"]


def test_who_leaves_waits_no_more():
    room: WaitingRoom[str] = WaitingRoom()
    for name in "abc":
        room.enter(name, 1.0, 9)
    room.leave(lambda name: name == "b")
    room.leave(lambda name: name == "x")
    assert [room.take(), room.take(), room.take()] == ["a", "c", None]
