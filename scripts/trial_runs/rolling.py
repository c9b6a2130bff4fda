"""A ring of six whose relays are restarted one after another, in order (SIGTERM), under load."""

import time
from typing import Final

from scripts.trial_runs.clients import Load, Request, conversation, requests, transfers
from scripts.trial_runs.trial import MIB, Stage

AGENTS: Final = ("branch", "east-1", "east-2", "hq", "west-2", "west-1")
CONVERSATIONS: Final = 4
TRANSFER_BYTES: Final = 16 * MIB

RESTART: Final = "restart of a relay, until it is linked [s]"
LEAVING: Final = "leave-taking of a relay [s]"
SLOWEST: Final = "slowest request [s]"
REQUESTS: Final = "requests"
ECHO: Final = "longest wait of a long connection [s]"
ROUNDS: Final = "rounds on long connections"
STALL: Final = "longest wait of a transfer [s]"


def run(stage: Stage) -> None:
    """Requests, long conversations and transfers from branch to hq while each relay leaves and comes back."""
    ring = [stage.agent(name) for name in AGENTS]
    for position, agent in enumerate(ring):
        agent.dial(ring[(position + 1) % len(ring)])
    branch, hq = ring[0], ring[3]
    ports = {}
    for kind in ("web", "echo", "bulk"):
        _, target_port = stage.serve(kind, *(["hq"] if kind == "web" else []))
        hq.offer(kind, target_port)
        ports[kind] = branch.listen(kind)
    stage.mesh.start()
    neighbours = {
        agent: (ring[position - 1], ring[(position + 1) % len(ring)]) for position, agent in enumerate(ring)
    }
    for agent, beside in neighbours.items():
        agent.wait_for_peers(*beside)
    for kind in ports:
        branch.wait_for_route(kind, hq)
    load, done, echo_s, stalls_s = Load(stage.effort.rest_s), list[Request](), list[float](), list[float]()
    load.start(requests(ports["web"], ["hq"], done), stage.effort.clients)
    load.start(conversation(ports["echo"], echo_s), CONVERSATIONS)
    load.start(transfers(ports["bulk"], min(stage.effort.byte_count, TRANSFER_BYTES), stalls_s))
    try:
        time.sleep(stage.effort.load_s)
        relays = [agent for agent in ring if agent not in (branch, hq)]
        stage.draw.shuffle(relays)
        for relay in relays:
            began_at = time.monotonic()
            status = relay.stop()
            left_at = time.monotonic()
            if status:
                stage.fault(f"{relay.name} left with status {status}")
            relay.start(wait=False)
            for agent in (relay, *neighbours[relay]):
                agent.wait_for_peers(*neighbours[agent])
            stage.figure(LEAVING, left_at - began_at)
            stage.figure(RESTART, time.monotonic() - left_at)
        time.sleep(stage.effort.load_s)
    finally:
        load.stop()
    for failure in load.failures:
        stage.fault(f"a long connection or a transfer broke: {failure}")
    for one in done:
        if one.failure:
            stage.fault(f"a request failed: {one.failure}")
    stage.figure(SLOWEST, max((one.ended_at - one.began_at for one in done), default=0.0))
    stage.figure(REQUESTS, len(done))
    stage.figure(ECHO, max(echo_s, default=0.0))
    stage.figure(ROUNDS, len(echo_s))
    stage.figure(STALL, max(stalls_s, default=0.0))
