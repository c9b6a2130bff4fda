"""All stands still for a moment, and nothing is lost: connections go on, and nobody is avoided for long."""

import pytest

from actors.connections.connection_table import ConnectionTable
from mesh.routing.detours import SHORT_SUSPICION_S
from tests.simulation.mesh_world import mesh_world
from tests.simulation.test_sinkholes import open_talk, suspected, two_paths

STOOD_STILL_S = 1.5


def avoided(mesh):
    """First hops that new connections go round now."""
    return [
        pair
        for name in mesh.plans
        for pair, suspicion in mesh.actors_on(name, ConnectionTable)[0]._detours._suspicions.items()
        if mesh.world.now() < suspicion.until
    ]


def suspend(host):
    """A laptop that is closed and opened again."""
    return lambda mesh: mesh.world.pause(host), lambda mesh: mesh.world.resume(host)


def stall(*pairs):
    """A radio link that changes its cell."""
    return (
        lambda mesh: [mesh.network.cut(*pair) for pair in pairs],
        lambda mesh: [mesh.network.heal(*pair) for pair in pairs],
    )


ONE_LINK, ALL_LINKS = [("branch", "shortcut")], [("branch", "shortcut"), ("branch", "near")]


@pytest.mark.parametrize(
    ("stop", "go_on"),
    [suspend("branch"), suspend("shortcut"), suspend("hq"), stall(*ONE_LINK), stall(*ALL_LINKS)],
    ids=["ingress", "relay", "exit", "link", "all links of the ingress"],
)
def test_a_moments_standstill_costs_a_detour_and_no_more(stop, go_on):
    with mesh_world(1) as mesh:
        two_paths(mesh)
        for number in (1, 2, 3):
            open_talk(mesh, number)
        mesh.run(2.0)
        stop(mesh)
        mesh.run(STOOD_STILL_S)
        go_on(mesh)
        mesh.run(1.0)
        assert suspected(mesh) <= 1
        assert bool(avoided(mesh)) == bool(suspected(mesh))
        mesh.run(SHORT_SUSPICION_S)
        assert not avoided(mesh)
        mesh.run_until_said(60.0)
        mesh.assert_all_complete()
        mesh.finish()
