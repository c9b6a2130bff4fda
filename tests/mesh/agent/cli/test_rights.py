"""What is granted, as people write it and as they are told."""

import pytest

from mesh.agent.cli.rights import Rights, parse_rights, told


def test_nothing_is_granted_that_is_not_named():
    assert parse_rights("relay") == Rights(relay=True)
    assert parse_rights("use=a:use=b:register=c:manage") == Rights(("c",), ("a", "b"), manage=True)
    assert parse_rights("use=a:all") == Rights.everything()


@pytest.mark.parametrize(
    ("rights", "sentence"),
    [
        (Rights(), "x may neither offer nor use a key; it carries nobody's traffic."),
        (Rights(relay=True), "x may neither offer nor use a key; it carries others' traffic."),
        (Rights(use=("*",)), "x may use any key; it carries nobody's traffic."),
        (
            Rights(("a", "b-*"), ("c",), relay=True),
            "x may offer a, b-* and use c; it carries others' traffic.",
        ),
        (Rights(manage=True), "x may manage other agents; it carries nobody's traffic."),
    ],
)
def test_who_may_what_is_told_in_a_sentence(rights, sentence):
    assert told("x", rights) == sentence
