"""What either end of a connection asks of the other's certificate, reserved keys included."""

import pytest

from mesh.connection.rights import (
    INVITATION_ONLY,
    NO_MANAGING,
    why_not_allowed,
    why_not_at_exit,
    why_not_at_ingress,
)
from mesh.trust.certificates import Certificate
from mesh.trust.policy import Policy

NOTHING = Policy({}, {})
NAMED = Policy({"db": frozenset({"hq"})}, {"listener": frozenset({"hq"})})


def certificate(*, use=(), register=(), manage=False, name="laptop", invited=False):
    return Certificate(bytes(32), name, 0, 1, register, use, False, manage, bytes(32), is_invitation=invited)


@pytest.mark.parametrize(
    ("key", "granted", "policy", "why"),
    [
        ("db", {"use": ("d*",)}, NOTHING, ""),
        ("db", {"use": ("web",)}, NOTHING, "does not permit the use of this key"),
        ("db", {"use": ("d*",)}, NAMED, "this endpoint's allow: does not name laptop"),
        ("db", {"use": ("d*",), "name": "hq"}, NAMED, ""),
        ("mesh:echo", {}, NAMED, ""),
        ("mesh:bench:db", {"use": ("db",)}, NOTHING, ""),
        ("mesh:bench:db", {"use": ("db",)}, NAMED, "does not name laptop"),
        ("mesh:bench:db", {}, NOTHING, "does not permit"),
        ("mesh:control", {"manage": True}, NOTHING, ""),
        ("mesh:control", {"use": ("*",)}, NOTHING, NO_MANAGING),
        ("mesh:enrol", {}, NOTHING, ""),
        ("mesh:enrol", {"invited": True}, NOTHING, ""),
        ("mesh:echo", {"invited": True}, NOTHING, INVITATION_ONLY),
        ("mesh:bench:db", {"invited": True}, NOTHING, INVITATION_ONLY),
        ("db", {"invited": True}, NOTHING, "does not permit the use of this key"),
    ],
)
def test_an_exit_asks_for_the_key_that_is_spoken_of(key, granted, policy, why):
    found = why_not_at_exit(certificate(**granted), key, policy)
    assert (why in found) if why else not found


def test_a_name_cannot_forge_the_line_that_has_it():
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in why_not_allowed(
        certificate(name="\N{RIGHT-TO-LEFT OVERRIDE}"), "db", NAMED
    )


def test_an_ingress_asks_what_the_exit_may_offer_and_whom_the_listener_names():
    exit_ = certificate(register=("db",))
    assert not why_not_at_ingress(exit_, "db", "listener", NOTHING)
    assert "agents: does not name laptop" in why_not_at_ingress(exit_, "db", "listener", NAMED)
    assert not why_not_at_ingress(exit_, "db", "another listener", NAMED)
    assert "does not permit it to offer" in why_not_at_ingress(exit_, "web", "listener", NOTHING)
    assert not why_not_at_ingress(certificate(), "mesh:echo", "listener", NAMED)
