"""Whatever policies change to: soon nothing forbidden is carried, and what is allowed works."""

import random

import pytest

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world, three_agents

CHANGES = 8
IN_TIME_S = 1.0
SERVICE = TcpAddress("service", SERVICE_PORT)
PATTERNS = ("*", "my-*", "other")
LISTS = ((), ("branch", "hq"), ("group:dba", "x"), ("somebody",))
GROUPS = ((), ("dba",), ("ops", "dba"))


class Policed:
    """A chain whose ends' policies change; ``allows`` is what they come to, worked out by itself."""

    def __init__(self, mesh, draw):
        self.mesh, self.draw = mesh, draw
        self.said = {
            "use": "*",
            "register": "*",
            "allow": (),
            "agents": (),
            "groups of branch": (),
            "groups of hq": (),
        }

    def change(self):
        what = self.draw.choice(sorted(self.said))
        choices = LISTS if what in ("allow", "agents") else GROUPS if "groups" in what else PATTERNS
        self.said[what] = self.draw.choice(choices)
        said, mesh = self.said, self.mesh
        if what == "allow":
            mesh.reconfigure("hq", endpoints=(EndpointSection(key=KEY, target=SERVICE, allow=said[what]),))
        elif what == "agents":
            place = TcpAddress("", LISTEN_PORT)
            section = ListenerSection(key=KEY, address=place, agents=said[what])
            mesh.reconfigure("branch", listeners=(section,))
        elif what in ("use", "groups of branch"):
            mesh.certify("branch", may_use=[said["use"]], groups=said["groups of branch"])
        else:
            mesh.certify("hq", may_register=[said["register"]], groups=said["groups of hq"])

    @property
    def allows(self):
        said = self.said
        lists = (("allow", "branch"), ("agents", "hq"))
        return (
            said["use"] != "other"
            and said["register"] != "other"
            and all(self._means(said[name], agent) for name, agent in lists)
        )

    def _means(self, listed, agent):
        groups = {f"group:{group}" for group in self.said[f"groups of {agent}"]}
        return not listed or agent in listed or bool(groups & set(listed))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_forbidden_goes_on_and_what_is_allowed_works(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        three_agents(mesh)
        policed = Policed(mesh, draw)
        held = None
        for number in range(CHANGES):
            if held is None and policed.allows:
                terms = Terms(2 * number, 10_000_000, 100)
                held = mesh.converse(terms, Pace(byte_count=1_000, pause_s=0.05)).heard
                mesh.run(1.0)
                assert held.sent
            policed.change()
            mesh.run(IN_TIME_S)
            if held is not None:
                assert held.is_over is not policed.allows, policed.said
                held = None if held.is_over else held
            short = mesh.converse(Terms(2 * number + 1, 100, 100)).heard
            mesh.run_until(lambda short=short: short.is_over, 15.0)
            assert short.is_complete is policed.allows, policed.said
