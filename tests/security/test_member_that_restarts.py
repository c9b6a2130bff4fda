"""A member that starts anew without end, so that who shows it something speaks for it: simulated."""

import os

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.routing.granted_offers import CHANGE_BURST, CHANGE_RATE
from mesh.trust.identity import INSTANCE_BYTES, Instance
from mesh.trust.noise.primitives import key_pair
from scripts.simulation.conversation import Terms
from scripts.simulation.world import SERVICE_PORT
from tests.security.simulated import SimulatedMember
from tests.simulation.mesh_world import KEY, LISTEN_PORT, mesh_world

GRANTED = EndpointSection(key=KEY, target=TcpAddress("service", SERVICE_PORT), visibility="granted")
SECONDS = 20


def test_who_shows_it_something_speaks_seldom_for_it():
    with mesh_world(seed=13) as mesh:
        owners = ("hq", "other")
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
        mesh.plan("relay")
        for name in owners:
            mesh.plan(name, peers=["relay"], endpoint_sections=[GRANTED])
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        SimulatedMember.start(
            mesh.world.dispatcher("mallory"), peer="relay", authority=mesh.identity("authority"), use=("*",)
        )
        (made,) = mesh.actors_on("mallory", SimulatedMember)
        mesh.run_until(lambda: made.wire.is_up, 10.0)
        mesh.run(10.0)

        def said():
            records = mesh.snapshot("branch").records
            return [records[mesh.id_of(name)].body.sequence for name in owners]

        before = said()
        for _ in range(2 * SECONDS):
            made.credentials.epoch += 1
            anew = Instance(os.urandom(INSTANCE_BYTES))
            made.tell(instance=anew, session_key=key_pair(os.urandom(32)).public)
            mesh.run(0.5)
        most = 2 * (CHANGE_BURST + CHANGE_RATE * SECONDS) + 3
        assert all(after - start <= most for after, start in zip(said(), before, strict=True))
        mesh.converse(Terms(1, 1_000, 1_000))
        mesh.run_until_said(60.0)
        mesh.assert_all_complete()
