"""One process of the load, on the standard library only: ``python -m scripts.benchmark.load LOAD``.

It prints one JSON object: servers when they listen, holders when all is open, other clients when they are
done. The exit status is 1 where a client stalled; the object then has an ``error``.
"""

import argparse
import json
import resource
import sys

from scripts import arguments as values
from scripts.benchmark import load_clients as clients
from scripts.benchmark.load_requests import ask_in_turns
from scripts.benchmark.load_servers import serve


def parser() -> argparse.ArgumentParser:
    """What a load process takes."""
    loads = ("serve", "bulk", "flood", "ping", "connect", "connect-at-once", "hold", "wait", "listens", "ask")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("load", choices=loads)
    arguments.add_argument("--kind", choices=("bulk", "echo"), default="echo")
    arguments.add_argument("--addresses", nargs="+", default=["127.0.0.1"])
    arguments.add_argument("--ports", "--port", type=values.port, nargs="+", default=[0])
    arguments.add_argument("--up", action="store_true")
    arguments.add_argument("--connections", type=values.whole(1), default=1)
    arguments.add_argument("--bytes", dest="byte_count", type=values.whole(0), default=0)
    arguments.add_argument("--rate", type=values.number(0), default=0.0)
    arguments.add_argument("--paths", nargs="+", default=["/health"])
    arguments.add_argument("--keep-alive", action="store_true")
    arguments.add_argument("--rounds", type=values.whole(1), default=1000)
    arguments.add_argument("--seconds", type=values.number(0), default=clients.TIMEOUT_S)
    return arguments


def run(given: argparse.Namespace) -> dict[str, float] | None:
    """Run one load; what it measured, ``None`` where it has talked to its parent itself."""
    port = given.ports[0]
    address = given.addresses[0]
    match given.load:
        case "serve":
            return serve(given.kind, given.addresses)
        case "hold":
            return clients.hold(given.ports, given.connections)
        case "flood":
            return clients.flood(port, up=given.up, rate=given.rate)
        case "ask":
            return ask_in_turns(port, given.paths, rate=given.rate, keeps_alive=given.keep_alive)
        case "wait":
            return clients.wait(port, seconds=given.seconds)
        case "listens":
            return clients.listens(address, port, seconds=given.seconds)
        case "ping":
            return clients.ping(address, port, rounds=given.rounds, seconds=given.seconds)
        case "connect":
            return clients.connect_in_turn(address, port, rounds=given.rounds, seconds=given.seconds)
        case "connect-at-once":
            return clients.connect_at_once(
                port, rounds=given.rounds, width=given.connections, seconds=given.seconds
            )
        case _:
            return clients.bulk(
                address,
                port,
                up=given.up,
                connections=given.connections,
                byte_count=given.byte_count,
                seconds=given.seconds,
            )


def main() -> int:
    """Run one load in this process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        result = run(parser().parse_args())
    except (clients.Stalled, OSError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        return 1
    if result is not None:
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
