"""A chain whose agents' configurations change all the time, by reloads, while everything is in use."""

import copy
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mesh.agent.control.client import AgentClient, Refused
from mesh.agent.control.requests import RELOAD
from mesh.agent.control.socket_file import NAME
from mesh.agent.outcome import Outcome, Verdict
from scripts.lab.agent_processes import write_config
from scripts.lab.agents import Agent
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until
from scripts.trial_runs.clients import (
    Load,
    Request,
    conversation,
    paced_requests,
    request,
    transfer,
    transfers,
)
from scripts.trial_runs.trial import MIB, Stage

AGENTS: Final = ("branch", "relay", "hq")
KINDS: Final = ("web", "echo", "bulk")
MAX_AT_ONCE: Final = 256
CONVERSATIONS: Final = 50
CONVERSATION_PAUSE_S: Final = 0.5
TRANSFER_BYTES: Final = 16 * MIB
SPARE_PORTS: Final = 8
"""That each agent's services come and go on; and as many where its endpoints lead, and nobody is."""
QUIET_S: Final = 30.0
"""For what the changes took to be given back."""

MADE: Final = "changes made, or refused as they should be"
SLOWEST_CHANGE: Final = "slowest change [s]"
REQUESTS: Final = "requests"
SLOWEST: Final = "slowest request [s]"
ROUNDS: Final = "rounds on long connections"

MISTAKES: Final[tuple[dict[str, Any], ...]] = (
    {"loging": {}},
    {"connections": {"timeout": "soon"}},
    {"accept": [{"address": "nowhere"}]},
    {"forward": {"endpoints": [{"key": "a", "target": f"{LOOPBACK}:1"}] * 2}},
)
"""What makes a file one that no agent takes."""


class _Changer:
    """Changes one agent's configuration; whatever the load needs is left alone."""

    def __init__(self, agent: Agent, others: list[Agent], draw: random.Random) -> None:
        self._agent, self._draw = agent, draw
        self._others = [other for other in others if other is not agent]
        self._before = copy.deepcopy(agent.config)
        self._spare = [agent.ports.reserve() for _ in range(SPARE_PORTS)]
        self._targets = [agent.ports.reserve() for _ in range(SPARE_PORTS)]
        self._count = 0
        self._client = AgentClient(agent.folder / NAME)
        self.baseline: dict[str, int] = {}

    def change(self) -> str:
        """Have the agent be different in one way, or try a wrong file; what went wrong, if anything."""
        if self._draw.random() < 0.1:
            return self._try_mistake()
        ways: list[Callable[[dict[str, Any]], None]] = [
            self._endpoints, self._endpoint, self._listeners, self._acceptors, self._peers, self._limits
        ]  # fmt: skip
        self._draw.choice(ways)(self._agent.config)
        return self._reload()

    def restore(self) -> str:
        """Have it be as it was; what went wrong, if anything."""
        self._agent.config = copy.deepcopy(self._before)
        return self._reload()

    def _reload(self) -> str:
        write_config(self._agent.config_file, self._agent.config)
        try:
            outcome = self._client.post(RELOAD, Outcome)
        except Refused as refused:
            return f"{self._agent.name}: {refused}: {'; '.join(refused.problems)}"
        if outcome.verdict is Verdict.DONE and not outcome.problems:
            return ""
        return f"{self._agent.name}: {outcome.verdict.value}: {'; '.join(outcome.problems)}"

    def _try_mistake(self) -> str:
        write_config(self._agent.config_file, {**self._agent.config, **self._draw.choice(MISTAKES)})
        try:
            outcome = self._client.post(RELOAD, Outcome)
        except Refused as refused:
            return "" if refused.problems else f"{self._agent.name}: refused, and not said why"
        return f"{self._agent.name}: took a wrong file: {outcome}"

    def _endpoints(self, config: dict[str, Any]) -> None:
        """One more, one fewer, or another target, of those that the load does not use."""
        endpoints = config["forward"]["endpoints"]
        own = [entry for entry in endpoints if entry["key"] not in KINDS]
        if own and self._draw.random() < 0.5:
            endpoints.remove(self._draw.choice(own))
        elif own and self._draw.random() < 0.5:
            self._draw.choice(own)["target"] = f"{LOOPBACK}:{self._draw.choice(self._targets)}"
        elif len(own) < SPARE_PORTS:
            self._count += 1
            key = f"{self._agent.name}-{self._count}"
            endpoints.append({"key": key, "target": f"{LOOPBACK}:{self._draw.choice(self._targets)}"})

    def _endpoint(self, config: dict[str, Any]) -> None:
        """Something of an endpoint that the load uses."""
        used = [entry for entry in config["forward"]["endpoints"] if entry["key"] in KINDS]
        if used:
            self._draw.choice(used)["max_connections"] = self._draw.randint(1_000, 2_000)

    def _listeners(self, config: dict[str, Any]) -> None:
        self._toggle(
            config["forward"]["listeners"],
            lambda address: {"key": self._draw.choice(KINDS), "address": address, "max_connections": 7},
            is_own=lambda entry: "max_connections" in entry,
        )

    def _acceptors(self, config: dict[str, Any]) -> None:
        first = self._before.get("accept", [])
        self._toggle(
            config.setdefault("accept", []),
            lambda address: {"address": address},
            is_own=lambda entry: entry not in first,
        )

    def _toggle(
        self,
        entries: list[dict[str, Any]],
        new: Callable[[str], dict[str, Any]],
        is_own: Callable[[dict[str, Any]], bool],
    ) -> None:
        own = [entry for entry in entries if is_own(entry)]
        free = sorted({f"{LOOPBACK}:{port}" for port in self._spare} - self._addresses())
        if own and (not free or self._draw.random() < 0.5):
            entries.remove(self._draw.choice(own))
        elif free:
            entries.append(new(self._draw.choice(free)))

    def _addresses(self) -> set[str]:
        config = self._agent.config
        entries = [*config["forward"]["listeners"], *config.get("accept", [])]
        return {entry["address"] for entry in entries}

    def _peers(self, config: dict[str, Any]) -> None:
        peers, first = config.setdefault("peers", []), self._before.get("peers", [])
        own = [entry for entry in peers if entry not in first]
        if own:
            peers.remove(self._draw.choice(own))
            return
        port = self._draw.choice(self._others).accept_port
        if port is not None and {"address": f"{LOOPBACK}:{port}"} not in peers:
            peers.append({"address": f"{LOOPBACK}:{port}"})

    def _limits(self, config: dict[str, Any]) -> None:
        config["connections"]["reroute_timeout"] = self._draw.randint(20, 60)
        config["limits"] = {"stream_buffer": f"{self._draw.randint(200, 400)}MiB"}


def run(stage: Stage) -> None:
    """Requests, long conversations and transfers from branch to hq while all three are changed."""
    branch, relay, hq = agents = [stage.agent(name) for name in AGENTS]
    for agent in agents:
        agent.accept()
    branch.dial(relay)
    hq.dial(relay)
    ports = {}
    for kind in KINDS:
        _, target_port = stage.serve(kind, *(["hq"] if kind == "web" else []))
        hq.offer(kind, target_port)
        ports[kind] = branch.listen(kind)
    stage.mesh.start()
    for kind in KINDS:
        branch.wait_for_route(kind, hq)
    _try_each(ports)
    changers = [_Changer(agent, agents, stage.draw) for agent in agents]
    for agent, changer in zip(agents, changers, strict=True):
        agent.wait_until_quiet()
        changer.baseline = agent.usage()
    keys = _keys(branch)
    load, done, waits_s, stalls_s = Load(stage.effort.rest_s), list[Request](), list[float](), list[float]()
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        load.start(paced_requests(ports["web"], ["hq"], done, pool))
        load.start(conversation(ports["echo"], waits_s, CONVERSATION_PAUSE_S), CONVERSATIONS)
        load.start(transfers(ports["bulk"], min(stage.effort.byte_count, TRANSFER_BYTES), stalls_s))
        try:
            _change_all(stage, changers)
        finally:
            load.stop()
    for failure in load.failures:
        stage.fault(f"a long connection or a transfer broke: {failure}")
    for one in done:
        if one.failure:
            stage.fault(f"a request failed: {one.failure}")
    for agent, changer in zip(agents, changers, strict=True):
        agent.wait_until_quiet(changer.baseline, QUIET_S)
    wait_until(lambda: _keys(branch) == keys, "branch knows the keys that it knew before")
    stage.figure(REQUESTS, len(done))
    stage.figure(SLOWEST, max((one.ended_at - one.began_at for one in done), default=0.0))
    stage.figure(ROUNDS, len(waits_s))


def _try_each(ports: Mapping[str, int]) -> None:
    """One client of each listener: after its first, a listener has an actor ready for the next."""
    request(ports["web"], ["hq"])
    next(conversation(ports["echo"], [])())
    transfer(ports["bulk"], MIB, up=False)


def _change_all(stage: Stage, changers: list[_Changer]) -> None:
    made = 0
    for _ in range(stage.effort.changes):
        began_at = time.monotonic()
        problem = stage.draw.choice(changers).change()
        stage.figure(SLOWEST_CHANGE, time.monotonic() - began_at)
        if problem:
            stage.fault(problem)
        else:
            made += 1
    for changer in changers:
        if problem := changer.restore():
            stage.fault(problem)
    stage.figure(MADE, made)


def _keys(agent: Agent) -> set[str]:
    document = agent.dashboard()
    entries = [
        *document["forward_routes"],
        *document["unmatched_endpoints"],
        *document["unmatched_listeners"],
    ]
    return {entry["key"] for entry in entries}
