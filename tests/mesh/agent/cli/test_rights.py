"""What is granted, as people write it and as they are told."""

import pytest

from mesh.agent.cli.rights import ANY_ISSUED, Rights, parse_limits, parse_rights, told
from mesh.trust.issuing import IssuingLimits


def test_nothing_is_granted_that_is_not_named():
    assert parse_rights("relay") == Rights(relay=True)
    assert parse_rights("use=a:use=b:register=c:manage") == Rights(("c",), ("a", "b"), manage=True)
    assert parse_rights("use=a:all") == Rights.everything()
    assert parse_rights("group=a:issue:group=b") == Rights(groups=("a", "b"), issue=ANY_ISSUED)


def test_what_an_issuer_may_grant_is_named_right_by_right():
    assert parse_limits(("use=a:b", "group=x-*"), 60) == IssuingLimits(60, (), ("a:b",), groups=("x-*",))
    everything = parse_limits(("all",), 60)
    assert everything == IssuingLimits(60, ("*",), ("*",), may_relay=True, may_manage=True, groups=("*",))
    assert parse_limits(everything.rights, 60) == everything
    assert not ANY_ISSUED.may_manage


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
        (
            Rights.everything(),
            (
                "x may do everything: offer and use any key, carry others' traffic and manage other agents. "
                "That is for a try-out."
            ),
        ),
        (
            Rights(groups=("a", "b"), issue=IssuingLimits(129_600)),
            (
                "x may neither offer nor use a key; it carries nobody's traffic. Its groups: a, b. "
                "It lets others in, for 1.5 days at a time, and may let them do nothing."
            ),
        ),
        (Rights(manage=True), "x may manage other agents; it carries nobody's traffic."),
    ],
)
def test_who_may_what_is_told_in_a_sentence(rights, sentence):
    assert told("x", rights) == sentence
