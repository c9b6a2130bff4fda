"""The pages of others: who is asked for them, who is given them, and what is kept."""

import math
from collections import defaultdict
from itertools import pairwise

import msgspec
import pytest

from mesh.link.bodies import WantedPages, WirePage
from mesh.routing.allowance import ORIGIN_BYTE_BURST, ORIGIN_BYTE_RATE, new_allowance
from mesh.routing.page_table import (
    ASK_AGAIN_S,
    GIVEN_BURST,
    MAX_ASK_AGAIN_S,
    MIN_PAGE_CHARGE,
    PAGES_UNDER_WAY,
    SET_ASIDE_S,
    PageTable,
    Untrue,
)
from mesh.routing.pages import page_digest
from mesh.routing.records import (
    MAX_PAGE_BYTES,
    EndpointEntry,
    ListenerEntry,
    PageName,
    Record,
    trusted_record,
)
from mesh.routing.service_layout import LaidPage, fit_body, lay_out
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import AgentId, Identity
from tests.mesh.routing.route_table_company import IDENTITIES, certificate_of, decode_body, wire_of

ALICE, BOB = IDENTITIES[1], IDENTITIES[2]
NEAR, FAR = AgentId(b"near".ljust(16)), AgentId(b"far".ljust(16))
GARBAGE = b"\x93garbage"


def record_of(identity: Identity, names: tuple[PageName, ...], **grants) -> Record:
    certificate = certificate_of(identity, **grants)
    wire = wire_of(identity, certificate=certificate, pages=names)
    return trusted_record(decode_body(wire.signed), read_certificate(certificate))


def pages_of(identity: Identity, keys: int, prefix: str = "key") -> tuple[LaidPage, ...]:
    entries = (EndpointEntry(f"{prefix}-{number:05}", "localhost:3000") for number in range(keys))
    return lay_out(identity.id, entries, (ListenerEntry(prefix, ":1"),)).pages


def names_of(pages: tuple[LaidPage, ...]) -> tuple[PageName, ...]:
    return tuple(page.name for page in pages)


def wire(identity: Identity, page: LaidPage) -> WirePage:
    return WirePage(identity.id, page.data)


def asked(table: PageTable, now: float) -> list[tuple[AgentId, bytes]]:
    return [
        (peer_id, digest)
        for peer_id, wanted in table.ask(now)
        for wants in wanted
        for digest in wants.digests
    ]


def wants(identity: Identity, *pages: LaidPage) -> tuple[WantedPages, ...]:
    return (WantedPages(identity.id, tuple(page.name.digest for page in pages)),)


def page_table() -> PageTable:
    """One where each agent has an allowance of its own."""
    allowances: defaultdict[AgentId, TokenBucket] = defaultdict(new_allowance)
    return PageTable(allowances.__getitem__)


@pytest.fixture
def table() -> PageTable:
    table = page_table()
    table.peer_up(NEAR)
    table.peer_up(FAR)
    return table


PAGES = pages_of(ALICE, 5_000)
RECORD = record_of(ALICE, names_of(PAGES))


def test_pages_are_asked_for_a_few_at_a_time_of_who_passed_on_the_record(table):
    assert table.deadline() == math.inf
    table.name(RECORD, FAR)
    assert table.missing == len(PAGES)
    assert table.deadline() <= 0.0
    assert asked(table, 0.0) == [(FAR, page.name.digest) for page in PAGES[:PAGES_UNDER_WAY]]
    assert asked(table, 0.0) == []
    assert table.deadline() == ASK_AGAIN_S
    taken = table.take(wire(ALICE, PAGES[1]), 0.1)
    assert (taken.record, taken.wished_by) == (RECORD, ())
    assert asked(table, 0.1) == [(FAR, PAGES[PAGES_UNDER_WAY].name.digest)]


def test_the_record_fills_up_as_pages_come(table):
    table.name(RECORD, NEAR)
    for count, page in enumerate(PAGES, 1):
        table.take(wire(ALICE, page), 0.0)
        records = {ALICE.id: RECORD}
        table.complete(records)
        assert len(records[ALICE.id].pages) == count
    whole = records[ALICE.id]
    assert whole.offered_keys == tuple(f"key-{number:05}" for number in range(5_000))
    assert {entry.key for entry in whole.endpoints} == set(whole.offered_keys)
    assert whole.listeners == (ListenerEntry("key", ":1"),)
    assert table.missing == 0
    assert table.deadline() <= 0.0
    assert asked(table, 1.0) == []
    assert table.deadline() == math.inf


@pytest.mark.interpreted
def test_a_page_that_comes_makes_work_for_its_own_agent_only(table, monkeypatch):
    looked_at = []
    ask_for = PageTable._ask_for
    monkeypatch.setattr(
        PageTable,
        "_ask_for",
        lambda self, shelf, now: looked_at.append(shelf.record.agent_id) or ask_for(self, shelf, now),
    )
    others = [msgspec.structs.replace(RECORD, agent_id=AgentId(bytes([other]) * 16)) for other in range(100)]
    for record in (RECORD, *others):
        table.name(record, NEAR)
    assert len(asked(table, 0.0)) == PAGES_UNDER_WAY * 101
    looked_at.clear()
    for page in PAGES[:PAGES_UNDER_WAY]:
        table.take(wire(ALICE, page), 0.1)
        assert len(asked(table, 0.1)) == 1
    assert looked_at == [ALICE.id] * PAGES_UNDER_WAY
    # What did not come is asked for again all the same, of each once.
    assert table.deadline() <= ASK_AGAIN_S
    assert len(asked(table, ASK_AGAIN_S)) == PAGES_UNDER_WAY * 100
    assert len(looked_at) == PAGES_UNDER_WAY + 100


def test_a_page_that_nobody_has_named_is_not_kept(table):
    assert table.take(wire(ALICE, PAGES[0]), 0.0) is None
    table.name(RECORD, NEAR)
    assert table.take(WirePage(ALICE.id, GARBAGE), 0.0) is None
    assert table.take(wire(BOB, PAGES[0]), 0.0) is None
    assert table.take(WirePage(BOB.id, PAGES[0].data), 0.0) is None
    assert table.take(wire(ALICE, PAGES[0]), 0.0) is not None
    assert table.take(wire(ALICE, PAGES[0]), 0.0) is None, "once is enough"
    assert (table.taken, table.unnamed) == (1, 5)
    assert table.give(NEAR, wants(BOB, PAGES[0]), 0.0) == []


def test_pages_live_as_long_as_the_record_names_them(table):
    table.name(RECORD, NEAR)
    for page in PAGES:
        table.take(wire(ALICE, page), 0.0)
    changed = pages_of(ALICE, 4_999)
    table.name(record_of(ALICE, names_of(changed)), NEAR)
    new = [page for page in changed if page not in PAGES]
    assert 1 <= len(new) == table.missing <= 2
    gone = [page for page in PAGES if page not in changed]
    assert table.give(NEAR, wants(ALICE, *gone), 0.0) == []
    assert table.take(wire(ALICE, gone[0]), 0.0) is None
    table.set_aside(ALICE.id, 0.0)
    assert table.missing == 0
    assert table.give(NEAR, wants(ALICE, PAGES[0]), 0.0) == []


def test_a_refresh_asks_for_nothing_and_keeps_what_is_under_way(table):
    table.name(RECORD, NEAR)
    table.take(wire(ALICE, PAGES[0]), 0.0)
    assert len(asked(table, 0.0)) == PAGES_UNDER_WAY
    table.name(RECORD, FAR)
    assert table.missing == len(PAGES) - 1
    assert asked(table, 0.1) == []


def test_what_does_not_come_is_asked_of_others_less_and_less_often(table):
    page = PAGES[0]
    table.name(record_of(ALICE, (page.name,)), FAR)
    times, now = [], 0.0
    while now < 300.0:
        times += [(now, peer_id) for peer_id, _ in asked(table, now)]
        now = max(now, table.deadline())
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(times)]
    assert gaps[:5] == [2.0, 4.0, 8.0, 16.0, MAX_ASK_AGAIN_S]
    assert set(gaps[4:]) == {MAX_ASK_AGAIN_S}
    assert [peer_id for _, peer_id in times[:4]] == [FAR, NEAR, FAR, NEAR]


def test_pages_that_nobody_has_hold_up_no_other(table):
    mute = tuple(PageName(number.to_bytes(16, "big"), 9, 1) for number in range(1_000))
    table.name(record_of(BOB, mute), NEAR)
    table.name(RECORD, NEAR)
    # Neither those of another agent ...
    assert PAGES[0].name.digest in dict(map(reversed, asked(table, 0.0)))
    for number, page in enumerate(PAGES):
        table.take(wire(ALICE, page), number / 100)
        asked(table, number / 100)
    # ... nor, for long, those of the same.
    table.name(record_of(BOB, (*mute[:PAGES_UNDER_WAY], pages_of(BOB, 500)[0].name)), NEAR)
    found, now = [], 1.0
    while now < 3 * ASK_AGAIN_S:
        found += asked(table, now)
        now = max(now + 0.001, table.deadline())
    assert pages_of(BOB, 500)[0].name.digest in {digest for _, digest in found}


def test_one_agent_cannot_make_others_carry_pages_without_end(table):
    charged, now = 0, 0.0
    for version in range(1_200):
        pages = pages_of(ALICE, 500, f"v{version}")
        table.name(record_of(ALICE, names_of(pages)), NEAR)
        for _ in pages:
            for _, digest in asked(table, now):
                [page] = [page for page in pages if page.name.digest == digest]
                charged += max(len(page.data), MIN_PAGE_CHARGE)
                table.take(wire(ALICE, page), now)
        now += 0.05
    most = ORIGIN_BYTE_BURST + ORIGIN_BYTE_RATE * now
    assert charged <= most + PAGES_UNDER_WAY * MAX_PAGE_BYTES
    assert charged >= 0.9 * most, "but it is heard"


def test_a_peer_that_withholds_pages_uses_up_nobodys_allowance():
    allowance = new_allowance()
    table = PageTable(lambda _: allowance)
    table.peer_up(NEAR)
    table.name(RECORD, NEAR)
    now = 0.0
    while now < 3_600.0:
        asked(table, now)
        now = table.deadline()
    assert allowance.has(0.0, ORIGIN_BYTE_BURST)


def test_a_peer_is_given_what_is_here_and_what_is_not_when_it_comes(table):
    table.name(RECORD, NEAR)
    table.take(wire(ALICE, PAGES[0]), 0.0)
    assert table.give(FAR, wants(ALICE, *PAGES[:3], PAGES[0]), 0.0) == [wire(ALICE, PAGES[0])]
    assert table.take(wire(ALICE, PAGES[1]), 0.0).wished_by == (FAR,)
    table.peer_down(FAR)
    assert table.take(wire(ALICE, PAGES[2]), 0.0).wished_by == ()
    assert table.give(FAR, wants(ALICE, PAGES[0]), 0.0) == []


def test_a_peer_that_asks_without_end_is_given_so_much_a_second(table):
    table.name(RECORD, NEAR)
    table.take(wire(ALICE, PAGES[0]), 0.0)
    given = sum(len(table.give(FAR, wants(ALICE, PAGES[0]), 0.0)) for _ in range(10_000))
    assert given == GIVEN_BURST
    table.peer_down(FAR)
    table.peer_up(FAR)
    assert table.give(FAR, wants(ALICE, PAGES[0]), 0.0) == [], "another link begins no new burst"
    assert table.give(NEAR, wants(ALICE, PAGES[0]), 0.0) != [], "which costs no other peer anything"
    assert table.give(FAR, wants(ALICE, PAGES[0]), 1.0) != []


def test_a_lost_link_and_a_new_one_are_reasons_to_ask_at_once(table):
    table.name(RECORD, FAR)
    first = asked(table, 0.0)
    table.peer_down(FAR)
    assert asked(table, 0.1) == [(NEAR, digest) for _, digest in first]
    table.peer_down(NEAR)
    assert table.deadline() == math.inf
    assert asked(table, 100.0) == []
    table.peer_up(FAR)
    assert asked(table, 100.0) == [(FAR, digest) for _, digest in first]


def test_what_a_peer_did_not_give_is_asked_of_a_new_one_at_once():
    table = page_table()
    table.peer_up(NEAR)
    table.name(RECORD, NEAR)
    now = 0.0
    while now < 60.0:
        asked(table, now)
        now = table.deadline()
    table.peer_up(FAR)
    first = asked(table, now)
    assert len(first) == PAGES_UNDER_WAY
    assert {peer_id for peer_id, _ in first} == {FAR}


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (GARBAGE, {"entries": 1}),
        (PAGES[0].data, {"byte_count": 1}),
        (PAGES[0].data, {"entries": 1}),
        (msgspec.msgpack.encode(([("k" * 256, None)], [])), {}),
    ],
    ids=["garbage", "size", "entries", "key"],
)
def test_a_page_that_is_not_what_its_record_says_is_not_kept_nor_asked_for_again(table, data, changes):
    honest = PageName(page_digest(ALICE.id, data), len(data), max(PAGES[0].name.entries, 1))
    table.name(record_of(ALICE, (msgspec.structs.replace(honest, **changes),)), NEAR)
    assert isinstance(table.take(WirePage(ALICE.id, data), 0.0), Untrue)
    assert (table.taken, table.missing) == (0, 0)
    assert asked(table, 1e6) == []


def test_a_new_certificate_judges_pages_anew(table):
    table.name(RECORD, NEAR)
    for page in PAGES:
        table.take(wire(ALICE, page), 0.0)
    narrow = record_of(ALICE, names_of(PAGES), may_register=["key-00*"])
    table.name(narrow, NEAR)
    records = {ALICE.id: narrow}
    table.complete(records)
    assert len(records[ALICE.id].offered_keys) == 1_000
    assert len(records[ALICE.id].denied_keys) == 4_000


def test_own_pages_are_given_and_follow_the_own_layout(table):
    layout = lay_out(ALICE.id, (EndpointEntry(f"k-{n}", None) for n in range(2_000)), ())
    body = fit_body(decode_body(wire_of(ALICE).signed), layout)
    own = trusted_record(body, RECORD.certificate)
    assert len(table.put_own(own, layout.pages).offered_keys) == 2_000
    assert table.give(NEAR, wants(ALICE, layout.pages[0]), 0.0) == [wire(ALICE, layout.pages[0])]
    assert table.put_own(RECORD, ()) is RECORD
    assert table.give(NEAR, wants(ALICE, layout.pages[0]), 0.0) == []


@pytest.mark.parametrize("when", ["while it is missing", "once it is here"])
def test_a_page_that_a_later_record_describes_wrongly_is_passed_on_to_nobody(table, when):
    """And costs nobody a link: who passes it on may hold the record that is right."""
    honest = PAGES[0].name
    table.name(record_of(ALICE, (honest,)), NEAR)
    if when == "once it is here":
        table.take(wire(ALICE, PAGES[0]), 0.0)
    lying = msgspec.structs.replace(honest, entries=honest.entries + 1)
    table.name(record_of(ALICE, (lying,)), NEAR)
    assert table.give(FAR, wants(ALICE, PAGES[0]), 0.0) == []
    assert isinstance(table.take(wire(ALICE, PAGES[0]), 0.0), Untrue)
    assert table.give(FAR, wants(ALICE, PAGES[0]), 0.0) == []
    table.name(record_of(ALICE, (honest,)), NEAR)
    table.take(wire(ALICE, PAGES[0]), 0.0)
    assert table.give(FAR, wants(ALICE, PAGES[0]), 0.0) == [wire(ALICE, PAGES[0])]


def test_pages_of_a_record_that_somebody_made_expire_need_not_come_again(table):
    table.name(RECORD, NEAR)
    for page in PAGES:
        table.take(wire(ALICE, page), 0.0)
    for after_s in (0.0, SET_ASIDE_S / 2):
        table.set_aside(ALICE.id, 0.0)
        records = {ALICE.id: RECORD}
        table.complete(records)
        assert records[ALICE.id].pages == (), "what has expired offers nothing"
        asked(table, after_s)
        table.name(RECORD, FAR)
        assert table.missing == 0
        assert asked(table, after_s) == []
    # In the end they are let go.
    table.set_aside(ALICE.id, 100.0)
    asked(table, 100.0 + SET_ASIDE_S)
    table.name(RECORD, FAR)
    assert table.missing == len(PAGES)
