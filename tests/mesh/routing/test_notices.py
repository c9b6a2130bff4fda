import msgspec

from mesh.alarms import MAX_MEMBERS, THIS_AGENT, AlarmBook, AlarmKind
from mesh.routing.notices import MAX_DENIED_SAID, MAX_SAID, Notice, Notices
from mesh.routing.records import EndpointEntry
from mesh.trust.identity import short_id
from tests.mesh.routing.route_table_company import (
    ALICE,
    IDENTITIES,
    OWN,
    UNIX,
    certificate_of,
    hear,
    linked,
    table,
    wire_of,
)


def test_a_key_that_the_certificate_denies_is_ignored_and_said_once():
    certificate = certificate_of(IDENTITIES[1], may_register=["web-*"])
    state = linked(ALICE)
    entries = (EndpointEntry("db\n", None), EndpointEntry("web-1", None))
    neighbours = state.snapshot.records[OWN.id].body.neighbours
    back = (msgspec.structs.replace(neighbours[0], id=OWN.id),)
    wires = [
        wire_of(IDENTITIES[1], sequence=number, certificate=certificate, endpoints=entries, neighbours=back)
        for number in range(2)
    ]
    effects = hear(state, ALICE, (wires[0],), 0.0, UNIX)
    [notice] = effects.notices
    assert "does not permit it to register 'db\\n'" in notice.line
    assert notice.kind is AlarmKind.GRANT
    assert effects.snapshot is not None
    assert list(effects.snapshot.candidates) == ["web-1"]
    assert hear(state, ALICE, (wires[1],), 1.0, UNIX).notices == []


def test_an_own_key_that_the_certificate_denies_is_said_as_an_alarm():
    state = table(OWN, certificate=certificate_of(OWN, may_register=["web"]))
    effects = state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX)
    [alarm] = effects.notices
    assert "register 'db'" in alarm.line
    assert (alarm.kind, alarm.member) == (AlarmKind.OWN, THIS_AGENT), "lines about others cannot hide it"


def test_an_own_key_that_is_denied_counts_once_not_with_each_refresh():
    book = AlarmBook()
    state = table(OWN, certificate=certificate_of(OWN, may_register=["web"]), alarms=book)
    state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX)
    before = state.counts().records_originated_total
    for number in range(5):
        state.tick(1_000.0 * (number + 1), UNIX)
    assert state.counts().records_originated_total == before + 5
    assert [count.times for count in book.counts()] == [1]
    state.set_endpoints((EndpointEntry("db", None), EndpointEntry("disk", None)), 10_000.0, UNIX)
    assert [count.times for count in book.counts()] == [3], "both are denied anew"


def test_a_refresh_of_a_record_with_denied_keys_is_not_counted():
    book = AlarmBook()
    state = linked(ALICE, alarms=book)
    for sequence in range(5):
        said(state, IDENTITIES[4], sequence, "db")
    assert [count.times for count in book.counts()] == [1]
    said(state, IDENTITIES[4], 5, "db", "disk")
    assert [count.times for count in book.counts()] == [3], "both are denied anew"


def said(state, identity, sequence, *keys):
    certificate = certificate_of(identity, may_register=[])
    entries = tuple(EndpointEntry(key, None) for key in keys)
    wire = wire_of(identity, sequence=sequence, certificate=certificate, endpoints=entries)
    return len(hear(state, ALICE, (wire,), float(sequence), UNIX).notices)


def test_what_has_been_said_is_remembered_within_limits():
    state = linked(ALICE)
    identity = IDENTITIES[4]
    assert said(state, identity, 0, "first") == 1
    batches = MAX_SAID // MAX_DENIED_SAID
    for batch in range(batches):
        keys = (f"{batch}-{number}" for number in range(MAX_DENIED_SAID))
        assert said(state, identity, batch + 1, *keys) == MAX_DENIED_SAID
    assert said(state, identity, batches + 1, f"{batches - 1}-0") == 0
    assert said(state, identity, batches + 2, "first") == 1
    # Whoever may not register any of its keys does not fill the log with all of them.
    assert said(state, identity, batches + 3, *(f"new-{number}" for number in range(300))) == (
        MAX_DENIED_SAID + 1
    )


def test_one_members_noise_makes_nothing_of_another_be_said_again_and_is_counted():
    book = AlarmBook()
    state = linked(ALICE, alarms=book)
    assert said(state, IDENTITIES[5], 0, "quiet", "still") == 2
    for sequence in range(1, 2 * MAX_SAID):
        assert said(state, IDENTITIES[4], sequence, *(f"{sequence}-{number}" for number in range(300)))
    assert said(state, IDENTITIES[5], 1, "quiet") == 0
    counts = {count.member: count.times for count in book.counts()}
    noisy, quiet = (f"agent {each.public_key.hex()[:4]} {short_id(each.id)}" for each in IDENTITIES[4:6])
    assert counts == {noisy: 300 * (2 * MAX_SAID - 1), quiet: 3}
    assert {count.kind for count in book.counts()} == {AlarmKind.GRANT}


def test_members_without_end_are_told_apart_the_latest_of_them():
    book = AlarmBook()
    notices = Notices(book)
    said_now: list[Notice] = []
    for number in range(MAX_MEMBERS + 1_000):
        notices.say(said_now, AlarmKind.FULL, f"member {number}", f"line {number}")
        notices.say(said_now, AlarmKind.FULL, "member 0", "line 0")
    assert sum(count.times for count in book.counts()) == 2 * (MAX_MEMBERS + 1_000)
    assert len(book.counts()) <= MAX_MEMBERS + 1
    assert [notice.member for notice in said_now] == [
        f"member {number}" for number in range(MAX_MEMBERS + 1_000)
    ]
    assert len(notices._said[AlarmKind.FULL]) == MAX_MEMBERS
