"""Two exits for one key: who is chosen, who takes over, and what is left of those that were not."""

import errno
from typing import Any

import msgspec
import pytest

from actors.connections.connection_end import ConnectionEnd
from mesh.addresses import TcpAddress
from mesh.config.schema import ConnectionsSection, EndpointSection, HealthCheckSection
from mesh.connection.candidates import MAX_SET_ASIDE_S
from mesh.connection.patience import HEDGE_AFTER_S
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, MeshWorld, mesh_world

OPEN_TIMEOUT_S = 10.0


@pytest.fixture
def mesh():
    with mesh_world(1) as mesh:
        yield mesh


def company(mesh: MeshWorld, *, far_second: bool = False, **endpoint: Any) -> None:
    """Two exits, ``one`` and ``two``, each with a service of its own; ``two`` one hop further where told so.

    What else is named holds for the endpoint of ``one``.
    """
    mesh.plan("branch", listeners={KEY: LISTEN_PORT})
    mesh.plan("relay", peers=["branch"])
    for name, peer in (("one", "branch"), ("two", "relay" if far_second else "branch")):
        target = TcpAddress(f"service-{name}", SERVICE_PORT)
        section = EndpointSection(key=KEY, target=target, **(endpoint if name == "one" else {}))
        mesh.plan(name, peers=[peer], endpoint_sections=[section])
        mesh.serve(f"service-{name}")
    mesh.start()
    mesh.converge()


class Talks:
    """Clients, numbered."""

    def __init__(self, mesh: MeshWorld) -> None:
        self.mesh = mesh
        self.number = 0

    def begin(self, pace: Pace = Pace()) -> Any:  # noqa: B008
        self.number += 1
        return self.mesh.converse(Terms(self.number, 100, 100), pace)

    def one(self, limit_s: float = 20.0) -> float:
        """A whole conversation; the seconds it took."""
        talk = self.begin()
        took_s = self.mesh.run_until(lambda: talk.heard.is_over, limit_s)
        assert talk.heard.is_complete, talk.heard
        return took_s

    def refused(self) -> int:
        """A conversation that cannot be; ``errno`` at the client."""
        talk = self.begin()
        self.mesh.run_until(lambda: talk.heard.is_over, 20.0)
        return talk.heard.error or talk.heard.refused


LASTING = Pace(byte_count=1, pause_s=1.0)
"""A client that takes two minutes over its request."""


def meter(mesh: MeshWorld, name: str, what: str) -> int:
    return getattr(mesh.plans[name].meters, what)


def served(mesh: MeshWorld) -> tuple[int, int]:
    return meter(mesh, "one", "opens_answered"), meter(mesh, "two", "opens_answered")


def connections_at(mesh: MeshWorld, name: str) -> tuple[int, int]:
    """Connections that an exit has, and sockets that its service has beside its port."""
    return len(mesh.actors_on(name, ConnectionEnd)), mesh.world.open_sockets(f"service-{name}") - 1


def test_equals_share_the_work(mesh):
    company(mesh)
    talks = Talks(mesh)
    for _ in range(20):
        assert talks.one() < 0.1
    assert served(mesh) == (10, 10)
    mesh.finish()


def test_the_nearest_does_all_the_work(mesh):
    company(mesh, far_second=True)
    talks = Talks(mesh)
    for _ in range(20):
        talks.one()
    assert served(mesh) == (20, 0)
    mesh.finish()


def test_a_target_that_refuses_costs_clients_nothing_and_has_them_back_when_it_is_up(mesh):
    company(mesh, far_second=True)
    talks = Talks(mesh)
    mesh.world.crash("service-one")
    assert max(talks.one() for _ in range(50)) < 0.1
    assert meter(mesh, "one", "opens_rejected") <= 3  # the first, and one each time it is looked at again
    assert meter(mesh, "branch", "candidates_set_aside") == meter(mesh, "one", "opens_rejected")
    mesh.serve("service-one")
    mesh.run(MAX_SET_ASIDE_S)
    before = served(mesh)
    for _ in range(10):
        talks.one()
    assert served(mesh) == (before[0] + 10, before[1])
    assert mesh.log.count("serves again") == 1
    mesh.finish()


def test_a_silent_exit_is_hedged_and_then_left_alone(mesh):
    company(mesh, far_second=True)
    talks = Talks(mesh)
    talks.one()
    mesh.world.pause("one")
    first = talks.begin()
    mesh.run(0.01)
    beside = talks.begin()
    took_s = mesh.run_until(lambda: first.heard.is_over and beside.heard.is_over, 5.0)
    assert first.heard.is_complete
    assert beside.heard.is_complete
    assert HEDGE_AFTER_S <= took_s < HEDGE_AFTER_S + 0.1
    assert mesh.log.count("sets") == 1
    assert talks.one() < 0.1
    mesh.world.resume("one")
    mesh.run(OPEN_TIMEOUT_S + 2.0)
    assert connections_at(mesh, "one") == (0, 0)
    mesh.finish()


@pytest.mark.parametrize("why", ["a target that is silent", "an agent that hangs"])
def test_an_exit_that_comes_later_serves_the_client_that_waits(mesh, why):
    company(mesh)
    mesh.crash("two")
    mesh.run(1.0)
    if why == "an agent that hangs":
        mesh.world.pause("one")
    else:
        mesh.network.cut("one", "service-one")
    talk = Talks(mesh).begin()
    mesh.run(2.0)
    assert not talk.heard.is_over
    mesh.start("two")
    mesh.run_until(lambda: talk.heard.is_over, 20.0)
    assert talk.heard.is_complete, talk.heard
    assert meter(mesh, "two", "opens_answered") == 1
    mesh.world.resume("one")
    mesh.network.heal("one", "service-one")
    mesh.run(OPEN_TIMEOUT_S)
    mesh.finish()


def test_of_exits_that_are_far_away_each_client_opens_one_only(mesh):
    for name in ("one", "two"):
        mesh.network.shape("branch", name, latency_s=0.3)
    company(mesh)
    talks = Talks(mesh)
    for _ in range(10):
        talks.one()
    assert sum(served(mesh)) == 10
    assert meter(mesh, "branch", "candidates_set_aside") == 0
    mesh.finish()


@pytest.mark.parametrize("lasts", [True, False], ids=["while the winner lasts", "after the winner has ended"])
def test_a_hedge_that_lost_leaves_nothing_at_its_exit_or_target(mesh, lasts):
    company(mesh, far_second=True)
    talks = Talks(mesh)
    mesh.network.cut("one", "service-one")
    winner = talks.begin(LASTING if lasts else Pace())
    mesh.run(2.0)
    assert served(mesh) == (0, 1)
    assert winner.heard.is_over is not lasts
    mesh.network.heal("one", "service-one")
    mesh.run_until(lambda: served(mesh) == (1, 1), 5.0)  # the loser has reached its target, and accepts
    # With the winner's end there, it is reset at once; else it is never confirmed.
    mesh.run(0.1 if lasts else OPEN_TIMEOUT_S + 1.0)
    assert connections_at(mesh, "one") == (0, 0)
    mesh.run_until_said(200.0)
    assert winner.heard.is_complete
    mesh.finish()


def test_a_hedge_that_lost_and_never_reaches_its_target_leaves_nothing(mesh):
    company(mesh, far_second=True)
    mesh.network.cut("one", "service-one")
    assert HEDGE_AFTER_S <= Talks(mesh).one() < HEDGE_AFTER_S + 0.1
    mesh.run(OPEN_TIMEOUT_S + 2.0)
    assert connections_at(mesh, "one")[0] == 0
    assert not mesh.network.attempts
    mesh.network.heal("one", "service-one")
    mesh.finish()


def test_an_exit_that_dies_while_it_is_asked_is_followed_at_once(mesh):
    company(mesh, far_second=True)
    mesh.network.shape("branch", "one", latency_s=0.1)
    talk = Talks(mesh).begin()
    mesh.run(0.05)
    mesh.crash("one")
    took_s = mesh.run_until(lambda: talk.heard.is_over, 5.0)
    assert talk.heard.is_complete
    assert took_s < 0.2  # 0.1 s until the link's reset has arrived
    mesh.finish()


def test_when_all_have_failed_the_first_to_be_back_serves_the_next_client(mesh):
    company(mesh, far_second=True)
    talks = Talks(mesh)
    for name in ("one", "two"):
        mesh.world.crash(f"service-{name}")
    assert [talks.refused() for _ in range(5)] == [errno.ECONNRESET] * 5
    mesh.serve("service-two")
    assert talks.one() < 0.1
    mesh.serve("service-one")
    mesh.run(MAX_SET_ASIDE_S)
    before = served(mesh)
    talks.one()
    assert served(mesh) == (before[0] + 1, before[1])
    mesh.finish()


def test_all_candidates_have_their_turn_in_a_short_time_budget(mesh):
    company(mesh, far_second=True)
    plan = mesh.plans["branch"]
    config = msgspec.structs.replace(plan.setup.config, connections=ConnectionsSection(open_timeout_s=0.4))
    plan.setup = msgspec.structs.replace(plan.setup, config=config)
    mesh.restart("branch")
    mesh.converge()
    mesh.network.cut("one", "service-one")
    assert 0.1 <= Talks(mesh).one() < 0.2
    mesh.network.heal("one", "service-one")
    mesh.finish()


def test_a_full_endpoint_has_exactly_its_number_and_others_take_the_rest(mesh):
    company(mesh, far_second=True, max_connections=3)
    talks = Talks(mesh)
    lasting = [talks.begin(LASTING) for _ in range(8)]
    mesh.run(2.0)  # rejections are kept for a second
    assert connections_at(mesh, "one") == (3, 3)
    assert connections_at(mesh, "two") == (5, 5)
    assert meter(mesh, "one", "opens_denied") >= 1
    assert mesh.log.count("endpoint my-api is at max_connections (3)") == 1
    mesh.run_until_said(200.0)
    assert all(talk.heard.is_complete for talk in lasting)
    mesh.run(MAX_SET_ASIDE_S)
    before = served(mesh)
    for _ in range(5):
        talks.one()
    assert served(mesh)[0] == before[0] + 5
    mesh.finish()


def test_a_target_that_refuses_holds_no_place_at_its_endpoint(mesh):
    company(mesh, far_second=True, max_connections=1)
    talks = Talks(mesh)
    mesh.world.crash("service-one")
    mesh.crash("two")
    mesh.run(1.0)
    assert [talks.refused() for _ in range(5)] == [errno.ECONNRESET] * 5
    mesh.serve("service-one")
    assert talks.one() < 0.1
    assert meter(mesh, "one", "opens_denied") == 0


def test_a_health_check_withdraws_the_key_and_brings_it_back(mesh):
    check = HealthCheckSection(interval_s=1.0, timeout_s=0.5, unhealthy_after=3, healthy_after=2)
    company(mesh, far_second=True, health_check=check)
    talks = Talks(mesh)
    lasting = talks.begin(LASTING)
    mesh.run(0.5)
    assert connections_at(mesh, "one") == (1, 1)

    def exits() -> list[Any]:
        return [each.agent_id for each in mesh.snapshot("branch").candidates[KEY]]

    one, two = mesh.id_of("one"), mesh.id_of("two")
    assert exits() == [one, two]
    mesh.network.cut("one", "service-one")
    mesh.run(4.5)
    assert exits() == [two]
    rejected = meter(mesh, "one", "opens_rejected")
    assert talks.one() < 0.1
    assert meter(mesh, "one", "opens_rejected") == rejected  # nobody asks it any more
    assert not lasting.heard.is_over
    mesh.network.heal("one", "service-one")
    mesh.run(3.5)
    assert exits() == [one, two]
    mesh.run_until_said(200.0)
    assert lasting.heard.is_complete
    mesh.run(0.5)
    assert meter(mesh, "one", "endpoints_withdrawn") == 1
