"""Tokens in a configuration: what they are for, when they end, and where they are needed."""

import math

import pytest

from mesh.config import ConfigError
from tests.mesh.config.test_loading import parse

HASH = "d6" * 32


def token(more=""):
    return f"http: {{address: '0.0.0.0:8080', tokens: [{{name: a, hash: {HASH}{more}}}]}}"


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("2027-03-01T12:00:00Z", 1_803_902_400.0),
        ("2027-03-01T14:00:00+02:00", 1_803_902_400.0),
        ("2027-03-01", 1_803_859_200.0),
    ],
)
def test_a_token_has_an_end(text, unix_s):
    for written in (text, f'"{text}"'):
        (found,) = parse(token(f", expires: {written}")).http.tokens
        assert found.expires_unix_s == unix_s


def test_one_without_is_for_changes_and_for_ever():
    (found,) = parse(token()).http.tokens
    assert (found.scope, found.expires_unix_s) == ("change", math.inf)
    assert parse(token(", scope: read")).http.tokens[0].scope == "read"


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2027-13-01",
        "2027-03-01T12:00:00",
        "2027-03-01T12",
        "30d",
        "1803902400",
        '""',
        "'0001-01-01T00:00:00+05:00'",
        "'9999-12-31T23:59:59-05:00'",
    ],
)
def test_what_is_no_moment_is_told(text):
    with pytest.raises(ConfigError, match=r"tokens\[0\].expires: found .*; expected a moment"):
        parse(token(f", expires: {text}"))


def test_what_is_no_scope_is_told():
    with pytest.raises(ConfigError, match=r"tokens\[0\].scope: found .write.*expected .*read"):
        parse(token(", scope: write"))


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "*:8080", "10.0.0.1:8080", "[::]:8080"])
def test_nobody_comes_from_elsewhere_without_one(address):
    with pytest.raises(ConfigError, match=r":1: http.address: found .* and no http.tokens; expected tokens"):
        parse(f"http: {{address: '{address}'}}")


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "localhost:80", ":8080", "[::1]:80", "127.0.0.9:80"])
def test_on_loopback_none_is_needed(address):
    assert parse(f"http: {{address: '{address}'}}").http.tokens == ()
