"""Signed lists of revoked agents: their form, whose they are, and what all of them together say."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import (
    AuthenticationError,
    ForgedCertificateError,
    RemoteProtocolError,
    RevokedError,
    TrustError,
)
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import REVOCATIONS_CONTEXT, Identity, agent_id_of, verify_signature
from mesh.trust.issuing import IssuingLimits
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import (
    BEGIN_REVOCATIONS,
    END_REVOCATIONS,
    FOR_EVER,
    MAX_LIST_BYTES,
    Revocation,
    Revocations,
    head_of,
    lists_from_text,
    lists_to_text,
    next_number,
    sign_list,
    verified_list,
)
from tests.mesh.trust.certificate_company import AGENT, AUTHORITY, FOREIGN_AUTHORITY, NOON, WIRE

OTHER = agent_id_of(bytes(32))
ENTRY = Revocation(AGENT.id, int(NOON), FOR_EVER, "branch", "the laptop was stolen")


def a_list(number=1, *revoked, by=AUTHORITY):
    return verified_list(sign_list(by, number, revoked), by.public_key, verify_signature)


def test_a_list_is_a_signature_and_an_array_and_is_read_as_it_was_signed():
    wire = sign_list(AUTHORITY, 7, (ENTRY,))
    verify_signature(AUTHORITY.public_key, REVOCATIONS_CONTEXT, wire[64:], wire[:64])
    entry = [AGENT.id, int(NOON), FOR_EVER, "branch", "the laptop was stolen"]
    assert msgspec.msgpack.decode(wire[64:]) == [AUTHORITY.public_key, 7, [entry], b""]
    head = head_of(wire)
    assert (head.signer, head.number, head.issuer) == (AUTHORITY.public_key, 7, b"")
    read = verified_list(wire, AUTHORITY.public_key, verify_signature).read
    assert (read.signer, read.number, read.revoked) == (AUTHORITY.public_key, 7, (ENTRY,))


def test_elements_that_a_later_version_adds_are_ignored():
    body = msgspec.msgpack.encode([AUTHORITY.public_key, 7, [[OTHER, 1, 2, "a", "b", "more"]], b"", "more"])
    wire = AUTHORITY.sign(REVOCATIONS_CONTEXT, body) + body
    assert verified_list(wire, AUTHORITY.public_key, verify_signature).read.revoked == (
        Revocation(OTHER, 1, 2, "a", "b"),
    )


@pytest.mark.parametrize("place", [0, 63, 64, 100, -1])
def test_a_list_with_another_bit_is_refused(place):
    wire = bytearray(sign_list(AUTHORITY, 7, (ENTRY,)))
    wire[place] ^= 1
    with pytest.raises(RemoteProtocolError):
        verified_list(bytes(wire), AUTHORITY.public_key, verify_signature)


def test_a_list_that_another_has_signed_is_refused():
    body = sign_list(AUTHORITY, 7, (ENTRY,))[64:]
    with pytest.raises(AuthenticationError, match="has a bad signature"):
        verified_list(AGENT.sign(REVOCATIONS_CONTEXT, body) + body, AUTHORITY.public_key, verify_signature)


@pytest.mark.parametrize(
    ("number", "revoked", "why"),
    [
        (0, (), ">= 1"),
        (2**60, (), "<= "),
        (1, (ENTRY, ENTRY), "names an agent twice"),
        (1, (msgspec.structs.replace(ENTRY, reason="a\nb"),), "cannot be printed"),
        (1, (msgspec.structs.replace(ENTRY, name="n" * 65),), "<= 64"),
        (1, (msgspec.structs.replace(ENTRY, reason="r" * 129),), "<= 128"),
        (1, tuple(Revocation(OTHER[:-2] + n.to_bytes(2), 1) for n in range(1_900)), "at most 49,152"),
    ],
)
def test_nobody_signs_what_nobody_would_take(number, revoked, why):
    with pytest.raises(ValueError, match=why):
        sign_list(AUTHORITY, number, revoked)


def test_a_list_has_room_for_hundreds_with_names_and_reasons():
    entries = [
        Revocation(agent_id_of(bytes(30) + n.to_bytes(2)), int(NOON), FOR_EVER, f"laptop-{n}", "was stolen")
        for n in range(800)
    ]
    assert len(sign_list(AUTHORITY, 1, entries)) < MAX_LIST_BYTES


def test_of_each_signer_the_newest_list_counts_and_nothing_that_it_said_before():
    old, new = a_list(1, ENTRY), a_list(2, Revocation(OTHER, 1))
    for lists in ((old, new), (new, old)):
        revocations = Revocations(lists)
        assert revocations.of(AGENT.id) is None
        assert revocations.of(OTHER) is not None
        assert len(revocations) == 1
    assert Revocations((new,)).joined(Revocations((old,))).of(AGENT.id) is None
    assert Revocations((old,)).joined(Revocations((new,))).of(AGENT.id) is None


def test_lists_of_two_signers_stand_side_by_side():
    ours, theirs = a_list(5, ENTRY), a_list(1, ENTRY, Revocation(OTHER, 1), by=FOREIGN_AUTHORITY)
    both = Revocations((ours,)).joined(Revocations((theirs,)))
    assert len(both) == 2
    assert both.of(AGENT.id).signer == AUTHORITY.public_key
    assert both.under([FOREIGN_AUTHORITY.public_key]).of(AGENT.id).signer == FOREIGN_AUTHORITY.public_key
    assert both.under([AUTHORITY.public_key]).of(OTHER) is None
    assert both.joined(Revocations((ours,))) is both


def test_a_number_is_the_time_or_one_more_than_the_last():
    assert next_number(0, NOON) == NOON * 1000
    assert next_number(int(NOON * 1000) + 5, NOON) == NOON * 1000 + 6


def test_lists_in_a_file_are_read_as_they_were_written():
    wires = sign_list(AUTHORITY, 7, (ENTRY,)), sign_list(FOREIGN_AUTHORITY, 1, ())
    text = lists_to_text(wires)
    assert lists_from_text(f"\ufeffwhat somebody says\n{text}more\n") == wires
    assert lists_from_text("") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{BEGIN_REVOCATIONS}\nAAAA\n", "cut off"),
        (f"{BEGIN_REVOCATIONS}\nA\u00e4\n{END_REVOCATIONS}\n", "line 3 is damaged"),
        (f"{BEGIN_REVOCATIONS}\n{BEGIN_REVOCATIONS}\n", "line 2: a list begins within another"),
        (f"{END_REVOCATIONS}\n", "line 1: a list ends that has not begun"),
    ],
)
def test_a_damaged_file_is_told_by_its_line(text, why):
    with pytest.raises(ValueError, match=why):
        lists_from_text(text)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data):
    with pytest.raises(RemoteProtocolError):
        verified_list(data, AUTHORITY.public_key, verify_signature)


# -- the store that judges by them ---------------------------------------------------------------------------


def test_a_store_refuses_the_revoked_and_says_when_by_whom_and_why():
    store = TrustStore([AUTHORITY.public_key])
    certificate = store.admit(WIRE, NOON)
    revoking = store.revoking(Revocations((a_list(1, ENTRY),)))
    assert store.refusal(certificate) == ""
    told = revoking.refusal(certificate)
    assert told.startswith("the agent 'branch' (")
    assert "was revoked on 2026-" in told or "was revoked on 20" in told
    assert told.endswith(": the laptop was stolen")
    with pytest.raises(RevokedError, match="was revoked on"):
        revoking.admit(WIRE, NOON)
    assert revoking.revoking(Revocations()).admit(WIRE, NOON) is certificate


def test_an_authority_that_is_not_trusted_revokes_nobody():
    store = TrustStore([AUTHORITY.public_key])
    theirs = a_list(1, ENTRY, by=FOREIGN_AUTHORITY)
    assert store.revoking(Revocations((theirs,))).admit(WIRE, NOON)
    with pytest.raises(TrustError, match="which this agent does not trust"):
        read_revocations(theirs.wire, store)


def test_either_of_two_authorities_revokes_whoever_the_other_has_certified():
    store = TrustStore([AUTHORITY.public_key, FOREIGN_AUTHORITY.public_key])
    theirs = a_list(1, ENTRY, by=FOREIGN_AUTHORITY)
    assert read_revocations(theirs.wire, store) == theirs
    with pytest.raises(RevokedError):
        store.revoking(Revocations((theirs,))).admit(WIRE, NOON)


# -- issuers -------------------------------------------------------------------------------------------------

LIMITS = IssuingLimits(10**9, ("*",), ("*",))
OTHER_ISSUER = Identity(b"another issuer".ljust(32))


def certificate(subject, name, signer=AUTHORITY, **more):
    span = {"not_before": int(NOON) - 1000, "not_after": int(NOON) + 1000}
    return issue_certificate(signer, subject=subject.public_key, name=name, **span, **more)


@pytest.fixture
def issued():
    """Two issuers, and an agent with a certificate of each."""
    issuers = OTHER_ISSUER, FOREIGN_AUTHORITY
    own = {issuer.id: certificate(issuer, "issuer", may_issue=LIMITS) for issuer in issuers}
    by = {issuer.id: certificate(AGENT, "agent", issuer, issuer=own[issuer.id]) for issuer in issuers}
    return own, by


def test_an_issuer_revokes_what_it_has_issued_itself_and_nothing_else(issued):
    own, by = issued
    store = TrustStore([AUTHORITY.public_key])
    wire = sign_list(OTHER_ISSUER, 1, (ENTRY,), issuer=own[OTHER_ISSUER.id])
    revoking = store.revoking(Revocations((read_revocations(wire, store),)))
    with pytest.raises(RevokedError, match="by the issuer"):
        revoking.admit(by[OTHER_ISSUER.id], NOON)
    assert revoking.admit(by[FOREIGN_AUTHORITY.id], NOON)
    assert revoking.admit(WIRE, NOON)


def test_of_an_issuer_that_is_revoked_all_that_it_has_signed_is_refused(issued):
    own, by = issued
    entry = Revocation(OTHER_ISSUER.id, int(NOON))
    store = TrustStore([AUTHORITY.public_key], revocations=Revocations((a_list(1, entry),)))
    with pytest.raises(RevokedError, match="the issuer of the agent 'agent'"):
        store.admit(by[OTHER_ISSUER.id], NOON)
    assert store.admit(by[FOREIGN_AUTHORITY.id], NOON)
    wire = sign_list(OTHER_ISSUER, 1, (ENTRY,), issuer=own[OTHER_ISSUER.id])
    with pytest.raises(TrustError, match="was revoked on"):
        read_revocations(wire, store)


def test_nobody_signs_as_an_issuer_who_is_none(issued):
    own, _ = issued
    store = TrustStore([AUTHORITY.public_key])
    for signer, shown in ((AGENT, WIRE), (AGENT, own[OTHER_ISSUER.id])):
        with pytest.raises(ForgedCertificateError, match="which it is not"):
            read_revocations(sign_list(signer, 1, (), issuer=shown), store)


def test_the_lists_of_an_authority_go_with_it_and_so_do_those_of_its_issuers(issued):
    own, _ = issued
    store = TrustStore([AUTHORITY.public_key])
    wire = sign_list(OTHER_ISSUER, 1, (ENTRY,), issuer=own[OTHER_ISSUER.id])
    known = Revocations((read_revocations(wire, store), a_list(1, ENTRY)))
    assert len(known.under([AUTHORITY.public_key])) == 2
    assert len(known.under([FOREIGN_AUTHORITY.public_key])) == 0
