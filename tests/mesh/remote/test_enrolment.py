"""Questions for certificates and their answers, as they are on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.remote.enrolment import MAX_WHY_CHARACTERS, Grant, read_grant, read_wish, write_grant, write_wish
from mesh.trust.identity import Identity
from tests.protocol_text import PROTOCOL

OWNER, ISSUER, ASKER = (Identity(bytes([byte]) * 32) for byte in (1, 2, 3))
WISH = write_wish(OWNER, issuer=ISSUER.id, asker=ASKER.id)


def test_the_examples_of_the_protocol_are_what_is_sent():
    text = " ".join(PROTOCOL.split())
    assert WISH.hex(" ") in text
    assert write_grant(Grant(why_not="it is used")).hex(" ") in text


def test_a_wish_is_for_the_key_that_has_signed_it():
    assert read_wish(WISH, issuer=ISSUER.id, asker=ASKER.id) == OWNER.public_key


@pytest.mark.parametrize(
    ("issuer", "asker"), [(ISSUER, OWNER), (OWNER, ASKER), (ASKER, ISSUER)], ids=["asker", "issuer", "both"]
)
def test_a_wish_that_was_overheard_is_of_use_to_nobody_else(issuer: Identity, asker: Identity):
    with pytest.raises(AuthenticationError, match="has not shown that the key is theirs"):
        read_wish(WISH, issuer=issuer.id, asker=asker.id)


@given(position=st.integers(0, len(WISH) - 1), value=st.integers(0, 255))
def test_a_wish_with_any_other_byte_is_refused(position: int, value: int):
    changed = WISH[:position] + bytes([value]) + WISH[position + 1 :]
    if changed != WISH:
        with pytest.raises(RemoteProtocolError):
            read_wish(changed, issuer=ISSUER.id, asker=ASKER.id)


@given(st.binary(max_size=200))
def test_garbage_is_neither_wish_nor_grant(data: bytes):
    with pytest.raises(RemoteProtocolError):
        read_wish(data, issuer=ISSUER.id, asker=ASKER.id)
    try:
        grant = read_grant(data)
    except RemoteProtocolError:
        return
    assert len(grant.why_not) <= MAX_WHY_CHARACTERS


def test_a_grant_comes_as_it_was_given_and_long_reasons_are_cut():
    assert read_grant(write_grant(Grant(b"wire"))) == Grant(b"wire")
    assert read_grant(write_grant(Grant(why_not="x" * 1000))).why_not == "x" * MAX_WHY_CHARACTERS
    with pytest.raises(RemoteProtocolError):
        read_grant(write_grant(Grant(bytes(3000))))
