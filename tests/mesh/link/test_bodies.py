import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link import bodies as link_bodies
from mesh.link.bodies import (
    Digest,
    DigestEntry,
    Records,
    WantedPages,
    WirePage,
    WireRecord,
    batch_digest,
    batch_pages,
    batch_records,
    decode_challenge,
    decode_close,
    decode_digest,
    decode_pages,
    decode_ping,
    decode_pong,
    decode_records,
    decode_retire,
    decode_want_pages,
    encode_challenge,
    encode_close,
    encode_digest,
    encode_pages,
    encode_ping,
    encode_pong,
    encode_records,
    encode_retire,
    encode_want_pages,
)
from mesh.routing.records import MAX_PAGE_BYTES
from mesh.trust.identity import NO_AGENT, AgentId, Instance

ID = AgentId(bytes(range(16)))
INSTANCE = Instance(b"n" * 16)
HIGHEST = AgentId(b"\xff" * 16)
RECORD = WireRecord(b"signed", b"\x55" * 64, 1000)
DECODERS = [
    decode_ping,
    decode_pong,
    decode_records,
    decode_retire,
    decode_digest,
    decode_want_pages,
    decode_pages,
    decode_close,
    decode_challenge,
]

u64 = st.integers(0, 2**64 - 1)
instances = st.binary(min_size=16, max_size=16).map(Instance)
ids = st.binary(min_size=16, max_size=16).map(AgentId)
entries = st.builds(DigestEntry, ids, u64, u64, instances)


def test_constants_are_those_of_the_protocol():
    assert link_bodies.MAX_BODY_PLAINTEXT_BYTES == 65_536
    assert link_bodies.MAX_REASON_CHARACTERS == 256
    assert link_bodies.CHALLENGE_BYTES == 16
    assert link_bodies.HIGHEST_AGENT_ID == HIGHEST


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (encode_ping(2**64 - 1), "91cfffffffffffffffff"),
        (encode_pong(7), "9107"),
        (encode_records(Records((RECORD,))), "919193c4067369676e6564c440" + "55" * 64 + "cd03e8"),
        (
            encode_digest(Digest((DigestEntry(ID, 3, 300, INSTANCE),))),
            f"939194c410{ID.hex()}03cd012cc410{INSTANCE.hex()}c410" + "00" * 16 + "c410" + "ff" * 16,
        ),
        (
            encode_want_pages((WantedPages(ID, (b"d" * 16,)),)),
            f"919192c410{ID.hex()}91c410" + "64" * 16,
        ),
        (encode_pages((WirePage(ID, b"page"),)), f"919192c410{ID.hex()}c40470616765"),
        (encode_close("bye"), "91a3627965"),
        (encode_retire("bye"), "91a3627965"),
        (encode_challenge(b"c" * 16), "91c410" + "63" * 16),
    ],
    ids=[
        "PING",
        "PONG",
        "RECORDS",
        "DIGEST",
        "WANT_PAGES",
        "PAGES",
        "CLOSE",
        "RETIRE",
        "CHALLENGE and CHALLENGE_ANSWER",
    ],
)
def test_wire_bytes_are_pinned(body, expected):
    assert body.hex() == expected


@given(token=u64)
def test_tokens_come_back(token):
    assert decode_ping(encode_ping(token)) == token
    assert decode_pong(encode_pong(token)) == token


@given(
    records=st.lists(
        st.builds(WireRecord, st.binary(max_size=100), st.binary(min_size=64, max_size=64), u64)
    ).map(tuple)
)
def test_records_come_back(records):
    assert decode_records(encode_records(Records(records))) == records


@given(digest=st.builds(Digest, st.lists(entries).map(tuple), ids, ids))
def test_digests_come_back(digest):
    assert decode_digest(encode_digest(digest)) == digest


@given(
    wanted=st.lists(st.builds(WantedPages, ids, st.lists(ids, max_size=16).map(tuple)), max_size=64).map(
        tuple
    )
)
def test_wanted_pages_come_back(wanted):
    assert decode_want_pages(encode_want_pages(wanted)) == wanted


@given(pages=st.lists(st.builds(WirePage, ids, st.binary(max_size=100))).map(tuple))
def test_pages_come_back(pages):
    assert decode_pages(encode_pages(pages)) == pages


@pytest.mark.parametrize(
    "body",
    [
        encode_want_pages((WantedPages(ID, ()),) * 65),
        encode_want_pages((WantedPages(ID, (b"d" * 16,) * 17),)),
        encode_want_pages((WantedPages(ID, (b"d" * 15,)),)),
    ],
    ids=["agents", "pages", "digest"],
)
def test_who_wants_too_much_at_once_breaks_the_protocol(body):
    with pytest.raises(RemoteProtocolError, match="WANT_PAGES that cannot be read"):
        decode_want_pages(body)


def test_two_of_the_largest_pages_go_into_one_frame():
    pages = tuple(WirePage(ID, bytes(MAX_PAGE_BYTES)) for _ in range(3))
    assert [len(batch) for batch in batch_pages(pages)] == [2, 1]


@given(reason=st.text(max_size=256))
def test_reasons_come_back(reason):
    assert decode_close(encode_close(reason)) == reason
    assert decode_retire(encode_retire(reason)) == reason


def test_a_long_reason_is_cut():
    assert decode_close(encode_close("r" * 300)) == decode_retire(encode_retire("r" * 300)) == "r" * 256


def test_challenges_come_back():
    assert decode_challenge(encode_challenge(b"c" * 16)) == b"c" * 16


@pytest.mark.parametrize("nonce", [b"", b"c" * 15, b"c" * 17])
def test_a_challenge_of_another_length_is_our_bug(nonce):
    with pytest.raises(LocalProtocolError):
        encode_challenge(nonce)


def test_a_body_too_large_for_a_frame_is_our_bug():
    with pytest.raises(LocalProtocolError):
        encode_records(Records((WireRecord(bytes(65_536), bytes(64), 0),)))


@pytest.mark.parametrize(
    ("decode", "content"),
    [
        (decode_ping, []),
        (decode_ping, [-1]),
        (decode_ping, [1, 2]),
        (decode_ping, ["1"]),
        (decode_ping, 1),
        (decode_pong, [1.5]),
        (decode_records, [[[b"signed", b"\x55" * 63, 0]]]),
        (decode_records, [[[b"signed", b"\x55" * 65, 0]]]),
        (decode_records, [[[b"signed", b"\x55" * 64, -1]]]),
        (decode_records, [[[b"signed", b"\x55" * 64]]]),
        (decode_records, [[None]]),
        (decode_records, []),
        (decode_digest, [[[bytes(15), 0, 0]]]),
        (decode_digest, [[[bytes(17), 0, 0]]]),
        (decode_digest, [[[bytes(16), -1, 0]]]),
        (decode_digest, [[], bytes(15)]),
        (decode_close, ["r" * 257]),
        (decode_close, [b"bye"]),
        (decode_retire, ["r" * 257]),
        (decode_retire, []),
        (decode_challenge, [bytes(15)]),
        (decode_challenge, [bytes(17)]),
    ],
)
def test_what_is_out_of_range_is_the_peers_fault(decode, content):
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        decode(msgspec.msgpack.encode(content))


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91", b"\x91\xa1\xff", b"\x91\x01\x00"])
def test_what_is_not_msgpack_is_the_peers_fault(decode, data):
    with pytest.raises(RemoteProtocolError):
        decode(data)


@given(data=st.binary(max_size=100))
@pytest.mark.parametrize("decode", DECODERS)
def test_garbage_never_raises_anything_else(decode, data):
    with contextlib.suppress(RemoteProtocolError):
        decode(data)


def test_what_a_later_agent_adds_to_records_and_digests_is_ignored():
    assert decode_records(msgspec.msgpack.encode([[[b"s", bytes(64), 0, "new"]], "new"])) == (
        WireRecord(b"s", bytes(64), 0),
    )
    assert decode_digest(msgspec.msgpack.encode([[], NO_AGENT, HIGHEST, "new"])) == Digest(())


def test_a_digest_without_bounds_speaks_for_all():
    digest = decode_digest(msgspec.msgpack.encode([[]]))
    assert digest.covers(NO_AGENT)
    assert digest.covers(HIGHEST)


# -- batches ----------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 65_000) | st.integers(0, 300), max_size=40))
def test_batches_of_records_fit_and_keep_the_order(sizes):
    records = [WireRecord(bytes(size), bytes(64), index) for index, size in enumerate(sizes)]
    batches = batch_records(records)
    assert [record for batch in batches for record in batch.records] == records
    for batch in batches:
        assert batch.records
        assert decode_records(encode_records(batch)) == batch.records
    for batch, following in itertools.pairwise(batches):  # none could have been saved
        with_one_more = Records((*batch.records, following.records[0]))
        assert len(msgspec.msgpack.encode(with_one_more)) > 65_536 - 64


def test_no_record_makes_no_batch():
    assert batch_records([]) == []


def test_a_record_too_large_for_any_batch_is_our_bug():
    with pytest.raises(LocalProtocolError):
        batch_records([WireRecord(bytes(65_500), bytes(64), 0)])


def test_no_entry_makes_a_digest_that_asks_for_everything():
    assert batch_digest([]) == [Digest((), NO_AGENT, HIGHEST)]


@given(known=st.sets(ids, max_size=30))
def test_a_small_digest_is_one_that_speaks_for_all(known):
    (digest,) = batch_digest(DigestEntry(agent_id, 1, 1, INSTANCE) for agent_id in known)
    assert (digest.first, digest.last) == (NO_AGENT, HIGHEST)
    assert [entry.agent_id for entry in digest.entries] == sorted(known)


@pytest.mark.parametrize("start", [0, 2**128 - 5000])
def test_large_digests_share_the_range_of_ids_without_gap_or_overlap(start):
    known = [
        DigestEntry(AgentId(number.to_bytes(16, "big")), 2**64 - 1, 2**64 - 1, INSTANCE)
        for number in range(start, start + 5000)
    ]
    digests = batch_digest(reversed(known))
    assert len(digests) == 5
    assert [entry for digest in digests for entry in digest.entries] == known
    assert digests[0].first == NO_AGENT
    assert digests[-1].last == HIGHEST
    for one, other in itertools.pairwise(digests):
        assert int.from_bytes(one.last, "big") + 1 == int.from_bytes(other.first, "big")
    for digest in digests:
        assert all(digest.covers(entry.agent_id) for entry in digest.entries)
        assert decode_digest(encode_digest(digest)) == digest


def test_a_digest_covers_its_bounds_and_nothing_beyond():
    low, high = AgentId(bytes(15) + b"\x05"), AgentId(bytes(15) + b"\x07")
    digest = Digest((), low, high)
    covered = [digest.covers(AgentId(bytes(15) + bytes([last]))) for last in range(4, 9)]
    assert covered == [False, True, True, True, False]
