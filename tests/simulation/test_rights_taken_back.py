"""What a certificate or a configuration takes away ends within a second, open connections too."""

import pytest

from actors.runtime.virtual.world import UNIX_START_S
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.connection.endings import Ending
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import (
    KEY,
    LISTEN_PORT,
    SERVICE_PORT,
    diamond,
    mesh_world,
    three_agents,
    transit_of,
)

SERVICE = TcpAddress("service", SERVICE_PORT)
OWN = TcpAddress("", LISTEN_PORT)
IN_TIME_S = 1.0


@pytest.fixture
def mesh():
    with mesh_world(1) as mesh:
        yield mesh


def held(mesh):
    """A conversation that would go on for minutes."""
    conversation = mesh.converse(Terms(1, 2_000_000, 100), Pace(byte_count=1_000, pause_s=0.1))
    mesh.run(2.0)
    assert conversation.heard.sent
    assert not conversation.heard.is_over
    return conversation.heard


def is_broken_off(mesh, heard):
    mesh.run_until(lambda: heard.is_over, IN_TIME_S)
    return heard.is_over and bool(heard.error)


def endings(mesh, agent):
    meters = mesh.plans[agent].meters
    counts = (meters.listened if agent == "branch" else meters.served).of(KEY).endings
    return {ending for ending, count in counts.items() if count}


def restrict_use(mesh):
    mesh.certify("branch", may_use=["other-*"])


def restrict_register(mesh):
    mesh.certify("hq", may_register=["other-*"])


def disallow(mesh):
    section = EndpointSection(key=KEY, target=SERVICE, allow=("somebody",))
    mesh.reconfigure("hq", endpoints=(section,))


def disbelieve(mesh):
    section = ListenerSection(key=KEY, address=OWN, agents=("somebody",))
    mesh.reconfigure("branch", listeners=(section,))


TAKEN = {"use": restrict_use, "register": restrict_register, "allow": disallow, "agents": disbelieve}


@pytest.mark.parametrize("gate", TAKEN)
def test_a_right_that_is_taken_back_ends_open_connections_and_lets_no_other_begin(mesh, gate):
    three_agents(mesh)
    heard = held(mesh)
    TAKEN[gate](mesh)
    assert is_broken_off(mesh, heard)
    mesh.run(1.0)
    assert endings(mesh, "branch") == endings(mesh, "hq") == {Ending.FORBIDDEN}
    again = mesh.converse(Terms(2, 100, 100))
    mesh.run_until(lambda: again.heard.is_over, 15.0)
    assert again.heard.refused or again.heard.error
    mesh.assert_nothing_left()


def names(mesh, agent, *others):
    """Have the agent's endpoint or listener name these."""
    if agent == "hq":
        mesh.reconfigure(agent, endpoints=(EndpointSection(key=KEY, target=SERVICE, allow=others),))
    else:
        mesh.reconfigure(agent, listeners=(ListenerSection(key=KEY, address=OWN, agents=others),))


@pytest.mark.parametrize(("names_by", "renamed"), [("hq", "branch"), ("branch", "hq")])
def test_a_list_means_the_name_that_a_certificate_has_now(mesh, names_by, renamed):
    three_agents(mesh)
    names(mesh, names_by, "another", renamed)
    heard = held(mesh)
    mesh.certify(renamed, name="another")
    mesh.run(IN_TIME_S)
    assert not heard.is_over
    mesh.certify(renamed, name="a third")
    assert is_broken_off(mesh, heard)


@pytest.mark.parametrize(("names_by", "named"), [("hq", "branch"), ("branch", "hq")])
def test_a_group_means_whose_certificates_have_it_now(mesh, names_by, named):
    three_agents(mesh)
    mesh.certify(named, groups=["dba", "ops"])
    mesh.run(IN_TIME_S)
    names(mesh, names_by, "group:dba")
    heard = held(mesh)
    mesh.certify(named, groups=["dba"], name="renamed")
    mesh.run(IN_TIME_S)
    assert not heard.is_over
    mesh.certify(named, groups=["ops"])
    assert is_broken_off(mesh, heard)


@pytest.mark.parametrize("gate", TAKEN)
def test_a_change_that_takes_nothing_away_disturbs_nobody(mesh, gate):
    three_agents(mesh)
    heard = held(mesh)
    if gate in ("allow", "agents"):
        names(mesh, *(("hq", "branch") if gate == "allow" else ("branch", "hq")))
    else:
        rights = {"may_use": ["my-*"], "may_register": ["my-*"]}
        mesh.certify("branch" if gate == "use" else "hq", **rights)
    mesh.run(IN_TIME_S * 2)
    assert not heard.is_over
    assert not mesh.log.count("lets no")


@pytest.mark.parametrize(("agent", "other"), [("branch", "hq"), ("hq", "branch")])
def test_the_other_end_goes_with_the_certificate_of_either(mesh, agent, other):
    three_agents(mesh)
    ends_at = int(mesh.world.now()) + 6
    mesh.certify(agent, not_after=int(UNIX_START_S) + ends_at)
    held(mesh)
    meters = mesh.plans[other].meters
    meter = (meters.listened if other == "branch" else meters.served).of(KEY)
    assert meter.open_connections == 1
    mesh.run_until(lambda: not meter.open_connections, 30.0)
    assert ends_at - 0.01 < mesh.world.now() < ends_at + IN_TIME_S


def test_who_has_an_endpoint_and_its_listener_is_held_to_its_own_certificate(mesh):
    mesh.plan("branch", listeners={KEY: LISTEN_PORT}, endpoints={KEY: SERVICE})
    mesh.serve("service")
    mesh.start()
    mesh.run(1.0)
    heard = held(mesh)
    mesh.certify("branch", may_use=["other-*"])
    assert is_broken_off(mesh, heard)


def test_connections_go_another_way_once_a_relay_may_carry_them_no_more(mesh):
    diamond(mesh)
    heard = held(mesh)
    relay = transit_of(mesh)
    mesh.certify(relay, may_relay=False)
    mesh.run(IN_TIME_S)
    carried = mesh.plans[relay].meters.frames_forwarded
    mesh.run(5.0)
    assert mesh.plans[relay].meters.frames_forwarded == carried
    assert transit_of(mesh) != relay
    assert not heard.is_over


def test_nothing_is_carried_where_the_only_relay_may_not_any_more(mesh):
    three_agents(mesh)
    heard = held(mesh)
    mesh.certify("relay", may_relay=False)
    mesh.run(IN_TIME_S)
    carried = mesh.plans["relay"].meters.frames_forwarded
    mesh.run_until(lambda: heard.is_over, 60.0)
    assert heard.error
    assert mesh.plans["relay"].meters.frames_forwarded == carried
