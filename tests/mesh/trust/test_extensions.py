"""What a later version may add to a certificate."""

from typing import Any

import msgspec
import pytest

from mesh.errors import TrustError
from mesh.trust.certificates import TrustStore, read_certificate
from mesh.trust.extensions import (
    MAX_EXTENSION_BYTES,
    MAX_EXTENSION_NAME_CHARACTERS,
    MAX_EXTENSIONS,
    Extension,
)
from tests.mesh.trust.certificate_company import AUTHORITY, NOON, SHORT_ID, WIRE, altered, sign

STORE = TrustStore([AUTHORITY.public_key])


def extended(*extensions: Any) -> bytes:
    return altered(extensions=extensions)


def test_one_that_is_not_critical_is_kept():
    longest = [f"{number}{'x' * (MAX_EXTENSION_NAME_CHARACTERS - 1)}" for number in range(MAX_EXTENSIONS)]
    several = [Extension(name, False, bytes(100)) for name in longest]
    assert STORE.admit(extended(*several), NOON).extensions == tuple(several)
    large = Extension("example.com.site", False, bytes(MAX_EXTENSION_BYTES))
    assert STORE.admit(extended(large), NOON).extensions == (large,)


def test_a_critical_one_that_is_not_known_refuses():
    wire = extended(Extension("fine", False, b""), Extension("no-nights", True, b"22-06"))
    says = (
        rf"'branch' \({SHORT_ID}\) has the critical extension 'no-nights', which this version does not know"
    )
    with pytest.raises(TrustError, match=says):
        STORE.admit(wire, NOON)
    assert read_certificate(wire).extensions[1].critical, "it can be shown all the same"


def test_none_comes_twice():
    with pytest.raises(TrustError, match="has the extension 'same' twice"):
        STORE.admit(extended(Extension("same", False, b"1"), Extension("same", False, b"2")), NOON)


def test_a_certificate_from_before_there_were_extensions_is_as_good():
    fields = msgspec.msgpack.decode(WIRE[64:])
    assert STORE.admit(sign(msgspec.msgpack.encode(fields[:9])), NOON).extensions == ()
    with pytest.raises(TrustError, match="malformed"):
        STORE.admit(sign(msgspec.msgpack.encode([*fields, b"an eleventh"])), NOON)


@pytest.mark.parametrize(
    "extensions",
    [
        [[str(number), False, b""] for number in range(MAX_EXTENSIONS + 1)],
        [["a", False, bytes(MAX_EXTENSION_BYTES + 1)]],
        [["a" * (MAX_EXTENSION_NAME_CHARACTERS + 1), False, b""]],
        [["", False, b""]],
        [["Two Words", False, b""]],
        [["a\n", False, b""]],
        [["a", 0, b""]],
        [["a", False]],
        [["a", False, b"", b""]],
        [["a", False, "text"]],
        {},
        [7],
    ],
)
def test_what_is_no_extension_is_malformed(extensions: Any):
    with pytest.raises(TrustError, match="malformed"):
        STORE.admit(altered(extensions=extensions), NOON)
