"""Issuers: what they may sign, and chains of certificates as others judge them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ForgedCertificateError, TrustError
from mesh.trust import certificates as trust
from mesh.trust.certificates import (
    MAX_CERTIFICATE_BYTES,
    MAX_ISSUER_BYTES,
    TrustStore,
    issue_certificate,
    issuer_of,
    read_certificate,
)
from mesh.trust.identity import CERTIFICATE_CONTEXT, Identity
from mesh.trust.issuing import MAX_GROUPS, IssuingLimits, Passing
from tests.mesh.trust.certificate_company import AGENT, AUTHORITY, END, FOREIGN_AUTHORITY, NOON, START, issue

ISSUER = Identity(bytes([4]) * 32)
OTHER_ISSUER = Identity(bytes([5]) * 32)
DAY_S = 86_400
LIMITS = IssuingLimits(DAY_S, ("db-*",), ("web-*", "api"), may_relay=True, groups=("staff", "site-*"))
RIGHTS: dict[str, Any] = {
    "may_register": ("db-1",),
    "may_use": ("api", "web-?"),
    "may_relay": True,
    "groups": ("site-north",),
}


def issuers_own(limits: IssuingLimits | None = LIMITS, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"subject": ISSUER.public_key, "name": "hq", "not_after": END + 30 * DAY_S}
    return issue(**(fields | {"may_issue": limits} | changes))


OWN = issuers_own()


def issued(**changes: Any) -> bytes:
    return issue(ISSUER, **({"issuer": OWN} | RIGHTS | changes))


def forced(signer: Identity = ISSUER, **changes: Any) -> bytes:
    """As a hostile issuer signs it."""
    fields = msgspec.structs.asdict(read_certificate(issued())) | changes
    body = msgspec.msgpack.encode(list(fields.values()))
    return signer.sign(CERTIFICATE_CONTEXT, body) + body


@pytest.fixture
def store() -> TrustStore:
    return TrustStore([AUTHORITY.public_key])


def test_what_an_issuer_signs_is_admitted_and_names_both(store: TrustStore):
    certificate = store.admit(issued(), NOON)
    assert certificate.authority == AUTHORITY.public_key
    issuer = issuer_of(certificate)
    assert issuer is not None
    assert (issuer.name, issuer.subject, issuer.may_issue) == ("hq", ISSUER.public_key, LIMITS)
    assert certificate.groups == ("site-north",)
    assert issuer_of(issuer) is None
    assert certificate == store.admit(forced(), NOON)


def test_each_signature_is_checked_once_that_of_the_issuer_too():
    checked = []
    store = TrustStore([AUTHORITY.public_key], verify=lambda *check: checked.append(check[0]))
    for name in ("a", "b", "a", "b"):
        store.admit(issued(name=name), NOON)
    assert checked == [AUTHORITY.public_key, ISSUER.public_key, ISSUER.public_key]


def test_a_chain_is_refused_where_its_authority_is(store: TrustStore):
    with pytest.raises(TrustError, match="signed by an authority that this agent does not trust"):
        TrustStore([FOREIGN_AUTHORITY.public_key]).admit(issued(), NOON)
    assert TrustStore([FOREIGN_AUTHORITY.public_key]).refusal(store.admit(issued(), NOON))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"may_use": ["api", "*"]}, r"grants what its issuer 'hq' \(\w+\) may not: to use '\*'"),
        ({"may_register": ["db*"]}, "to register 'db\\*'"),
        ({"may_manage": True}, "to manage others"),
        ({"groups": ["admins"]}, "the group 'admins'"),
        ({"not_before": START - 1}, "is valid when that of its issuer 'hq'"),
        ({"not_after": END + 1}, "is valid for 86,401 s, and its issuer 'hq' .* may grant 86,400 s"),
        (
            {"not_before": END + 30 * DAY_S - 1, "not_after": END + 30 * DAY_S + 1},
            "is valid when that of its issuer",
        ),
    ],
    ids=str,
)
def test_what_goes_beyond_the_issuer_is_refused_and_not_signed(store, changes: dict[str, Any], why: str):
    with pytest.raises(ForgedCertificateError, match=why):
        store.admit(forced(**changes), NOON)
    with pytest.raises(ValueError, match=f"cannot issue: the certificate of 'branch' .*{why}"):
        issued(**changes)


def test_an_issuer_may_not_relay_for_others_unless_its_certificate_says_so():
    limits = IssuingLimits(DAY_S, LIMITS.may_register, LIMITS.may_use, groups=LIMITS.groups)
    with pytest.raises(ValueError, match="may not: to relay"):
        issued(issuer=issuers_own(limits))


def test_patterns_are_compared_up_to_a_number():
    many = Passing(register=("db-1",) * 1024, use=(), relay=False, manage=False, groups=())
    assert not LIMITS.excess(many)
    more = Passing(register=("db-1",) * 1025, use=(), relay=False, manage=False, groups=())
    assert "1,025 pairs of patterns, at most 1,024" in LIMITS.excess(more)


def test_who_is_no_issuer_signs_nothing(store: TrustStore):
    plain = issuers_own(None)
    with pytest.raises(ForgedCertificateError, match=r"is signed by 'hq' \(\w+\), which is no issuer"):
        store.admit(forced(issuer=plain), NOON)


@pytest.mark.parametrize("signer", [AGENT, OTHER_ISSUER, AUTHORITY, FOREIGN_AUTHORITY])
def test_only_the_issuer_itself_signs_with_its_certificate(store: TrustStore, signer: Identity):
    with pytest.raises(ForgedCertificateError, match=r"'branch' .* has a bad signature"):
        store.admit(forced(signer), NOON)


def test_an_issuers_certificate_that_is_forged_lends_nothing(store: TrustStore):
    body = OWN[64:]
    forged = ISSUER.sign(CERTIFICATE_CONTEXT, body) + body
    with pytest.raises(ForgedCertificateError, match=r"'hq' .* has a bad signature"):
        store.admit(forced(issuer=forged), NOON)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"may_issue": LIMITS}, "at the end of a chain that is too long"),
        ({"authority": FOREIGN_AUTHORITY.public_key}, "name different authorities"),
        ({"issuer": b"\1" * 100}, "malformed certificate"),
        ({"issuer": bytes(MAX_ISSUER_BYTES + 1)}, "malformed certificate"),
        ({"is_invitation": True}, "is an invitation, which grants nothing"),
        ({"groups": ["a b"]}, "malformed certificate"),
        ({"groups": ["-a"]}, "malformed certificate"),
        ({"groups": ["a\n"]}, "malformed certificate"),
        ({"groups": ["\x1b"]}, "malformed certificate"),
        ({"groups": ["a" * 64]}, "malformed certificate"),
        ({"groups": [f"g{number}" for number in range(MAX_GROUPS + 1)]}, "malformed certificate"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_chain_of_another_shape_is_malformed_whoever_signs(store, changes: dict[str, Any], why: str):
    with pytest.raises(TrustError, match=why):
        store.admit(forced(**changes), NOON)


def test_there_is_no_longer_chain(store: TrustStore):
    middle = forced(subject=OTHER_ISSUER.public_key, groups=[], may_use=[])
    with pytest.raises(TrustError, match="a chain that is too long"):
        store.admit(forced(OTHER_ISSUER, issuer=middle), NOON)


@pytest.mark.parametrize("limits", [{"longest_s": 0}, {"may_use": ["a\tb"]}, {"groups": ["\x1b"]}])
def test_limits_out_of_their_range_are_malformed(store: TrustStore, limits: dict[str, Any]):
    with pytest.raises(TrustError, match="malformed certificate"):
        store.admit(issuers_own_forced(limits), NOON)


def issuers_own_forced(limits: dict[str, Any]) -> bytes:
    written = list((msgspec.structs.asdict(LIMITS) | limits).values())
    fields = msgspec.structs.asdict(read_certificate(OWN)) | {"may_issue": written}
    body = msgspec.msgpack.encode(list(fields.values()))
    return AUTHORITY.sign(CERTIFICATE_CONTEXT, body) + body


def test_an_invitation_grants_nothing_and_is_an_issuers(store: TrustStore):
    nothing: dict[str, Any] = {"may_register": (), "may_use": (), "may_relay": False, "groups": ()}
    invitation = store.admit(issued(is_invitation=True, **nothing), NOON)
    assert invitation.is_invitation
    with pytest.raises(ValueError, match="is an invitation, which grants nothing and is an issuer's"):
        issue(is_invitation=True, **nothing)


def test_an_issuers_certificate_leaves_room_for_those_it_signs(store: TrustStore):
    def own_of(rest: int) -> bytes:
        return issuers_own(IssuingLimits(DAY_S, ("*",), (*("x" * 255,) * 2, "x" * 100, "x" * rest)))

    room = MAX_ISSUER_BYTES - len(own_of(40)) + 40
    own = own_of(room)
    assert len(own) == MAX_ISSUER_BYTES
    with pytest.raises(ValueError, match="1025 bytes, at most 1024 are allowed for an issuer's"):
        own_of(room + 1)
    wire = issued(issuer=own, may_register=("x" * 255,) * 3, may_use=(), groups=(), may_relay=False)
    assert MAX_ISSUER_BYTES + 3 * 255 < len(wire) < MAX_CERTIFICATE_BYTES
    assert store.admit(wire, NOON).may_register == ("x" * 255,) * 3


@given(bit=st.integers(min_value=0, max_value=len(issued()) * 8 - 1))
def test_any_flipped_bit_of_a_chain_is_refused(bit: int):
    store = TrustStore([AUTHORITY.public_key])
    damaged = bytearray(issued())
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TrustError):
        store.admit(bytes(damaged), NOON)


PATTERN_LISTS = st.lists(st.text("ab*", min_size=1, max_size=3), max_size=3).map(tuple)


@given(limits=PATTERN_LISTS, wanted=PATTERN_LISTS, key=st.text("abz", max_size=5))
def test_nobody_may_use_what_its_issuer_could_not_grant(limits, wanted, key: str):
    bounds = IssuingLimits(DAY_S, limits, limits)
    rights = Passing(register=wanted, use=(), relay=False, manage=False, groups=())
    if not bounds.excess(rights):
        granted = issue_certificate(
            AUTHORITY, subject=AGENT.public_key, name="a", not_before=1, not_after=2, may_register=wanted
        )
        outer = issue_certificate(
            AUTHORITY, subject=AGENT.public_key, name="a", not_before=1, not_after=2, may_register=limits
        )
        if read_certificate(granted).allows_register(key):
            assert read_certificate(outer).allows_register(key)


def test_memory_is_bounded_with_chains_too(monkeypatch: pytest.MonkeyPatch, store: TrustStore):
    monkeypatch.setattr(trust, "MAX_REMEMBERED", 2)
    for name in ("a", "b", "c"):
        store.admit(issued(name=name), NOON)
    assert len(store._remembered) == 2


@pytest.mark.parametrize("name", ["hq\u3164", "hq\ufe0f", "\u2800", "hq\u202e"])
def test_no_name_has_what_cannot_be_seen_and_so_looks_like_another(store: TrustStore, name: str):
    with pytest.raises(TrustError, match="cannot be printed"):
        store.admit(forced(name=name), NOON)
    with pytest.raises(ValueError, match="cannot be printed"):
        issued(name=name)
