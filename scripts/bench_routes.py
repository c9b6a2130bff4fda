"""What the mesh costs one agent, by its size: its records, and the computation of routes. See docs/SCALE.md.

python scripts/bench_routes.py --agents 100 1000 --links 3 --keys 10000
"""

import argparse
import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterable

import bootstrap

UNIX = 1_700_000_000
COLUMNS = (
    ("agents", 7, 0),
    ("keys", 7, 0),
    ("byte_count", 7, 0),
    ("held [KiB]", 11, 1),
    ("digest [KiB]", 13, 1),
    ("made [ms]", 10, 1),
    ("compared [ms]", 14, 1),
    ("taken [us]", 11, 0),
    ("copy [us]", 10, 1),
    ("whole [ms]", 11, 1),
    ("longest step [ms]", 18, 2),
    ("steps", 6, 0),
)
"""Title, width and digits."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time what records and routes cost on random graphs.")
    parser.add_argument("--agents", type=whole(2), nargs="+", default=[100, 300, 1000, 3000, 10_000])
    parser.add_argument("--links", type=whole(1), default=3, help="that each agent has on average (3)")
    parser.add_argument(
        "--keys", type=whole(0), default=10_000, help="in the whole mesh, offered twice each (10000)"
    )
    parser.add_argument("--rounds", type=whole(1), default=9)
    options = parser.parse_args()
    if options.links >= min(options.agents):
        parser.error(f"argument --links: {min(options.agents)} agents have at most {min(options.agents) - 1}")
    return options


def main(options: argparse.Namespace) -> None:
    """Print a line for each size.

    Of one record on average: its signed bytes, and the memory it holds. The digest of all: its size, the
    time to make it, and to compare it with an equal one. Of one record again: the time to take it in, and to
    know a copy. Medians over the rounds: the computation of routes, and its longest step.
    """
    gc.set_threshold(*GC_THRESHOLDS)  # as an agent does
    sys.stdout.write("".join(f"{title:>{width}}" for title, width, _ in COLUMNS) + "\n")
    for agents in options.agents:
        draw = random.Random(agents)  # noqa: S311 -- to be repeated, not secret
        wires = wires_of(agents, options.links, options.keys, draw)
        figures = agents, options.keys, *records_figures(wires), *routes_figures(wires, options.rounds)
        cells = zip(figures, COLUMNS, strict=True)
        sys.stdout.write("".join(f"{value:{width}.{digits}f}" for value, (_, width, digits) in cells) + "\n")
        sys.stdout.flush()


def records_figures(wires: "list[WireRecord]") -> tuple[float, ...]:
    """As the columns have it, up to the copy."""
    state = empty_state()
    taken_s = offer_s(state, wires)
    copy_s = offer_s(state, copies(wires))
    byte_count = sum(len(wire.signed) for wire in wires)
    began_at = time.thread_time()
    digests = [encode_digest(part) for part in batch_digest(state.digest())]
    made_at = time.thread_time()
    for digest in digests:
        state.newer_than(decode_digest(digest))
    compared_at = time.thread_time()
    tracemalloc.start()
    other = empty_state()
    offer_s(other, copies(wires))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    count = len(wires)
    return (
        byte_count / count,
        held / count / 1024,
        sum(map(len, digests)) / 1024,
        (made_at - began_at) * 1e3,
        (compared_at - made_at) * 1e3,
        taken_s / count * 1e6,
        copy_s / count * 1e6,
    )


def empty_state() -> "LinkState":
    """Of an agent beside the mesh."""
    return LinkState(
        NO_AGENT, TrustStore([AUTHORITY.public_key]), RecordReader(), ttl_s=RoutingSection().route_ttl_s
    )


def copies(wires: "list[WireRecord]") -> "Iterable[WireRecord]":
    """The same, as if read from a link each."""
    return (decode_records(encode_records(Records((wire,))))[0] for wire in wires)


def offer_s(state: "LinkState", wires: "Iterable[WireRecord]") -> float:
    """What it took to judge all."""
    took_s = 0.0
    for wire in wires:
        began_at = time.thread_time()
        state.offer(wire, 0.0, UNIX)
        took_s += time.thread_time() - began_at
    return took_s


def routes_figures(wires: "list[WireRecord]", rounds: int) -> tuple[float, ...]:
    """Milliseconds of the whole and of the longest step, and how many steps."""
    state = empty_state()
    offer_s(state, wires)
    own_id = next(iter(state.usable(UNIX)[0]))
    taken = [steps_s(own_id, state.usable(UNIX)[0]) for _ in range(rounds)]
    whole_s = statistics.median(sum(steps) for steps in taken)
    return whole_s * 1e3, statistics.median(max(steps) for steps in taken) * 1e3, len(taken[0])


def steps_s(own_id: "AgentId", records: "dict[AgentId, Record]") -> list[float]:
    """What each step of one computation took, in CPU seconds: other processes do not count."""
    taken = []
    steps = computing_routes(own_id, records, max_hops=64, version=1)
    is_over = False
    while not is_over:
        began_at = time.thread_time()
        try:
            next(steps)
        except StopIteration:
            is_over = True
        taken.append(time.thread_time() - began_at)
    return taken


def wires_of(agents: int, links: int, keys: int, draw: random.Random) -> "list[WireRecord]":
    """The records of a random connected graph with ``agents * links / 2`` links."""
    pairs = {(draw.randrange(number), number) for number in range(1, agents)}
    while len(pairs) < agents * links // 2:
        one, other = sorted(draw.sample(range(agents), 2))
        pairs.add((one, other))
    identities = [Identity(draw.randbytes(32)) for _ in range(agents)]
    peers: list[list[Neighbour]] = [[] for _ in identities]
    for one, other in sorted(pairs):
        step = draw.randrange(6)
        peers[one].append(Neighbour(identities[other].id, step))
        peers[other].append(Neighbour(identities[one].id, step))
    offered: list[list[EndpointEntry]] = [[] for _ in identities]
    for key in range(keys):
        for number in draw.sample(range(agents), 2):
            offered[number].append(EndpointEntry(f"key-{key}", "localhost:3000"))
    return [wire_of(*each) for each in zip(identities, peers, offered, strict=True)]


def wire_of(identity: "Identity", peers: "list[Neighbour]", offered: "list[EndpointEntry]") -> "WireRecord":
    """What one agent says."""
    certificate = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name=f"agent-{identity.id[:4].hex()}",
        not_before=UNIX,
        not_after=UNIX + 1,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
    )
    body = RecordBody(
        public_key=identity.public_key,
        epoch=UNIX * 1000,
        sequence=1,
        instance=Instance(identity.id),
        session_key=identity.public_key,
        certificate=certificate,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=tuple(sorted(peers, key=lambda peer: peer.id)),
        endpoints=tuple(offered),
    )
    return sign_record(identity, body)


if __name__ == "__main__":
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.arguments import whole

    arguments = parse()
    bootstrap.continue_in_environment("dev")

    from mesh.agent.process import GC_THRESHOLDS
    from mesh.config.schema import RoutingSection
    from mesh.link.bodies import (
        Records,
        WireRecord,
        batch_digest,
        decode_digest,
        decode_records,
        encode_digest,
        encode_records,
    )
    from mesh.routing.database import LinkState
    from mesh.routing.record_reader import RecordReader
    from mesh.routing.records import EndpointEntry, Neighbour, Record, RecordBody, sign_record
    from mesh.routing.routes import computing_routes
    from mesh.trust.certificates import TrustStore, issue_certificate
    from mesh.trust.identity import NO_AGENT, AgentId, Identity, Instance

    AUTHORITY = Identity(bytes(32))
    main(arguments)
