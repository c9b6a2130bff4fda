"""Trials of a diamond (branch, two relays, hq): the relay in use fails under a transfer or a database."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from scripts.lab.postgresql import PostgreSql, missing
from scripts.trial_runs.clients import Transfer, transfer
from scripts.trial_runs.trial import Stage

STALL: Final = "longest wait of the client [s]"
RATE: Final = "time for the whole transfer [s]"
TRANSACTIONS: Final = "transactions"

LOOK_AT: Final = 0.2
"""Share of a transfer after which the relay in use is looked for."""
FAIL_BETWEEN: Final = (0.3, 0.6)
"""Shares of a transfer, or of the time of a load, between which it fails."""

PGBENCH_CLIENTS: Final = 4
MICROSECONDS: Final = 1e6


class Diamond:
    """branch and hq, each linked to both relays; ``port`` is branch's, for ``target_port`` at hq."""

    def __init__(self, stage: Stage, target_port: int) -> None:
        self._stage = stage
        self.branch, self.hq = stage.agent("branch"), stage.agent("hq")
        self.relays = [stage.agent("left"), stage.agent("right")]
        for end in (self.branch, self.hq):
            end.dial(*self.relays)
        self.hq.offer("service", target_port)
        self.port: int = self.branch.listen("service")
        stage.mesh.start()
        for end in (self.branch, self.hq):
            end.wait_for_peers(*self.relays)
        self.branch.wait_for_route("service", self.hq)

    def relay_in_use(self) -> Any:
        """The relay that has passed on most bytes."""
        carried = {relay.name: relay.stats()["bytes_forwarded_total"] for relay in self.relays}
        assert max(carried.values()), "no relay carries anything"  # noqa: S101
        return max(self.relays, key=lambda relay: int(carried[relay.name]))


def kill(relay: Any) -> None:
    """As a crash."""
    relay.kill()


def pause(relay: Any) -> None:
    """As a machine that hangs: nothing runs, but its kernel goes on."""
    relay.pause()


def stop(relay: Any) -> None:
    """As an operator; the relay takes its leave, and the trial goes on meanwhile."""
    relay.process.signal(signal.SIGTERM)


def transfer_trial(fail: Callable[[Any], None], *, leaves: bool = False) -> Callable[[Stage], None]:
    """The relay in use fails during a transfer; the seed says when, and in which direction bytes go."""

    def run(stage: Stage) -> None:
        _, target_port = stage.serve("bulk")
        diamond = Diamond(stage, target_port)
        found: list[Any] = []

        def look() -> None:
            found.append(diamond.relay_in_use())

        def break_it() -> None:
            fail(found[0])

        share = stage.draw.uniform(*FAIL_BETWEEN)
        up = stage.draw.random() < 0.5
        seen = Transfer()
        try:
            seen = transfer(
                diamond.port, stage.effort.byte_count, up=up, moments=[(LOOK_AT, look), (share, break_it)]
            )
        except (OSError, EOFError) as error:
            stage.fault(f"the transfer ({'up' if up else 'down'}) broke: {type(error).__name__}: {error}")
        stage.figure(f"{STALL}, {'up' if up else 'down'}", seen.longest_wait_s)
        stage.figure(RATE, seen.seconds)
        if leaves:
            _leave(stage, found[0])

    return run


def _leave(stage: Stage, relay: Any) -> None:
    """The relay, told to end before, does so in good order."""
    status = relay.process.wait()
    if status:
        stage.fault(f"{relay.name} left with status {status}")


def database_trial(fail: Callable[[Any], None], *, leaves: bool = False) -> Callable[[Stage], None]:
    """The relay in use fails under pgbench; with ``leaves`` it left in order, and is started again."""

    def run(stage: Stage) -> None:
        absent = missing()
        if absent:
            stage.fault(f"not installed: {absent}")
            return
        server = stage.stack.enter_context(PostgreSql(stage.mesh.ports.reserve()))
        server.prepare()
        diamond = Diamond(stage, server.port)
        seconds = stage.effort.database_s
        fail_after_s = seconds * stage.draw.uniform(*FAIL_BETWEEN)
        with tempfile.TemporaryDirectory() as folder:
            command = server.pgbench(diamond.port, PGBENCH_CLIENTS, seconds)
            with subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=server.environment
            ) as client:
                time.sleep(fail_after_s)
                relay = diamond.relay_in_use()
                fail(relay)
                if leaves:
                    _leave(stage, relay)
                    relay.start(wait=False)
                output = client.communicate(timeout=seconds + 60)[0].decode()
            if client.returncode or "number of failed transactions: 0 " not in output:
                stage.fault(f"pgbench, status {client.returncode}: {output[-1500:]}")
            waits = _latencies_s(Path(folder))
        stage.figure(STALL, max(waits, default=0.0))
        stage.figure(TRANSACTIONS, len(waits))

    return run


def _latencies_s(folder: Path) -> list[float]:
    """Of all transactions, from the logs of pgbench: their third column, in microseconds."""
    return [
        int(line.split()[2]) / MICROSECONDS
        for log in folder.glob("pgbench_log.*")
        for line in log.read_text().splitlines()
    ]
