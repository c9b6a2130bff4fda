"""How long an agent takes to compute its routes, by the size of the mesh. See docs/SCALE.md.

python scripts/bench_routes.py --agents 100 1000 --links 3 --keys 10000
"""

import argparse
import gc
import random
import statistics
import sys
import time
from types import MappingProxyType

import bootstrap


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time the computation of routes on random graphs.")
    parser.add_argument("--agents", type=int, nargs="+", default=[100, 300, 1000, 3000, 10_000])
    parser.add_argument("--links", type=int, default=3, help="that each agent has on average (3)")
    parser.add_argument(
        "--keys", type=int, default=10_000, help="in the whole mesh, offered twice each (10000)"
    )
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    """Print medians over the rounds: the whole computation, and its longest step."""
    gc.set_threshold(*GC_THRESHOLDS)  # as an agent does
    sys.stdout.write(f"{'agents':>7} {'keys':>7} {'whole [ms]':>11} {'longest step [ms]':>18} {'steps':>6}\n")
    for agents in options.agents:
        records = records_of(agents, options.links, options.keys, random.Random(agents))  # noqa: S311
        own_id = next(iter(records))
        wholes, longest, count = [], [], 0
        for _ in range(options.rounds):
            taken = steps_s(own_id, dict(records))
            wholes.append(sum(taken))
            longest.append(max(taken))
            count = len(taken)
        whole_ms, step_ms = (statistics.median(samples) * 1e3 for samples in (wholes, longest))
        sys.stdout.write(f"{agents:7} {options.keys:7} {whole_ms:11.2f} {step_ms:18.2f} {count:6}\n")


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


def records_of(agents: int, links: int, keys: int, draw: random.Random) -> "dict[AgentId, Record]":
    """A random connected graph with ``agents * links / 2`` links."""
    ids = [AgentId(draw.randbytes(AGENT_ID_OCTETS)) for _ in range(agents)]
    pairs = {(draw.randrange(number), number) for number in range(1, agents)}
    while len(pairs) < agents * links // 2:
        one, other = sorted(draw.sample(range(agents), 2))
        pairs.add((one, other))
    peers: list[dict[AgentId, int]] = [{} for _ in ids]
    for one, other in pairs:
        peers[one][ids[other]] = peers[other][ids[one]] = draw.randrange(6)
    offered: list[list[str]] = [[] for _ in ids]
    for key in range(keys):
        for number in draw.sample(range(agents), 2):
            offered[number].append(f"key-{key}")
    return {ids[number]: _record(ids[number], peers[number], offered[number]) for number in range(agents)}


def _record(agent_id: "AgentId", peers: "dict[AgentId, int]", keys: list[str]) -> "Record":
    certificate = Certificate(
        subject=bytes(32),
        name="agent",
        not_before=0,
        not_after=1 << 40,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
        may_manage=False,
        authority=bytes(32),
    )
    body = RecordBody(
        public_key=bytes(32),
        epoch=1,
        sequence=1,
        instance=Instance(bytes(16)),
        session_key=bytes(32),
        certificate=b"",
        relays=True,
        draining=False,
        withdrawn=False,
    )
    return Record(agent_id, body, certificate, MappingProxyType(peers), tuple(keys), ())


if __name__ == "__main__":
    arguments = parse()
    bootstrap.continue_in_environment("dev")
    sys.path.insert(0, str(bootstrap.ROOT))

    from mesh.agent import GC_THRESHOLDS
    from mesh.identity import AGENT_ID_OCTETS, AgentId, Instance
    from mesh.records import Record, RecordBody
    from mesh.routes import computing_routes
    from mesh.trust import Certificate

    main(arguments)
