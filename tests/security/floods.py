"""What a member may flood a bottleneck with: each makes one frame, from the member to an exit."""

import itertools

from mesh.link.frames import OPENING_BODY_BYTES, FrameType
from mesh.trust.identity import AgentId
from tests.security.hostile import junk

numbers = itertools.count(1)


def short_data(own, hq):
    return junk(FrameType.DATA, own, hq, next(numbers), bytes(3900))


def many_flows(own, hq):
    number = next(numbers)
    return junk(FrameType.DATA, own, hq, number % 200, bytes(60_000), number=number)


def one_flow(own, hq):
    return junk(FrameType.DATA, own, hq, 1, bytes(60_000), number=next(numbers))


def openings(own, hq):
    return junk(FrameType.OPEN, own, hq, next(numbers), bytes(OPENING_BODY_BYTES))


def acknowledgements(own, hq):
    number = next(numbers)
    return junk(FrameType.ACK, own, hq, number, bytes(60), number=number)


def made_up_agents(own, hq):
    number = next(numbers)
    return junk(FrameType.DATA, AgentId(number.to_bytes(16, "big")), hq, number, bytes(3900))


FLOODS = {
    "short data of made-up connections": (short_data, False),
    "200 flows": (many_flows, False),
    "one flow that ignores marks": (one_flow, False),
    "openings": (openings, False),
    "acknowledgements": (acknowledgements, False),
    "data of made-up agents": (made_up_agents, True),
}
"""What makes a frame, and whether that takes the right to relay."""
