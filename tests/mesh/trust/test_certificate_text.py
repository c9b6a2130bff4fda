"""Certificates as text for files."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.trust.certificate_text import certificate_from_text, certificate_to_text
from tests.mesh.trust.certificate_company import WIRE

TEXT = certificate_to_text(WIRE)
BODY_LINES = TEXT.splitlines()[1:-1]


def test_the_text_form_is_armoured_base64():
    lines = TEXT.splitlines()
    assert lines[0] == "-----BEGIN MESH CERTIFICATE-----"
    assert lines[-1] == "-----END MESH CERTIFICATE-----"
    assert TEXT.endswith("\n")
    assert all(len(line) == 64 for line in lines[1:-2])
    assert base64.b64decode("".join(lines[1:-1])) == WIRE


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.strip(),
        TEXT.replace("\n", "\r\n"),
        f"The certificate of branch:\n\n{TEXT}\nValid for a day.\n",
        TEXT.replace("\n", "\n  "),
    ],
    ids=["plain", "stripped", "CRLF", "text around it", "indented"],
)
def test_the_text_form_is_read_back(text: str):
    assert certificate_from_text(text) == WIRE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a certificate that starts with the line"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BEGIN MESH CERTIFICATE"),
        (TEXT.replace("-----END MESH CERTIFICATE-----", ""), "cut off"),
        (TEXT + TEXT, "found several"),
        (TEXT.replace(BODY_LINES[0], "!" * 64), "damaged"),
        (TEXT.replace(BODY_LINES[0], "é" * 64), "damaged"),
        (TEXT.replace(BODY_LINES[1], BODY_LINES[1][:-1]), "damaged"),
        (TEXT.replace(BODY_LINES[-1], ""), "malformed certificate"),
        (TEXT.replace("".join(f"{line}\n" for line in BODY_LINES), ""), "malformed certificate"),
        (certificate_to_text(bytes(3000)), "3000 bytes, at most 2048"),
    ],
)
def test_other_text_says_what_is_wrong(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        certificate_from_text(text)


@given(text=st.text(max_size=200), inside=st.booleans())
def test_garbage_is_a_value_error(text: str, inside: bool):
    if inside:
        text = f"-----BEGIN MESH CERTIFICATE-----\n{text}\n-----END MESH CERTIFICATE-----\n"
    with pytest.raises(ValueError, match="certificate"):
        certificate_from_text(text)
