"""The store within its limits, whatever comes in what order, against a judge that counts all of it anew."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.link.bodies import HIGHEST_AGENT_ID
from mesh.routing.record_store import Entry, RecordStore, _memory_bytes
from mesh.routing.records import EndpointEntry, decode_body, trusted_record
from mesh.routing.runs import Runs
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import NO_AGENT
from tests.mesh.routing.database_company import ALICE, BOB, CAROL, CERTIFICATES, OWN, wire_of

MAX_RECORDS, MAX_BYTES = 3, 14_000
AGENTS = (OWN, ALICE, BOB, CAROL)


def entry_of(number: int, endpoints: int) -> Entry:
    offered = tuple(EndpointEntry(f"key-{key}", None) for key in range(endpoints))
    wire = wire_of(AGENTS[number], endpoints=offered)
    record = trusted_record(decode_body(wire.signed), read_certificate(CERTIFICATES[AGENTS[number].id]))
    arrivals, allowance = TokenBucket(1.0, 1.0), TokenBucket(1.0, 1.0)
    return Entry(record, wire, 0.0, 0.0, arrivals, allowance, Runs.first(record.body))


def memory_bytes(entry: Entry) -> int:
    return _memory_bytes(entry.wire, entry.record.body)


ENTRIES = [[entry_of(number, endpoints) for endpoints in (0, 10, 20, 40)] for number in range(len(AGENTS))]


@given(st.lists(st.tuples(st.sampled_from(["put", "bury", "forget"]), st.integers(0, 3), st.integers(0, 3))))
def test_there_is_room_exactly_for_what_fits_once_the_past_is_forgotten(steps):
    store = RecordStore(max_records=MAX_RECORDS, max_bytes=MAX_BYTES)
    for what, number, size in steps:
        entry, agent_id = ENTRIES[number][size], AGENTS[number].id
        past = list(store.past)
        if what == "put":
            others = [each for other, each in store.live.items() if other != agent_id]
            fits = len(others) < MAX_RECORDS
            fits &= sum(map(memory_bytes, [*others, entry])) <= MAX_BYTES
            assert store.has_room(agent_id, entry.wire, entry.record.body) == fits
            if fits:
                store.make_room(entry)
            forgotten = [each for each in past if each not in store.past]
            assert forgotten == [each for each in past if each != agent_id][: len(forgotten)], "oldest first"
            if fits:
                store.put(entry)
            else:
                assert not forgotten
        elif what == "bury" and agent_id in store.live:
            store.bury(agent_id)
        elif what == "forget":
            store.forget((agent_id,))
        held = [*store.live.values(), *store.past.values()]
        assert len(held) <= MAX_RECORDS
        assert sum(map(memory_bytes, held)) <= MAX_BYTES
        assert (store._live_bytes, store._past_bytes) == tuple(
            sum(map(memory_bytes, each.values())) for each in (store.live, store.past)
        )
        assert {each.wire.signed for each in store.live.values()} == set(store._by_bytes)
        assert store.live_between(NO_AGENT, HIGHEST_AGENT_ID) == sorted(store.live)
