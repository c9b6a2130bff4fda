"""How long starts, stops and restarts take, as a client of the listener sees it."""

import signal
import time
from collections.abc import Callable
from typing import Any, Final

from scripts.lab.clients import refuses
from scripts.trial_runs.clients import request
from scripts.trial_runs.trial import Stage

POLL_S: Final = 0.002
LIMIT_S: Final = 20.0
REFUSED: Final = "ConnectionRefusedError"

TO_SERVED: Final = "{}: start to first served request [s]"
TO_REFUSED: Final = "{}: {} to refusal [s]"
BAR_S: Final = 0.8
RESTART_BAR_S: Final = 1.0
ENDPOINT_STARTED: Final = TO_SERVED.format("endpoint, first start")


def run(stage: Stage) -> None:
    """Hq joins branch - relay last; then each is restarted, in order and by force, as the seed says."""
    branch, relay, hq = (stage.agent(name) for name in ("branch", "relay", "hq"))
    branch.dial(relay)
    hq.dial(relay)
    _, target_port = stage.serve("web", "hq")
    hq.offer("service", target_port)
    port = branch.listen("service")
    branch.start()
    relay.start()
    branch.wait_for_peers(relay)
    _start(stage, hq, port, ENDPOINT_STARTED)
    steps = [
        (role, agent, number)
        for role, agent in (("endpoint", hq), ("transit", relay), ("ingress", branch))
        for number in (signal.SIGTERM, signal.SIGKILL)
    ]
    stage.draw.shuffle(steps)
    for role, agent, number in steps:
        began_at = time.monotonic()
        agent.process.signal(number)
        _await(stage, lambda: refuses(port), f"{role}: refusal")
        stage.figure(TO_REFUSED.format(role, number.name), time.monotonic() - began_at)
        if agent.process.wait() not in (0, -signal.SIGKILL):
            stage.fault(f"{agent.name} left with status {agent.process.wait()}")
        _start(stage, agent, port, TO_SERVED.format(f"{role} after {number.name}"))


def _start(stage: Stage, agent: Any, port: int, figure: str) -> None:
    began_at = time.monotonic()
    agent.start(wait=False)

    def served() -> bool:
        one = request(port, ["hq"])
        if one.failure and not one.failure.startswith(REFUSED):
            stage.fault(f"{figure}: before that, {one.failure}")
        return not one.failure

    _await(stage, served, figure)
    stage.figure(figure, time.monotonic() - began_at)


def _await(stage: Stage, condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > until:
            stage.fault(f"not within {LIMIT_S:g} s: {what}")
            return
        time.sleep(POLL_S)
