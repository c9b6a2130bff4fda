"""A scenario's script on loopback: agents as processes, links as proxies, clients and services as they are.

What the simulated world does by calling, this does to the real one: SIGKILL, SIGSTOP and SIGTERM, links that
delay, lose and reset.
"""

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import SocketOptions
from mesh.addresses import TcpAddress
from scripts.lab.agent_processes import QUIET
from scripts.lab.keys import init_mesh
from scripts.lab.ports import LOOPBACK, Ports
from scripts.simulation import invariants
from scripts.simulation.client import Client
from scripts.simulation.conversation import Conversation, Heard
from scripts.simulation.faults import SLOW_SHARE, Action, LinkShape, Planned, Script, perform
from scripts.simulation.invariants import InvariantError
from scripts.simulation.real_agent import NOT_READY, RealAgent
from scripts.simulation.real_config import agent_config
from scripts.simulation.real_link import Cut, Heal, RealLink, Refuse, Shape
from scripts.simulation.real_watch import AgentWatch
from scripts.simulation.scenario import Scenario
from scripts.simulation.service import Service
from scripts.simulation.trace import Story
from scripts.simulation.world import Complaints

POLL_S: Final = 0.05


class RealStage:
    """The :class:`~scripts.simulation.faults.Stage` on loopback, and what invariants look at."""

    def __init__(self, scenario: Scenario, script: Script, folder: Path, story: Story) -> None:
        self.script = script
        self.story = story
        self.conversations: list[Conversation] = []
        self.records: dict[int, Heard] = {}
        self.silent: list[Heard] = []
        self.met: Counter[int] = Counter()
        self.crashed_at: list[float] = []
        self.log = Complaints()
        self.agents: dict[str, RealAgent] = {}
        self._dispatcher = LoopDispatcher("simulation")
        self._services: dict[tuple[str, str], Any] = {}
        self._links: dict[tuple[str, str], Any] = {}
        self._ports: dict[tuple[str, ...], int] = {}
        self._reserved = Ports()
        self._folder = folder
        self._make_agents(scenario)
        self._watch = AgentWatch(self.agents)

    # -- building --------------------------------------------------------------------------------------------

    def _port(self, *purpose: str) -> int:
        """The port for a purpose; bound, so that the kernel gives it to nobody else."""
        if purpose not in self._ports:
            self._ports[purpose] = self._reserved.reserve()
        return self._ports[purpose]

    def _make_agents(self, scenario: Scenario) -> None:
        names = self.script.map.names
        mesh = self._folder / "mesh"
        authority = init_mesh(mesh, [f"{name}:all" for name in names])
        for name in names:
            config = agent_config(self.script, scenario.settings, name, authority, self._port)
            self.agents[name] = RealAgent(name, mesh / name, config, self._port("http", name))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything runs; in the end nothing does."""
        loggers = [logging.getLogger(name) for name in ("pykka", "actors")]
        for logger in loggers:
            logger.addHandler(self.log)
        self._dispatcher.start()
        try:
            for (one, other), shape in self.script.shapes.items():
                self._links[one, other] = RealLink.start(
                    self._dispatcher,
                    port=self._port("link", one, other),
                    target=self._port("accept", other),
                    shape=Shape(shape.latency_s, shape.bytes_per_s),
                )
            for name in self.script.map.names:
                self.start_target(name)
                self._watch.started(name)
                self.agents[name].restart()
            yield
        finally:
            for agent in self.agents.values():
                agent.kill()
            self._dispatcher.stop(5.0)
            self._reserved.close()
            for logger in loggers:
                logger.removeHandler(self.log)

    # -- playing ---------------------------------------------------------------------------------------------

    def play(self, duration_s: float) -> None:
        """Let every action and every client come at its time."""
        steps: list[tuple[float, Action | Planned]] = [
            *((action.at_s, action) for action in self.script.actions),
            *((planned.at_s, planned) for planned in self.script.conversations),
        ]
        start = time.monotonic()
        for at_s, step in sorted(steps, key=lambda step: step[0]):
            time.sleep(max(0.0, start + at_s - time.monotonic()))
            if isinstance(step, Action):
                perform(step, self)
            else:
                self.converse(step)
            self.look()
        time.sleep(max(0.0, start + duration_s - time.monotonic()))
        self.look()

    def converse(self, planned: Planned) -> Conversation:
        """Start a client now."""
        conversation = Conversation(planned.terms, planned.pace)
        self.conversations.append(conversation)
        Client.start(
            self._dispatcher,
            address=TcpAddress(LOOPBACK, self._port("listener", planned.key, planned.agent)),
            terms=planned.terms,
            pace=planned.pace,
            heard=conversation.heard,
        )
        return conversation

    def start_all_stopped(self) -> None:
        """Have every agent and every service run."""
        for name, agent in self.agents.items():
            if not agent.is_running:
                self.start(name)
            self.start_target(name)

    def leave_all(self) -> None:
        """Tell every agent to stop, and wait for its end."""
        for name, agent in self.agents.items():
            self._note("leave", name)
            self._watch.leaves(name)
            status = agent.stop()
            self.look()
            if status:
                raise InvariantError("agents end in order", f"{name} left with status {status}")

    def _note(self, what: str, *subject: str) -> None:
        self.story.note(what.replace("_", " "), " - ".join(subject))

    # -- the stage -------------------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        self._note("crash", name)
        self._watch.killed(name)
        self.crashed_at.append(self._dispatcher.now())
        self.agents[name].kill()

    def start(self, name: str) -> None:
        """Start an agent's process."""
        self._note("start", name)
        self._watch.look()
        self._watch.started(name)
        self.agents[name].restart()

    def start_with_late_clock(self, name: str) -> None:
        """Start an agent's process; all processes of one machine have one clock."""
        self.start(name)

    def leave(self, name: str) -> None:
        """SIGTERM."""
        self._note("leave", name)
        self._watch.leaves(name)
        self.agents[name].signal(signal.SIGTERM)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._note("pause", name)
        self.agents[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT, where it is stopped."""
        if self.agents[name].is_paused:
            self._note("resume", name)
            self.agents[name].signal(signal.SIGCONT)

    def cut(self, one: str, other: str) -> None:
        """Lose everything between two agents."""
        self._note("cut", one, other)
        self._link(one, other).tell(Cut(there=True, back=True))

    def cut_one_way(self, one: str, other: str) -> None:
        """Lose everything from one agent to another."""
        self._note("cut_one_way", one, other)
        there = (one, other) in self._links
        self._link(one, other).tell(Cut(there=there, back=not there))

    def cut_with_reset(self, one: str, other: str) -> None:
        """Break all connections between two agents and refuse new ones."""
        self._note("cut_with_reset", one, other)
        self._link(one, other).tell(Refuse())

    def heal(self, one: str, other: str) -> None:
        """Undo every cut between two agents."""
        self._note("heal", one, other)
        self._link(one, other).tell(Heal())

    def slow_down(self, one: str, other: str) -> None:
        """Leave little of a link's bandwidth."""
        self._note("slow_down", one, other)
        self._reshape(one, other, SLOW_SHARE)

    def speed_up(self, one: str, other: str) -> None:
        """Give it back."""
        self._reshape(one, other, 1.0)

    def _reshape(self, one: str, other: str, share: float) -> None:
        shapes = self.script.shapes
        shape: LinkShape = shapes.get((one, other)) or shapes[other, one]
        self._link(one, other).tell(Shape(shape.latency_s, shape.bytes_per_s * share))

    def _link(self, one: str, other: str) -> Any:
        return self._links.get((one, other)) or self._links[other, one]

    def kill_target(self, name: str) -> None:
        """End the services near an agent at once."""
        for place, service in self._services.items():
            if place[1] == name and service.is_alive():
                self._note("kill_target", ".".join(place))
                service.tell(None)

    def start_target(self, name: str) -> None:
        """Start them again."""
        for key, names in self.script.map.endpoints.items():
            service = self._services.get((key, name))
            if name in names and (service is None or not service.is_alive()):
                self._services[key, name] = Service.start(
                    self._dispatcher,
                    address=TcpAddress(LOOPBACK, self._port("service", key, name)),
                    options=SocketOptions(),
                    records=self.records,
                    silent=self.silent,
                    met=self.met,
                    host=f"{key}.{name}",
                )

    # -- looking ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Judge what must be so at any time."""
        invariants.streams_are_whole(self)
        self._watch.look()

    def wait_for(self, name: str, problem: Callable[[], str], limit_s: float) -> float:
        """Wait until there is no problem; the seconds it took."""
        start = time.monotonic()
        while found := problem():
            self.look()
            if time.monotonic() - start > limit_s:
                raise InvariantError(name, f"after {limit_s:g} s: {found}")
            time.sleep(POLL_S)
        return time.monotonic() - start

    def routes_differ(self) -> str:
        """What is wrong with what agents say of links and pairings; empty where nothing is."""
        layout = self.script.map
        neighbours = layout.neighbours()
        hops = {name: layout.hops_from(name) for name in layout.names}
        wanted = {
            (key, listener, exit_, hops[listener][exit_])
            for key, listeners in layout.listeners.items()
            for listener in listeners
            for exit_ in layout.endpoints[key]
            if exit_ in hops[listener]
        }
        for name, agent in self.agents.items():
            try:
                document = agent.dashboard()
                peers = {p["display_name"] for p in document["peers"] if p["state"] == "connected"}
                pairings = {
                    (p["key"], p["ingress_agent"], p["exit_agent"], p["hop_count"])
                    for p in document["forward_routes"]
                }
            except NOT_READY as error:
                return f"{name} does not answer: {error!r}"
            if peers != neighbours[name]:
                return f"{name} is linked with {sorted(peers)}, expected {sorted(neighbours[name])}"
            if pairings != wanted:
                return f"{name} shows {sorted(pairings - wanted)} more, {sorted(wanted - pairings)} fewer"
        return ""

    def open_conversations(self) -> str:
        """Those that are not over; empty where none is."""
        left = [(c.terms, c.heard) for c in self.conversations if not c.heard.is_over]
        return str(left[:3]) if left else ""

    def leftovers(self) -> str:
        """What agents hold for connections; empty where nothing."""
        for name, agent in self.agents.items():
            try:
                stats = agent.dashboard()["stats"]
            except NOT_READY as error:
                return f"{name} does not answer: {error!r}"
            held = {figure: stats[figure] for figure in QUIET if stats[figure]}
            if held:
                return f"{name}: {held}"
        return ""
