"""Trials of two exits for one key: the nearest one, or its service, is killed under short requests."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from scripts.lab.processes import Process
from scripts.trial_runs.clients import Load, Request, paced_requests
from scripts.trial_runs.trial import Stage

FIRST_SUCCESS: Final = "first success after the kill [s]"
SLOWEST: Final = "slowest request opened after the kill [s]"
IN_FLIGHT: Final = "requests in flight that failed"
OPENED: Final = "requests opened after the kill"
MAX_AT_ONCE: Final = 256
REROUTE_TIMEOUT_S: Final = 2
NAMES: Final = ("near", "far")


def agent(near: Any, service: Process) -> None:
    """Kill the nearest exit."""
    del service
    near.kill()


def target(near: Any, service: Process) -> None:
    """Kill the service behind the nearest exit."""
    del near
    service.kill()


def pair_trial(kill: Callable[[Any, Process], None]) -> Callable[[Stage], None]:
    """Far is behind a relay, near is linked to branch itself."""

    def run(stage: Stage) -> None:
        branch, relay, far, near = (stage.agent(name) for name in ("branch", "relay", "far", "near"))
        # What was in flight on a killed exit waits so long for a path: no agent can tell a crash from a cut.
        branch.config["connections"]["reroute_timeout"] = REROUTE_TIMEOUT_S
        branch.dial(relay)
        far.dial(relay)
        near.dial(branch)
        near_service, near_port = stage.serve("web", "near")
        _, far_port = stage.serve("web", "far")
        near.offer("service", near_port)
        far.offer("service", far_port)
        port = branch.listen("service")
        stage.mesh.start()
        for exit_agent in (near, far):
            branch.wait_for_route("service", exit_agent)
        load, done = Load(), list[Request]()
        with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
            load.start(paced_requests(port, NAMES, done, pool))
            time.sleep(stage.effort.load_s * stage.draw.uniform(0.5, 1.0))
            began_at = time.monotonic()
            kill(near, near_service)
            killed_at = time.monotonic()
            time.sleep(stage.effort.load_s)
            load.stop()
        for failure in load.failures:
            stage.fault(failure)
        _judge(stage, done, began_at, killed_at)

    return run


def _judge(stage: Stage, done: Sequence[Request], began_at: float, killed_at: float) -> None:
    """Before the kill nothing may fail, nor what was opened after it; what it caught in flight may."""
    afterwards = [one for one in done if one.began_at > killed_at]
    in_flight = [one for one in done if one.began_at <= killed_at and one.ended_at >= began_at]
    for one in done:
        if one.failure and one not in in_flight:
            stage.fault(f"opened {one.began_at - killed_at:+.3f} s after the kill: {one.failure}")
    served = [one.ended_at for one in afterwards if not one.failure]
    if not served:
        stage.fault("nothing was served after the kill")
        return
    stage.figure(FIRST_SUCCESS, min(served) - began_at)
    stage.figure(SLOWEST, max(one.ended_at - one.began_at for one in afterwards))
    stage.figure(IN_FLIGHT, sum(bool(one.failure) for one in in_flight))
    stage.figure(OPENED, len(afterwards))
