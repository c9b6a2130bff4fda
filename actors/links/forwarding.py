"""Passing frames on: from the link that brought them straight to the link that leads on."""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from actors.links.budgets import PeerBudgets
from actors.messages.peer_link import SendFrames
from actors.meters import Meters
from actors.peer_meters import PeerMeter
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.link.established import EstablishedLink
from mesh.link.frames import Frame, FrameType, turn_of_strays
from mesh.routing.routes import RouteSnapshot
from mesh.routing.straying import Straying
from mesh.routing.ways_back import WaysBack
from mesh.sampling import sampled
from mesh.trust.identity import NO_AGENT, AgentId, short_id
from mesh.trust.naming import named

log = logging.getLogger("mesh.links")

_OPEN: Final = FrameType.OPEN


class LinkForwarding:
    """The way on for what one link brings; it remembers nothing of what passes.

    Args:
        own: the link itself.
        meters: what the agent counts.
        max_hops: links that a frame may still cross, whatever it says; until there are routes, which say it.
        clock: monotonic seconds.
        budgets: what each peer may bring.
    """

    __slots__ = (
        "_budgets",
        "_clock",
        "_links",
        "_max_hops",
        "_meters",
        "_own",
        "_peer",
        "_straying",
        "_turn_of_strays",
        "_ways_back",
        "meter",
    )

    def __init__(
        self,
        own: Ref[SendFrames],
        meters: Meters,
        max_hops: int,
        clock: Callable[[], float],
        budgets: PeerBudgets,
    ) -> None:
        self._own = own
        self._meters = meters
        self._max_hops = max_hops
        self._clock = clock
        self._links: Mapping[AgentId, Ref[SendFrames]] = MappingProxyType({})
        self._peer = ""
        self._budgets = budgets
        self._ways_back = WaysBack(NO_AGENT, budgets.opens)
        self._straying = Straying(NO_AGENT, budgets.opens)
        self._turn_of_strays = turn_of_strays(NO_AGENT)
        self.meter = PeerMeter()
        """What the peer has brought counts there, once its link has been admitted."""

    def follow(
        self,
        links: Mapping[AgentId, Ref[SendFrames]],
        routes: RouteSnapshot | None,
        peer: EstablishedLink,
    ) -> None:
        """Take destination to the link that leads there, the routes that this is of, and who the peer is."""
        self._links = links
        if not self._peer:
            self._peer = named(peer.peer.name, peer.peer_id)
            self._ways_back = WaysBack(peer.peer_id, self._budgets.opens)
            self._straying = Straying(peer.peer_id, self._budgets.opens)
            self._turn_of_strays = turn_of_strays(peer.peer_id)
        self._ways_back.routes = routes
        if routes is not None:
            self._max_hops = routes.max_hops
        self._straying.follow(routes)

    def pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        """Tell the link that leads to ``destination`` to send these, a hop less to go.

        What goes no further, or where no other link leads, is dropped and counted.
        """
        meters = self._meters
        link = self._links.get(destination)
        if link is None or link is self._own:  # two agents that disagree would pass it to and fro
            meters.frames_unroutable += len(frames)
            return
        max_hops = self._max_hops
        passed = []
        byte_count = 0
        source, turn = NO_AGENT, b""  # most frames of one read come from one agent
        verdicts, of_strays = self._straying.verdicts, self._turn_of_strays
        for frame in frames:
            if frame.hop_limit <= 1:
                meters.frames_expired += 1
            elif frame.type != _OPEN or self._may_open(frame.source):
                if frame.astray:  # has been judged: it is to cost no search
                    passed.append(frame.after_a_hop(max_hops, of_strays))
                else:
                    if frame.source != source:
                        source = frame.source
                        is_astray = verdicts.get(source)
                        if is_astray is None:
                            is_astray = self._straying.is_astray(source, self._clock())
                        turn = of_strays if is_astray else b""
                    passed.append(frame.after_a_hop(max_hops, turn))
                byte_count += len(frame.body)
        if passed:
            meters.frames_forwarded += len(passed)
            meters.bytes_forwarded += byte_count
            self.meter.forwarded_bytes += byte_count
            tell_if_alive(link, SendFrames(tuple(passed)))

    def _may_open(self, source: AgentId) -> bool:
        now = self._clock()
        if self._ways_back.may_pass(source, now):
            return True
        self._meters.opens_held_back += 1
        if self._budgets.told.of(self._peer, now).take(now):
            log.warning(
                "too many requests for connections in the name of %(agent)s, to whom it is no way, "
                "come by peer %(peer)s; holding them back",
                {"agent": short_id(source), "peer": self._peer},
                extra=sampled(self._peer),
            )
        return False
