"""Exits that are changed, restarted and drained while short requests come through a relay: who is refused?"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from actors.root.agent import LAST_CALL_S
from scripts.lab.agent_processes import write_config
from scripts.lab.clients import connect, read_exactly
from scripts.trial_runs.clients import Load, Request, paced_requests
from scripts.trial_runs.trial import Stage

KEY: Final = "service"
NAMES: Final = ("one", "other")
PACE_S: Final = 0.02
"""From one request to the next."""

DRAIN_TIMEOUT_S: Final = 3.0
"""Of the exit with a session that does not end by itself."""

MAX_AT_ONCE: Final = 64
SETTLE_S: Final = 0.5
"""Between two steps: what a step does late is still seen."""

PATIENCE_S: Final = 0.5
"""What a restart may cost beyond its own time: the listener hears of the new exit by way of the relay."""

REFUSED: Final = "refused: {}"
OUTAGE: Final = "from the first to the last request refused meanwhile [s]"
RESTART: Final = "from the end of the only exit until its key is offered again [s]"
SLOWEST: Final = "slowest request that was served [s]"
REQUESTS: Final = "requests"

RELOADED: Final = "another endpoint is added by reload"
ALONE: Final = "the only exit is restarted, with a session open"
PAIR: Final = "both of a pair are restarted, one after the other"
DRAINED: Final = "one of a pair is drained, and both ends of that"


def run(stage: Stage) -> None:
    """Each step with requests of its own, so that what fails is told by its step."""
    branch, relay, one, other = (stage.agent(name) for name in ("branch", "relay", *NAMES))
    for agent in (branch, one, other):
        agent.dial(relay)
    for agent, name in zip((one, other), NAMES, strict=True):
        agent.offer(KEY, stage.serve("web", name)[1])
    one.config["agent"]["drain_timeout"] = DRAIN_TIMEOUT_S
    one.offer("session", stage.serve("echo")[1])
    port, session_port = branch.listen(KEY), branch.listen("session")
    for agent in (branch, relay, one):
        agent.start(wait=False)
    for agent in (branch, relay, one):
        agent.wait_until_it_answers()
    branch.wait_for_route(KEY, one)
    branch.wait_for_route("session", one)

    _step(stage, port, RELOADED, lambda: _add_an_endpoint(stage, one))
    with connect(session_port) as session:
        session.sendall(b"x")
        read_exactly(session, 1)
        _restarted_alone(stage, port, branch, one)
    other.start()
    branch.wait_for_route(KEY, other)
    _step(stage, port, PAIR, lambda: _restart_each(stage, branch, (one, other)))
    _step(stage, port, DRAINED, lambda: _drain_and_back(stage, branch, one))


def _add_an_endpoint(stage: Stage, exit_agent: Any) -> None:
    exit_agent.offer("another", 9)
    write_config(exit_agent.config_file, exit_agent.config)
    _ask(stage, exit_agent, "reload")


def _restart(stage: Stage, branch: Any, exit_agent: Any) -> None:
    status = exit_agent.stop()
    if status:
        stage.fault(f"{exit_agent.name} left with status {status}")
    exit_agent.start()
    branch.wait_for_route(KEY, exit_agent)


def _restart_each(stage: Stage, branch: Any, pair: Sequence[Any]) -> None:
    for exit_agent in pair:
        _restart(stage, branch, exit_agent)
        time.sleep(SETTLE_S)


def _drain_and_back(stage: Stage, branch: Any, exit_agent: Any) -> None:
    for arguments in (("drain",), ("drain", "--off")):
        _ask(stage, exit_agent, *arguments)
        time.sleep(SETTLE_S)
        branch.wait_for_route(KEY, exit_agent)


def _ask(stage: Stage, agent: Any, *arguments: str) -> None:
    asked = agent.ask(*arguments)
    if asked.returncode:
        stage.fault(f"mesh {' '.join(arguments)}: {asked.stdout}{asked.stderr}")


def _step(stage: Stage, port: int, what: str, act: Callable[[], None]) -> None:
    """Requests all the time; none may fail."""
    done = _loaded(stage, port, act)
    failures = [one.failure for one in done if one.failure]
    stage.figure(REFUSED.format(what), len(failures))
    for failure in failures:
        stage.fault(f"{what}: {failure}")


def _restarted_alone(stage: Stage, port: int, branch: Any, exit_agent: Any) -> None:
    """Requests fail within the restart, and no longer: before it there is an open session to wait for."""
    times: dict[str, float] = {}

    def act() -> None:
        status = exit_agent.stop()
        if status:
            stage.fault(f"{exit_agent.name} left with status {status}")
        times["left"] = time.monotonic()
        exit_agent.start()
        branch.wait_for_route(KEY, exit_agent)
        times["back"] = time.monotonic()

    done = _loaded(stage, port, act)
    failed = sorted(one.began_at for one in done if one.failure)
    stage.figure(REFUSED.format(ALONE), len(failed))
    stage.figure(RESTART, times["back"] - times["left"])
    stage.figure(OUTAGE, failed[-1] - failed[0] if failed else 0.0)
    for began_at in failed:
        if not times["left"] - LAST_CALL_S - PATIENCE_S < began_at < times["back"] + PATIENCE_S:
            stage.fault(f"{ALONE}: refused {began_at - times['left']:+.2f} s from its end")


def _loaded(stage: Stage, port: int, act: Callable[[], None]) -> list[Request]:
    load, done = Load(), list[Request]()
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        load.start(paced_requests(port, NAMES, done, pool, pace_s=PACE_S))
        time.sleep(SETTLE_S)
        try:
            act()
            time.sleep(SETTLE_S)
        finally:
            load.stop()
    for failure in load.failures:
        stage.fault(failure)
    stage.figure(REQUESTS, len(done))
    stage.figure(SLOWEST, max((one.ended_at - one.began_at for one in done if not one.failure), default=0.0))
    return done
