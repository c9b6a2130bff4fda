import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, TrustError
from mesh.trust import certificates as trust
from mesh.trust.certificates import (
    MAX_CERTIFICATE_BYTES,
    MAX_UNIX_S,
    NOT_BEFORE_TOLERANCE_S,
    Certificate,
    TrustStore,
    issue_certificate,
    read_certificate,
)
from mesh.trust.identity import CERTIFICATE_CONTEXT, RECORD_CONTEXT, verify_signature
from tests.mesh.trust.certificate_company import (
    AGENT,
    AUTHORITY,
    END,
    FOREIGN_AUTHORITY,
    NOON,
    SHORT_ID,
    START,
    WIRE,
    altered,
    issue,
    sign,
)


@pytest.fixture
def store() -> TrustStore:
    return TrustStore([FOREIGN_AUTHORITY.public_key, AUTHORITY.public_key])


def test_an_issued_certificate_is_admitted_as_it_was_issued(store: TrustStore):
    certificate = store.admit(WIRE, NOON)
    assert certificate == Certificate(
        subject=AGENT.public_key,
        name="branch",
        not_before=START,
        not_after=END,
        may_register=("db-*", "api"),
        may_use=("*",),
        may_relay=True,
        may_manage=False,
        authority=AUTHORITY.public_key,
    )
    assert certificate.agent_id == AGENT.id
    assert store.admit(memoryview(WIRE), NOON) == certificate


def test_the_wire_form_is_a_signature_and_a_message_pack_array():
    body = WIRE[64:]
    verify_signature(AUTHORITY.public_key, CERTIFICATE_CONTEXT, body, WIRE[:64])
    assert msgspec.msgpack.decode(body) == [
        AGENT.public_key,
        "branch",
        START,
        END,
        ["db-*", "api"],
        ["*"],
        True,
        False,
        AUTHORITY.public_key,
        [],
        None,
        b"",
        False,
        [],
    ]


def test_nothing_is_granted_by_default():
    wire = issue_certificate(AUTHORITY, subject=AGENT.public_key, name="a", not_before=START, not_after=END)
    certificate = read_certificate(wire)
    assert (certificate.may_register, certificate.may_use) == ((), ())
    assert not certificate.may_relay
    assert not certificate.may_manage
    assert not certificate.allows_register("api")
    assert not certificate.allows_use("api")


def test_a_foreign_authority_is_refused():
    with pytest.raises(TrustError, match=rf"'branch' \({SHORT_ID}\) is signed by an authority .* not trust"):
        TrustStore([FOREIGN_AUTHORITY.public_key]).admit(WIRE, NOON)


def test_without_authorities_nobody_is_admitted():
    with pytest.raises(TrustError, match="does not trust"):
        TrustStore([]).admit(WIRE, NOON)


def test_an_agent_cannot_certify_itself(store: TrustStore):
    with pytest.raises(TrustError, match="does not trust"):
        store.admit(issue(AGENT), NOON)
    body = issue(AGENT)[64:].replace(AGENT.public_key, AUTHORITY.public_key)
    with pytest.raises(TrustError, match=r"'branch' .* has a bad signature"):
        store.admit(AGENT.sign(CERTIFICATE_CONTEXT, body) + body, NOON)


def test_a_signature_for_another_purpose_is_bad(store: TrustStore):
    with pytest.raises(TrustError, match="bad signature"):
        store.admit(sign(WIRE[64:], RECORD_CONTEXT), NOON)


@pytest.mark.parametrize("now", [END, END + 0.5, END + 1e9])
def test_an_expired_certificate_is_refused(store: TrustStore, now: float):
    with pytest.raises(TrustError, match=rf"'branch' \({SHORT_ID}\) .*expired since 2023-11-15 22:13:20 UTC"):
        store.admit(WIRE, now)


@pytest.mark.parametrize("now", [0, START - NOT_BEFORE_TOLERANCE_S - 0.5])
def test_a_certificate_of_the_future_is_refused(store: TrustStore, now: float):
    with pytest.raises(
        TrustError, match=rf"'branch' \({SHORT_ID}\) is not valid until 2023-11-14 22:13:20 UTC"
    ):
        store.admit(WIRE, now)


@pytest.mark.parametrize("now", [START - NOT_BEFORE_TOLERANCE_S, START, END - 0.001])
def test_validity_includes_the_tolerance_before_and_none_behind(store: TrustStore, now: float):
    assert store.admit(WIRE, now).name == "branch"


class CountingCheck:
    """A signature check that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
        self.calls += 1
        verify_signature(public_key, context, message, signature)


def test_a_good_signature_is_checked_once_and_validity_always():
    check = CountingCheck()
    store = TrustStore([AUTHORITY.public_key], verify=check)
    assert store.admit(WIRE, NOON) is store.admit(WIRE, NOON + 1)
    for now in (END, 0):
        with pytest.raises(TrustError, match=r"expired|until"):
            store.admit(WIRE, now)
    assert store.admit(WIRE, NOON).name == "branch"
    assert check.calls == 1


def test_a_bad_signature_is_not_remembered():
    check = CountingCheck()
    store = TrustStore([AUTHORITY.public_key], verify=check)
    bad = WIRE[:63] + bytes([WIRE[63] ^ 1]) + WIRE[64:]
    for _ in range(2):
        with pytest.raises(TrustError, match="bad signature"):
            store.admit(bad, NOON)
    assert check.calls == 2


def test_memory_is_bounded_and_keeps_what_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trust, "MAX_REMEMBERED", 2)
    check = CountingCheck()
    store = TrustStore([AUTHORITY.public_key], verify=check)
    first, second, third = (issue(name=name) for name in ("first", "second", "third"))
    for wire in (first, second, first, third):
        store.admit(wire, NOON)
    assert len(store._remembered) == 2
    assert check.calls == 3
    store.admit(first, NOON)
    assert check.calls == 3
    store.admit(second, NOON)
    assert check.calls == 4


def test_a_failing_check_of_another_kind_is_not_taken_for_a_bad_certificate():
    def broken(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        TrustStore([AUTHORITY.public_key], verify=broken).admit(WIRE, NOON)


@given(bit=st.integers(min_value=0, max_value=len(WIRE) * 8 - 1))
def test_any_flipped_bit_is_refused(bit: int):
    store = TrustStore([AUTHORITY.public_key])
    store.admit(WIRE, NOON)
    damaged = bytearray(WIRE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TrustError):
        store.admit(bytes(damaged), NOON)


def test_every_truncation_is_refused(store: TrustStore):
    for byte_count in range(len(WIRE)):
        with pytest.raises(TrustError, match="malformed certificate"):
            store.admit(WIRE[:byte_count], NOON)


@given(garbage=st.binary(max_size=3000))
def test_garbage_is_malformed(garbage: bytes):
    with pytest.raises(TrustError, match="malformed certificate"):
        TrustStore([AUTHORITY.public_key]).admit(garbage, NOON)


@pytest.mark.parametrize(
    "body",
    [
        WIRE[64:] + b"\0",
        b"\x91" * 1900 + b"\0",
        b"\xdf\xff\xff\xff\xff",
        b"\x99\xc4\xff",
        b"\xc0",
        msgspec.msgpack.encode({"subject": AGENT.public_key}),
        WIRE[64:].replace(b"branch", b"\xff\xfe\xfd\xfc\xfb\xfa"),
    ],
    ids=["surplus", "deep", "huge map", "cut string", "nil", "map", "not UTF-8"],
)
def test_a_body_of_another_shape_is_malformed_though_signed(store: TrustStore, body: bytes):
    with pytest.raises(TrustError, match="malformed certificate"):
        store.admit(sign(body), NOON)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": bytes(31)},
        {"authority": bytes(33)},
        {"name": ""},
        {"name": "a" * 65},
        {"name": "line\nbreak"},
        {"name": "\x1b[31mred"},
        {"name": "right\u202eleft"},
        {"name": b"branch"},
        {"not_before": -1},
        {"not_before": float(START)},
        {"not_after": MAX_UNIX_S + 1},
        {"not_after": START},
        {"not_after": 0},
        {"may_register": ["ok", ""]},
        {"may_register": ["a" * 256]},
        {"may_use": ["tab\t"]},
        {"may_use": "*"},
        {"may_use": [1]},
        {"may_relay": 1},
        {"may_manage": None},
        {"a field of the future": "which may take something away"},
    ],
    ids=str,
)
def test_a_field_out_of_range_is_malformed_though_signed(store: TrustStore, changes: dict[str, Any]):
    with pytest.raises(TrustError, match="malformed certificate"):
        store.admit(altered(**changes), NOON)


def test_the_longest_certificate_and_one_byte_more(store: TrustStore):
    patterns = ["x" * 255] * 6 + ["x" * 100]
    room = MAX_CERTIFICATE_BYTES - len(issue(may_use=[*patterns, "x" * 40])) + 40
    longest = issue(may_use=[*patterns, "x" * room])
    assert len(longest) == MAX_CERTIFICATE_BYTES
    assert store.admit(longest, NOON).may_use[-1] == "x" * room
    with pytest.raises(ValueError, match="2049 bytes, at most 2048"):
        issue(may_use=[*patterns, "x" * (room + 1)])
    with pytest.raises(TrustError, match="2049 bytes, at most 2048"):
        store.admit(altered(may_use=[*patterns, "x" * (room + 1)]), NOON)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": b"short"},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "\udc80"},
        {"not_before": -1},
        {"not_after": START},
        {"not_after": MAX_UNIX_S + 1},
        {"not_after": 2**70},
        {"may_use": [""]},
    ],
    ids=ascii,
)
def test_what_would_be_refused_is_not_issued(changes: dict[str, Any]):
    with pytest.raises(ValueError, match="cannot issue"):
        issue(**changes)


@pytest.mark.parametrize("byte_count", [0, 31, 33])
def test_an_authority_has_32_bytes(byte_count: int):
    with pytest.raises(ValueError, match=f"authority of 32 bytes, found {byte_count}"):
        TrustStore([AUTHORITY.public_key, bytes(byte_count)])


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("*", "anything at all", True),
        ("*", "", True),
        ("api", "api", True),
        ("api", "API", False),
        ("api", "my-api", False),
        ("api", "api\n", False),
        ("db-*", "db-", True),
        ("db-*", "db-main/a", True),
        ("db-*", "db", False),
        ("db-?", "db-1", True),
        ("db-?", "db-", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("[!a]", "b", False),
        ("[", "[", True),
        ("a.c", "abc", False),
        ("a\\*", "a*", False),
        ("*.example.*", "db.example.com", True),
    ],
)
def test_patterns(pattern: str, key: str, matches: bool):
    certificate = read_certificate(issue(may_register=["never", pattern], may_use=["never"]))
    assert certificate.allows_register(key) is matches
    assert not certificate.allows_use(key)
    certificate = read_certificate(issue(may_register=["never"], may_use=["never", pattern]))
    assert certificate.allows_use(key) is matches
    assert not certificate.allows_register(key)


@given(pattern=st.text("ab*?[]!-^\\.", min_size=1, max_size=8), key=st.text("ab[]!-^\\.", max_size=8))
def test_only_star_and_question_mark_are_wild(pattern: str, key: str):
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    certificate = read_certificate(issue(may_use=[pattern]))
    assert certificate.allows_use(key) == bool(re.fullmatch(expression, key, re.DOTALL))


@pytest.mark.parametrize("pattern", ["caf\u00e9*", "cafe\u0301*", "caf?*"])
@pytest.mark.parametrize("key", ["caf\u00e9-1", "cafe\u0301-1"])
def test_both_spellings_of_a_letter_are_one(pattern: str, key: str):
    assert read_certificate(issue(may_use=(pattern,))).allows_use(key)


def test_a_pattern_made_to_backtrack_is_judged_all_the_same():
    certificate = read_certificate(issue(may_use=["*a" * 100 + "b"]))
    assert not certificate.allows_use("a" * 255)


def test_a_trust_error_is_not_an_authentication_error():
    # A damaged frame and a refused certificate are told apart by whoever reports them.
    assert not issubclass(TrustError, AuthenticationError)
