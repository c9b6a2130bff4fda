"""Agents of different builds in one mesh: features that not all have, and the next version of the links."""

import logging

import pytest
from msgspec import structs

from mesh.addresses import TcpAddress
from mesh.link.opening import Versions
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

NEXT = Versions(1, 2)
ONLY_NEXT = Versions(2, 2)


def rebuild(mesh, name, **changes):
    """Let an agent stand for another build."""
    plan = mesh.plans[name]
    plan.setup = structs.replace(plan.setup, **changes)


def plan_three(mesh):
    mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
    mesh.plan("relay")
    mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
    mesh.serve("service")


@pytest.mark.parametrize("of_the_next", [("relay",), ("branch", "hq"), ("branch", "relay", "hq")])
def test_builds_that_differ_link_and_carry_data_together(of_the_next, caplog):
    caplog.set_level(logging.DEBUG, logger="mesh.links")
    with mesh_world(1) as mesh:
        plan_three(mesh)
        for name in of_the_next:
            rebuild(mesh, name, versions=NEXT)
        rebuild(mesh, "branch", features=("branch-only", "shared"))
        rebuild(mesh, "relay", features=("shared", "relay-only"))
        mesh.start()
        mesh.converge()
        mesh.converse(Terms(1, 500_000, 500_000))
        mesh.run_until_said(20.0)
        mesh.assert_all_complete()
        mesh.finish()
        text = caplog.text
    version = 2 if len(of_the_next) == 3 else 1
    for peer, features in (("relay", "shared"), ("branch", "shared"), ("hq", "none")):
        assert f"link to {peer}: version {version}, features: {features}" in text
    assert f"version {3 - version}" not in text


def test_an_agent_without_a_common_version_is_refused_with_a_clear_text_at_both_ends():
    with mesh_world(1) as mesh:
        plan_three(mesh)
        mesh.plan("late", peers=["relay"])
        rebuild(mesh, "late", versions=ONLY_NEXT)
        mesh.start()
        mesh.run(10.0)
        assert set(mesh.peers("relay")) == {"branch", "hq"}
        told = "link refused: the other side speaks link protocol version"
        assert mesh.log.of("late", f"{told} 1, this agent version 2")
        assert mesh.log.of("relay", f"{told} 2, this agent version 1")
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(10.0)
        mesh.assert_all_complete()
        mesh.crash("late")
        mesh.finish()
