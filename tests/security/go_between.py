"""A hostile relay between two agents: the shorter way, which passes on what it likes."""

import contextlib

from mesh.routing.records import Neighbour
from scripts.lab.waiting import wait_until
from tests.security.hostile import HOPS, Credentials, Member


class GoBetween:
    """Linked to both; a member with the right to relay.

    ``passes(frame)`` says whether a frame is to be passed on.
    """

    def __init__(self, one, other, authority, name="short-cut"):
        self.agents = (one, other)
        self.credentials = Credentials(authority, name, relay=True)
        self.passes = lambda frame: True
        self.seen = []
        self.kept = 0
        """How many frames it did not pass on."""
        self.links = {}
        for agent in self.agents:
            self.link(agent)

    def link(self, agent):
        """Link to an agent, again where that has restarted."""
        if former := self.links.pop(agent.identity.id, None):
            former.close()
        self.links[agent.identity.id] = Member(agent, self.credentials, on_frame=self._take)

    def _take(self, link, frame):
        self.seen.append(frame)
        onwards = self.links.get(frame.destination)
        if onwards is None or onwards is link:
            return
        if self.passes(frame):
            onwards.try_to_send(frame.after_a_hop(HOPS))
        else:
            self.kept += 1

    def advertise(self):
        """Say that it is linked to both."""
        neighbours = tuple(Neighbour(agent.identity.id, 0) for agent in self.agents)
        record = self.credentials.record(neighbours=neighbours)
        for link in self.links.values():
            with contextlib.suppress(OSError):
                link.tell(record)

    def wait_until_it_is_the_way(self, key):
        """Until connections of the first agent go through it."""
        self.advertise()
        one, name = self.agents[0], self.credentials.name
        wait_until(
            lambda: any(name in route["path_display"] for route in one.routes(key)),
            f"{one.name} goes by way of {name}",
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for link in self.links.values():
            link.close()
