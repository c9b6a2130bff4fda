"""Where endpoints and listeners stand: in the record, or in pages that change little when little changes."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.pages import page_digest
from mesh.routing.records import (
    MAX_ADDRESS_CHARACTERS,
    MAX_ENDPOINTS,
    MAX_EPOCH,
    MAX_INLINE_ENTRIES,
    MAX_KEY_CHARACTERS,
    MAX_LISTENERS,
    MAX_NEIGHBOURS,
    MAX_PAGE_BYTES,
    MAX_PAGE_ENTRIES,
    MAX_PAGES,
    MAX_SEQUENCE,
    MAX_SERVICE_BYTES,
    MAX_SIGNED_BYTES,
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    PageBody,
    RecordBody,
    decode_body,
    sign_record,
)
from mesh.routing.sealed_blocks import MAX_BLOCKS, MAX_BOX_BYTES, MAX_READERS, SLOT_BYTES, SealedBlock
from mesh.routing.service_layout import (
    INLINE_BYTES,
    MIN_PAGE_BYTES,
    Layout,
    _fit_endpoint,
    fit_body,
    lay_out,
)
from mesh.trust.identity import AgentId, Identity, Instance
from tests.examples import examples

ALICE = Identity(b"\x01" * 32)
LARGEST_KEY, LARGEST_ADDRESS = "\U0001f980" * (MAX_KEY_CHARACTERS - 6), "\U0001f980" * MAX_ADDRESS_CHARACTERS


def endpoints(count: int) -> tuple[EndpointEntry, ...]:
    return tuple(EndpointEntry(f"service-{n:05}", f"127.0.0.1:{n}") for n in range(count))


def listeners(count: int) -> tuple[ListenerEntry, ...]:
    return tuple(ListenerEntry(f"service-{n:05}", f"127.0.0.1:{n}") for n in range(count))


def said(layout: Layout) -> tuple[set[EndpointEntry], set[ListenerEntry]]:
    """All that the layout tells, read as others read it."""
    bodies = [msgspec.msgpack.decode(page.data, type=PageBody) for page in layout.pages]
    told = [*layout.endpoints, *(entry for body in bodies for entry in body.endpoints)]
    heard = [*layout.listeners, *(entry for body in bodies for entry in body.listeners)]
    assert len(set(told)) == len(told)
    assert len(set(heard)) == len(heard)
    return set(told), set(heard)


def check(layout: Layout) -> None:
    """The layout keeps to every limit that others enforce, in a record with as much else as there may be."""
    for page in layout.pages:
        assert page.name.digest == page_digest(ALICE.id, page.data)
        assert page.name.byte_count == len(page.data) <= MAX_PAGE_BYTES
    assert all(page.name.byte_count >= MIN_PAGE_BYTES for page in layout.pages[:-1])
    body = RecordBody(
        public_key=ALICE.public_key,
        epoch=MAX_EPOCH,
        sequence=MAX_SEQUENCE,
        instance=Instance(b"i" * 16),
        session_key=b"s" * 32,
        certificate=b"c" * 2048,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=(Neighbour(AgentId(b"n" * 16), 20),) * (MAX_NEIGHBOURS + 1),
    )
    fitted = fit_body(body, layout)
    assert len(fitted.neighbours) == MAX_NEIGHBOURS
    assert decode_body(sign_record(ALICE, fitted).signed) == fitted


def test_few_are_in_the_record_itself_in_their_order():
    few = endpoints(3)[::-1]
    layout = lay_out(ALICE.id, few, listeners(2))
    assert layout == Layout(few, listeners(2), (), ())


def test_many_are_in_pages_and_none_is_missing():
    layout = lay_out(ALICE.id, endpoints(MAX_ENDPOINTS), listeners(MAX_LISTENERS))
    assert (layout.endpoints, layout.listeners, layout.omissions) == ((), (), ())
    assert said(layout) == (set(endpoints(MAX_ENDPOINTS)), set(listeners(MAX_LISTENERS)))
    check(layout)


def test_tiny_entries_beyond_what_a_record_takes_are_in_pages():
    tiny = tuple(EndpointEntry(chr(0x100 + n), None) for n in range(MAX_INLINE_ENTRIES + 1))
    assert lay_out(ALICE.id, tiny[1:], ()).pages == ()
    assert lay_out(ALICE.id, tiny, ()).pages
    check(lay_out(ALICE.id, tiny, ()))


def test_the_order_in_which_they_are_given_changes_no_page():
    forth = lay_out(ALICE.id, endpoints(2_000), listeners(500))
    back = lay_out(ALICE.id, endpoints(2_000)[::-1], listeners(500)[::-1])
    assert forth.pages == back.pages


def test_pages_of_another_agent_have_other_digests():
    one, other = lay_out(ALICE.id, endpoints(2_000), ()), lay_out(AgentId(b"o" * 16), endpoints(2_000), ())
    assert [page.data for page in one.pages] == [page.data for page in other.pages]
    assert not {page.name.digest for page in one.pages} & {page.name.digest for page in other.pages}


@pytest.mark.parametrize("changed", [0, 1, 4_999, 9_998, 9_999])
def test_a_change_costs_two_pages_at_the_most(changed):
    before = endpoints(10_000)
    pages = set(lay_out(ALICE.id, before, ()).pages)
    assert len(pages) > 30
    replaced = (*before[:changed], EndpointEntry(before[changed].key, "elsewhere:1"), *before[changed + 1 :])
    without = (*before[:changed], *before[changed + 1 :])
    renamed = (*without, EndpointEntry(f"service-{changed:05}-new", "127.0.0.1:1"))
    for entries, at_the_most in ((replaced, 1), (without, 2), (renamed, 2)):
        assert len(set(lay_out(ALICE.id, entries, ()).pages) - pages) <= at_the_most


def test_what_is_beyond_the_number_is_named():
    layout = lay_out(ALICE.id, endpoints(MAX_ENDPOINTS + 2), listeners(MAX_LISTENERS + 5))
    assert said(layout) == (set(endpoints(MAX_ENDPOINTS)), set(listeners(MAX_LISTENERS)))
    assert list(map(str, layout.omissions)) == [
        "2 endpoints not told to the mesh (an agent has at most 10,000): 'service-10000', 'service-10001'",
        (
            "5 listeners not told to the mesh (an agent has at most 10,000): "
            "'service-10000', 'service-10001', 'service-10002' and 2 more"
        ),
    ]


def test_what_is_beyond_the_bytes_is_named_and_endpoints_go_first():
    large = tuple(EndpointEntry(f"{n:05}-{LARGEST_KEY}", LARGEST_ADDRESS) for n in range(2_000))
    layout = lay_out(ALICE.id, large, (ListenerEntry("k" * 40, LARGEST_ADDRESS), *listeners(1)))
    assert {omission.what: len(omission.keys) for omission in layout.omissions} == {
        "endpoints": 2_000 - len(said(layout)[0]),
        "listeners": 1,
    }
    assert all("all together take at most 4,194,304 bytes" in str(omission) for omission in layout.omissions)
    assert said(layout)[1] == set(listeners(1)), "a smaller one that fits is told all the same"
    total = sum(page.name.byte_count for page in layout.pages)
    assert MAX_SERVICE_BYTES - 16_000 < total <= MAX_SERVICE_BYTES
    check(layout)


def test_a_page_that_is_cut_is_long_enough_without_what_is_around_its_entries():
    draw = random.Random(128)  # whose first page would have 3,999 bytes
    ends = ["".join(draw.choice("abcd\U0001f980") for _ in range(draw.randrange(6))) for _ in range(8)]
    many = tuple(EndpointEntry(f"{n}{end}", None) for n in range(draw.randrange(60, 300)) for end in ends)
    layout = lay_out(ALICE.id, many, ())
    assert len(layout.pages) > 1
    check(layout)


def test_a_key_that_nobody_accepts_is_named():
    long = "k" * (MAX_KEY_CHARACTERS + 1)
    layout = lay_out(ALICE.id, (EndpointEntry(long, None), *endpoints(1)), (ListenerEntry("", ":1"),))
    assert layout.endpoints == endpoints(1)
    assert [(o.what, o.limit) for o in layout.omissions] == [
        ("endpoints", "keys have 1 to 255 characters"),
        ("listeners", "keys have 1 to 255 characters"),
    ]


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_KEY_CHARACTERS + 5)
addresses = st.text("\U0001f980a", max_size=MAX_ADDRESS_CHARACTERS + 5)


@examples(0.5)
@given(
    st.lists(st.builds(EndpointEntry, keys, st.none() | addresses), max_size=8),
    st.lists(st.builds(ListenerEntry, keys, addresses), max_size=8),
    st.integers(1, 300),
)
def test_whatever_there_is_others_accept_what_is_said(some_endpoints, some_listeners, times):
    many = tuple(EndpointEntry(f"{n}{e.key}", e.target) for n in range(times) for e in some_endpoints)
    ports = tuple(ListenerEntry(e.key, f"{n}{e.address}") for n in range(times) for e in some_listeners)
    layout = lay_out(ALICE.id, many, ports)
    check(layout)
    told, heard = said(layout)
    omitted = {o.what: o.keys for o in layout.omissions}
    assert len(told) + len(omitted.get("endpoints", ())) == len(set(map(_fit_endpoint, many)))
    assert {entry.key for entry in heard} | set(omitted.get("listeners", ())) >= {
        entry.key for entry in ports if 0 < len(entry.key) <= MAX_KEY_CHARACTERS
    }


def test_a_record_without_pages_has_room_for_its_services():
    neighbours_and_pages = MAX_NEIGHBOURS * 20 + MAX_PAGES * 26
    assert neighbours_and_pages + INLINE_BYTES + 2048 + 256 < MAX_SIGNED_BYTES
    assert MAX_PAGE_ENTRIES * 4 >= MIN_PAGE_BYTES, "a page full of the smallest entries is long enough"


def test_sealed_blocks_have_a_page_each_unless_they_are_small():
    few, many = (
        tuple(SealedBlock(bytes([number]) * 16, bytes(20 * readers), bytes(144)) for number in range(2))
        for readers in (3, 200)
    )
    entries = endpoints(3)
    layout = lay_out(ALICE.id, entries, (), few)
    assert (layout.sealed, layout.pages, layout.endpoints) == (few, (), entries)
    layout = lay_out(ALICE.id, entries, (), many)
    check(layout)
    assert (layout.sealed, layout.endpoints) == ((), entries)
    bodies = [msgspec.msgpack.decode(page.data, type=PageBody) for page in layout.pages]
    assert [body.sealed for body in bodies] == [(block,) for block in many]
    assert [page.name.entries for page in layout.pages] == [1, 1]
    both = lay_out(ALICE.id, endpoints(MAX_INLINE_ENTRIES + 1), (), many)
    assert both.pages[:2] == layout.pages
    assert both.endpoints == ()


def test_the_largest_blocks_leave_room_in_record_and_pages():
    block = SealedBlock(bytes(16), bytes(SLOT_BYTES * MAX_READERS), bytes(MAX_BOX_BYTES))
    blocks = tuple(msgspec.structs.replace(block, salt=bytes([number]) * 16) for number in range(MAX_BLOCKS))
    check(lay_out(ALICE.id, endpoints(MAX_ENDPOINTS), listeners(MAX_LISTENERS), blocks))
    long = tuple(EndpointEntry(f"{number:05}" + "k" * 250, "t" * 500) for number in range(MAX_ENDPOINTS))
    layout = lay_out(ALICE.id, long, (), blocks)
    check(layout)
    assert layout.omissions
