"""What host names mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.socks.names import Wanted, host_of, meaning, meanings

OFFERED = {
    "ssh": {"hq", "branch.office"},
    "ssh.hq": {"other"},
    "db.main": {"hq"},
    "web": {"a b"},
    "mesh": {"hq"},
}


def is_offered(wanted):
    agents = OFFERED.get(wanted.key, set())
    return wanted.agent in agents if wanted.agent else bool(agents)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("ssh", Wanted("ssh")),
        ("ssh.mesh", Wanted("ssh")),
        ("ssh.mesh.", Wanted("ssh")),
        ("db.main", Wanted("db.main")),
        ("db.main.mesh", Wanted("db.main")),
        ("db.main.hq.mesh", Wanted("db.main", "hq")),
        ("ssh.branch.office.mesh", Wanted("ssh", "branch.office")),
        ("ssh.branch.office", Wanted("ssh", "branch.office")),
        ("ssh.hq.mesh", Wanted("ssh.hq")),  # a key first
        ("ssh.hq.other.mesh", Wanted("ssh.hq", "other")),
        ("web.a b.mesh", Wanted("web", "a b")),
        ("mesh", Wanted("mesh")),
        ("ssh.nobody.mesh", None),
        ("SSH.mesh", None),
        ("example.com", None),
        (".mesh", None),
        (".", None),
        ("..", None),
    ],
)
def test_a_name_means_what_the_mesh_offers(host, wanted):
    assert meaning(host, is_offered) == wanted


@given(st.text(max_size=255))
def test_any_name_means_few_things(host):
    found = list(meanings(host))
    assert len(found) <= host.count(".") + 1
    assert all(wanted.key and wanted.agent for wanted in found[1:])


@given(st.text("ab.", min_size=1, max_size=9), st.text("ab", min_size=1, max_size=9))
def test_what_is_asked_for_is_among_its_meanings(key, agent):
    assert Wanted(key, agent) in list(meanings(host_of(key, agent)))
