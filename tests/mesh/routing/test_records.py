import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError, TrustError
from mesh.link.bodies import WireRecord, batch_records, decode_records, encode_records
from mesh.routing.pages import read_page
from mesh.routing.record_reader import verify_record
from mesh.routing.records import (
    MAX_ADDRESS_CHARACTERS,
    MAX_ENDPOINTS,
    MAX_EPOCH,
    MAX_INLINE_ENTRIES,
    MAX_KEY_CHARACTERS,
    MAX_LISTENERS,
    MAX_LISTENERS_OF_A_KEY,
    MAX_NEIGHBOURS,
    MAX_PAGE_BYTES,
    MAX_PAGE_ENTRIES,
    MAX_PAGES,
    MAX_RTT_STEP,
    MAX_SEQUENCE,
    MAX_SERVICE_BYTES,
    MAX_SIGNED_BYTES,
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    PageBody,
    PageName,
    RecordBody,
    decode_body,
    sign_record,
    trusted_record,
)
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.extensions import MAX_EXTENSION_BYTES, MAX_EXTENSIONS, Extension
from mesh.trust.identity import AgentId, Identity, Instance, verify_signature

NOW = 1_700_000_000
AUTHORITY = Identity(bytes(32))
ALICE = Identity(b"\x01" * 32)
BOB = Identity(b"\x02" * 32)
TRUST = TrustStore([AUTHORITY.public_key])


def certificate_of(identity: Identity, **grants: object) -> bytes:
    granted = {"may_register": ["*"], "may_use": ["*"], "may_relay": True} | grants
    return issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name="alice",
        not_before=NOW - 1,
        not_after=NOW + 1000,
        **granted,
    )


CERTIFICATE = certificate_of(ALICE)


def body_of(identity: Identity = ALICE, **changes: object) -> RecordBody:
    body = RecordBody(
        public_key=identity.public_key,
        epoch=7,
        sequence=3,
        instance=Instance(b"i" * 16),
        session_key=b"s" * 32,
        certificate=CERTIFICATE,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=(Neighbour(BOB.id, 4),),
        endpoints=(EndpointEntry("my-api", "localhost:3000"),),
        listeners=(ListenerEntry("db", "127.0.0.1:5432"),),
    )
    return msgspec.structs.replace(body, **changes)


def verified(wire: WireRecord, now: float = NOW):
    return verify_record(wire, decode_body(wire.signed), TRUST, verify_signature, now)


def test_a_record_says_what_was_signed():
    record = verified(sign_record(ALICE, body_of()))
    assert record.agent_id == ALICE.id
    assert record.body == body_of()
    assert record.name == "alice"
    assert record.freshness == (7, 3, record.instance)
    assert record.instance == b"i" * 16
    assert record.session_key == b"s" * 32
    assert dict(record.round_trips) == {BOB.id: 4}
    assert record.offered_keys == ("my-api",)
    assert record.denied_keys == ()
    assert record.listeners == body_of().listeners


def test_the_layout_is_pinned():
    small = body_of(certificate=b"C", neighbours=(), endpoints=(EndpointEntry("k", None),), listeners=())
    assert msgspec.msgpack.decode(sign_record(ALICE, small).signed) == [
        ALICE.public_key,
        7,
        3,
        b"i" * 16,
        b"s" * 32,
        b"C",
        True,
        False,
        False,
        [],
        [["k", None]],
        [],
        [],
        [],
        [],
    ]


def test_fields_of_a_later_agent_are_ignored_but_signed():
    fields = [*msgspec.msgpack.decode(msgspec.msgpack.encode(body_of())), {"later": 1}]
    signed = msgspec.msgpack.encode(fields)
    wire = WireRecord(signed, ALICE.sign(b"mesh record v1", signed), 0)
    assert verified(wire).body == body_of()


@given(st.data())
def test_no_flipped_bit_is_believed(data):
    wire = sign_record(ALICE, body_of())
    both = bytearray(wire.signed + wire.signature)
    bit = data.draw(st.integers(0, len(both) * 8 - 1))
    both[bit // 8] ^= 1 << bit % 8
    forged = WireRecord(bytes(both[: len(wire.signed)]), bytes(both[len(wire.signed) :]), 0)
    with pytest.raises(RemoteProtocolError):
        verified(forged)


@given(st.binary(max_size=400))
def test_garbage_is_a_remote_error(garbage):
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        decode_body(garbage)


@given(st.integers(0, 700))
def test_truncation_is_a_remote_error(length):
    signed = sign_record(ALICE, body_of()).signed
    with pytest.raises(RemoteProtocolError):
        decode_body(signed[: min(length, len(signed) - 1)])


def test_somebody_elses_certificate_or_signature_is_refused():
    stolen = sign_record(BOB, body_of(BOB))  # carries the certificate of ALICE
    with pytest.raises(RemoteProtocolError, match="carries the certificate of 'alice'"):
        verified(stolen)
    wire = sign_record(ALICE, body_of())
    with pytest.raises(AuthenticationError):
        verified(msgspec.structs.replace(wire, signature=BOB.sign(b"mesh record v1", wire.signed)))
    with pytest.raises(AuthenticationError):
        verified(msgspec.structs.replace(wire, signature=ALICE.sign(b"mesh certificate v1", wire.signed)))


def test_an_expired_certificate_is_a_trust_error():
    with pytest.raises(TrustError, match="expired"):
        verified(sign_record(ALICE, body_of()), NOW + 1000)


def test_only_its_own_record_can_be_signed():
    with pytest.raises(LocalProtocolError, match="the agent that it describes"):
        sign_record(BOB, body_of())


NEIGHBOUR = Neighbour(BOB.id, 0)
ENDPOINT = EndpointEntry("k", None)
LISTENER = ListenerEntry("k", "")


def page_names(count: int, byte_count: int = 1, entries: int = 1) -> tuple[PageName, ...]:
    return tuple(PageName(number.to_bytes(16, "big"), byte_count, entries) for number in range(count))


AT_ITS_LIMIT = {
    "epoch": MAX_EPOCH,
    "sequence": MAX_SEQUENCE,
    "certificate": b"c" * 2048,
    "neighbours": (NEIGHBOUR,) * MAX_NEIGHBOURS,
    "endpoints": tuple(EndpointEntry(f"key-{number}", None) for number in range(MAX_INLINE_ENTRIES)),
    "listeners": tuple(
        ListenerEntry(f"key-{number // MAX_LISTENERS_OF_A_KEY}", f":{number}")
        for number in range(MAX_INLINE_ENTRIES)
    ),
    "pages": page_names(MAX_PAGES),
}


def test_every_limit_itself_is_accepted():
    body = body_of(**AT_ITS_LIMIT)
    assert decode_body(sign_record(ALICE, body).signed) == body


@pytest.mark.parametrize(
    "beyond",
    [
        {"public_key": b"p" * 31},
        {"instance": b"i" * 17},
        {"session_key": b"s" * 31},
        {"epoch": MAX_EPOCH + 1},
        {"sequence": MAX_SEQUENCE + 1},
        {"epoch": -1},
        {"certificate": b"c" * 2049},
        {"neighbours": (NEIGHBOUR,) * (MAX_NEIGHBOURS + 1)},
        {"neighbours": (Neighbour(AgentId(b"n" * 15), 0),)},
        {"neighbours": (Neighbour(BOB.id, MAX_RTT_STEP + 1),)},
        {"neighbours": (Neighbour(BOB.id, -1),)},
        {"endpoints": (ENDPOINT,) * (MAX_INLINE_ENTRIES + 1)},
        {"endpoints": (EndpointEntry("", None),)},
        {"endpoints": (EndpointEntry("k" * (MAX_KEY_CHARACTERS + 1), None),)},
        {"endpoints": (EndpointEntry("k", "t" * (MAX_ADDRESS_CHARACTERS + 1)),)},
        {"listeners": (LISTENER,) * (MAX_INLINE_ENTRIES + 1)},
        {"listeners": (ListenerEntry("k", "a" * (MAX_ADDRESS_CHARACTERS + 1)),)},
        {"endpoints": tuple(EndpointEntry("k", "t" * 500) for _ in range(200))},
        {"pages": page_names(MAX_PAGES + 1)},
        {"pages": page_names(1) * 2},
        {"pages": page_names(1, byte_count=MAX_PAGE_BYTES + 1)},
        {"pages": page_names(1, byte_count=0)},
        {"pages": page_names(1, entries=MAX_PAGE_ENTRIES + 1)},
        {"pages": page_names(1, entries=0)},
        {"pages": page_names(MAX_SERVICE_BYTES // 16_000 + 1, byte_count=16_000)},
        {"pages": page_names((MAX_ENDPOINTS + MAX_LISTENERS) // 1_000 + 1, entries=1_000)},
        {"pages": (PageName(b"d" * 15, 1, 1),)},
        {"extensions": tuple(Extension(str(number), False, b"") for number in range(MAX_EXTENSIONS + 1))},
        {"extensions": (Extension("a", False, bytes(MAX_EXTENSION_BYTES + 1)),)},
    ],
    ids=lambda beyond: next(iter(beyond)),
)
def test_beyond_a_limit_others_refuse_it_and_it_is_not_signed(beyond):
    body = body_of(**beyond)
    with pytest.raises(RemoteProtocolError):
        decode_body(msgspec.msgpack.encode(body))
    with pytest.raises(LocalProtocolError):
        sign_record(ALICE, body)


def test_a_length_that_lies_is_judged_before_anything_is_allocated():
    with pytest.raises(RemoteProtocolError):
        decode_body(b"\xdd\xff\xff\xff\xff")
    with pytest.raises(RemoteProtocolError, match="at most 60000"):
        decode_body(bytes(MAX_SIGNED_BYTES + 1))


def test_the_largest_record_fits_into_a_frame():
    wire = WireRecord(bytes(MAX_SIGNED_BYTES), bytes(64), 2**32)
    [batch] = batch_records([wire])
    assert decode_records(encode_records(batch)) == (wire,)


def test_keys_that_the_certificate_denies_are_told_apart():
    certificate = read_certificate(certificate_of(ALICE, may_register=["db-*"]))
    entries = tuple(EndpointEntry(key, None) for key in ("db-1", "web", "db-2", "web", "db-1"))
    record = trusted_record(body_of(endpoints=entries), certificate)
    assert record.offered_keys == ("db-1", "db-2")
    assert record.denied_keys == ("web",)
    assert record.endpoints == entries


@pytest.mark.parametrize(
    ("relays", "draining", "may_relay", "carries"),
    [
        (True, False, True, True),
        (False, False, True, False),
        (True, True, True, True),
        (True, False, False, False),
    ],
)
def test_who_carries_transit(relays, draining, may_relay, carries):
    certificate = read_certificate(certificate_of(ALICE, may_relay=may_relay))
    record = trusted_record(body_of(relays=relays, draining=draining), certificate)
    assert record.carries_transit is carries


def test_a_refresh_says_the_same_and_a_change_does_not():
    certificate = read_certificate(CERTIFICATE)
    record = trusted_record(body_of(), certificate)
    assert record.says_the_same_as(trusted_record(body_of(epoch=8, sequence=9), certificate))
    for change in ({"draining": True}, {"instance": b"j" * 16}, {"neighbours": ()}):
        assert not record.says_the_same_as(trusted_record(body_of(**change), certificate))


def test_a_link_to_itself_is_no_link():
    body = body_of(neighbours=(Neighbour(ALICE.id, 1), Neighbour(BOB.id, 2)))
    assert dict(trusted_record(body, read_certificate(CERTIFICATE)).round_trips) == {BOB.id: 2}


def test_who_repeats_itself_is_refused():
    """In a record it is an offence; in a page, which its record names, the page is not what it should be."""
    twice = (EndpointEntry("api", "a:1"), EndpointEntry("api", "b:2"))
    ports = tuple(ListenerEntry("api", f":{port}") for port in range(MAX_LISTENERS_OF_A_KEY + 1))
    for entries in ({"endpoints": twice}, {"listeners": ports}):
        with pytest.raises(RemoteProtocolError, match=r"twice|at most 8"):
            decode_body(msgspec.msgpack.encode(body_of(**entries)))
        with pytest.raises(RemoteProtocolError, match=r"twice|at most 8"):
            read_page(msgspec.msgpack.encode(PageBody(**entries)), read_certificate(CERTIFICATE))
    assert decode_body(msgspec.msgpack.encode(body_of(listeners=ports[1:]))).listeners == ports[1:]
