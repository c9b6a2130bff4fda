"""The journal: bounded in number and bytes, fair among kinds, and honest about what it has lost."""

import pytest

from mesh.journal import EventKind, Journal, Note


def note(text="something"):
    return Note("info", text, {"key": "my-api"})


def filled(count, kind=EventKind.LINK, **bounds):
    journal = Journal(**bounds)
    for number in range(count):
        journal.add(kind, float(number), note(str(number)))
    return journal


def test_events_come_in_their_order_whatever_their_kinds():
    journal = Journal()
    kinds = [EventKind.LINK, EventKind.ALARM, EventKind.LINK, EventKind.CONNECTION]
    for kind in kinds:
        journal.add(kind, 1.0, note())
    found = journal.after(0, 10)
    assert [event.kind for event in found.events] == kinds
    assert [event.number for event in found.events] == [1, 2, 3, 4]
    assert (found.last, found.are_lost) == (4, False)


def test_who_goes_on_where_he_was_misses_nothing_and_sees_nothing_twice():
    journal = filled(25)
    seen, at = [], 0
    for _ in range(5):
        found = journal.after(at, 10)
        seen += [event.number for event in found.events]
        at = found.last
    assert seen == list(range(1, 26))


def test_a_filter_passes_over_the_other_kinds_once():
    journal = filled(5)
    journal.add(EventKind.ALARM, 9.0, note())
    journal.add(EventKind.LINK, 9.0, note())
    found = journal.after(0, 10, {EventKind.ALARM})
    assert [event.number for event in found.events] == [6]
    assert found.last == 7


def test_of_more_than_fit_the_oldest_go_and_this_is_told():
    journal = filled(15, max_events=10)
    found = journal.after(0, 100)
    assert [event.number for event in found.events] == list(range(6, 16))
    assert found.are_lost
    assert not journal.after(5, 100).are_lost
    assert journal.after(4, 100).are_lost


def test_what_happens_often_displaces_itself_alone():
    journal = Journal(max_events=100)
    for number in range(10):
        journal.add(EventKind.ALARM, float(number), note())
    for number in range(5_000):
        journal.add(EventKind.CONNECTION, float(number), note())
    alarms = journal.after(0, 100, {EventKind.ALARM})
    assert len(alarms.events) == 10
    assert not alarms.are_lost
    assert journal.after(0, 100, {EventKind.CONNECTION}).are_lost
    assert len(journal.after(0, 1_000).events) == 100


@pytest.mark.parametrize("length", [0, 4_000, 100_000])
def test_bytes_are_bounded_too(length):
    journal = Journal(max_bytes=200_000)
    for _ in range(500):
        journal.add(EventKind.OFFER, 1.0, note("x" * length))
    kept = journal.after(0, 1_000).events
    assert sum(event.what.size_bytes for event in kept) <= 200_000
    assert len(kept) >= min(500, 200_000 // (length + 500))


def test_the_last_few_can_be_found():
    journal = filled(30)
    assert journal.before_last(10) == 20
    assert journal.before_last(0) == 30
    assert journal.before_last(100) == 0
    assert journal.before_last(5, {EventKind.ALARM}) == 0


def test_what_one_causes_without_pause_displaces_nothing_of_its_kind_that_others_cause():
    journal = Journal(max_events=100)
    journal.add(EventKind.LINK, 0.0, note("by another"), "another")
    for number in range(1_000):
        journal.add(EventKind.LINK, float(number), note("by one"), "one")
    found = journal.after(0, 1_000, {EventKind.LINK})
    assert len(found.events) == 100
    assert found.events[0].what.text == "by another"
    assert found.are_lost
    assert [event.number for event in found.events] == sorted(event.number for event in found.events)


@pytest.mark.parametrize("cause", ["", "key", "\ud800", "x" * 10_000])
def test_any_cause_will_do(cause):
    journal = Journal()
    journal.add(EventKind.LINK, 0.0, note(), cause)
    assert len(journal.after(0, 10).events) == 1
