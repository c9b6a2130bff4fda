import msgspec

from mesh.routing.notices import MAX_DENIED_SAID, MAX_SAID
from mesh.routing.records import EndpointEntry
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
    assert "does not permit it to register 'db\\n'" in notice
    assert effects.snapshot is not None
    assert list(effects.snapshot.candidates) == ["web-1"]
    assert hear(state, ALICE, (wires[1],), 1.0, UNIX).notices == []


def test_an_own_key_that_the_certificate_denies_is_said_as_an_alarm():
    state = table(OWN, certificate=certificate_of(OWN, may_register=["web"]))
    effects = state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX)
    [alarm] = effects.alarms
    assert "register 'db'" in alarm
    assert effects.notices == [], "where lines about others might hide it"


def test_what_has_been_said_is_remembered_within_limits():
    certificate = certificate_of(IDENTITIES[4], may_register=[])
    state = linked(ALICE)

    def notices(sequence, *keys):
        entries = tuple(EndpointEntry(key, None) for key in keys)
        wire = wire_of(IDENTITIES[4], sequence=sequence, certificate=certificate, endpoints=entries)
        return len(hear(state, ALICE, (wire,), float(sequence), UNIX).notices)

    assert notices(0, "first") == 1
    batches = MAX_SAID // MAX_DENIED_SAID
    for batch in range(batches):
        keys = (f"{batch}-{number}" for number in range(MAX_DENIED_SAID))
        assert notices(batch + 1, *keys) == MAX_DENIED_SAID
    assert notices(batches + 1, f"{batches - 1}-0") == 0
    assert notices(batches + 2, "first") == 1
    # Whoever may not register any of its keys does not fill the log with all of them.
    assert notices(batches + 3, *(f"new-{number}" for number in range(300))) == MAX_DENIED_SAID + 1
