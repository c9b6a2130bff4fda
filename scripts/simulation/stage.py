"""A scenario's script in a simulated world: builds the mesh, plays faults and clients."""

from typing import Any, Final

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.connection.key_terms import LEAST_KEY_AGE_S, KeyLimits
from mesh.connection.pair_sessions import PairLimits
from scripts.simulation.changes import Change
from scripts.simulation.configuring import Configuring
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import CLOCK_SKEW_S, SLOW_SHARE, Planned, Script, perform
from scripts.simulation.scenario import FaultKind, Scenario, Settings
from scripts.simulation.trace import Story
from scripts.simulation.world import LISTEN_PORT, SERVICE_PORT, MeshWorld

MIB: Final = 1 << 20
LEAST_SHARE: Final = 5
"""Of the age that keys reach, an end waits for so small a part until it asks for the next."""


class SimulatedStage:
    """The :class:`~scripts.simulation.faults.Stage` on virtual time.

    Args:
        mesh: an empty one.
        script: what to build and to play.
        story: is told what happens.
    """

    def __init__(self, mesh: MeshWorld, scenario: Scenario, script: Script, story: Story) -> None:
        self.mesh = mesh
        self.script = script
        self.story = story
        self.drain_timeout_s = scenario.settings.drain_timeout_s
        self.paused: set[str] = set()
        self.dead_targets: set[str] = set()
        """Hosts whose service was killed."""
        self.touched_at: dict[frozenset[str], float] = {}
        """When something was last done to an agent, or to two that share a link."""
        self._keys = [service.key for service in scenario.services]
        self._build(scenario.settings)
        self.configuring = Configuring(
            mesh, lambda key, name: TcpAddress(other_service_host(key, name), SERVICE_PORT)
        )

    def _build(self, settings: Settings) -> None:
        layout, mesh = self.script.map, self.mesh
        for (one, other), shape in self.script.shapes.items():
            mesh.network.shape(one, other, latency_s=shape.latency_s, bytes_per_s=shape.bytes_per_s)
        for name in layout.names:
            offered = [key for key, names in layout.endpoints.items() if name in names]
            mesh.plan(
                name,
                peers=layout.dialed_by(name),
                endpoint_sections=[self._endpoint(key, name) for key in offered],
                listeners={key: self._port(key) for key in self._used_by(name)},
                relays=name not in layout.without_relay,
                timeout_s=settings.timeout_s,
                open_timeout_s=settings.open_timeout_s,
                reroute_timeout_s=settings.reroute_timeout_s,
                relay_buffer_bytes=int(settings.relay_mib * MIB),
                stream_buffer_bytes=int(settings.stream_mib * MIB),
                connection_keys=_key_limits(settings),
                pair_limits=PairLimits(
                    settings.pair_s, settings.pair_connections, grace_s=settings.pair_grace_s
                ),
                **self._rights(name),
            )
            for key in offered:
                self._serve(key, service_host(key, name))
        for action in self.script.actions:
            if action.change is not None and action.change.kind is FaultKind.RETARGET:
                host = other_service_host(action.change.key, action.subject[0])
                if host not in mesh.services:
                    self._serve(action.change.key, host)

    def _used_by(self, name: str) -> list[str]:
        """The keys that an agent has listeners for."""
        return [key for key, names in self.script.map.listeners.items() if name in names]

    def _rights(self, name: str) -> dict[str, Any]:
        """What an agent's certificate grants, if not everything; see :meth:`MeshWorld.plan`."""
        return {}

    def _serve(self, key: str, host: str) -> None:
        """Start a service on ``host``."""
        self.mesh.serve(host)

    def _endpoint(self, key: str, name: str) -> EndpointSection:
        shape = self.script.endpoints[key, name]
        target = TcpAddress(service_host(key, name), SERVICE_PORT)
        return EndpointSection(
            key=key,
            target=target,
            max_connections=shape.max_connections,
            health_check=shape.health_check,
        )

    def _port(self, key: str) -> int:
        return LISTEN_PORT + self._keys.index(key)

    def play(self) -> None:
        """Let every action and every client come at its time from now on."""
        start = self.mesh.world.now()
        for action in self.script.actions:
            self.mesh.world.at(start + action.at_s, lambda action=action: perform(action, self))
        for planned in self.script.conversations:
            self.converse(planned)

    def converse(self, planned: Planned) -> Conversation:
        """Start a client at its time."""
        return self.mesh.converse(
            planned.terms,
            planned.pace,
            at=planned.agent,
            port=self._port(planned.key),
            start_s=planned.at_s,
            host=f"client.{planned.agent}",
        )

    def start_all_stopped(self) -> None:
        """Have every agent and every service run."""
        for name in self.script.map.names:
            plan = self.mesh.plans[name]
            if plan.root is None or not plan.root.is_alive():
                self.start(name)
            self.start_target(name)

    def _note(self, what: str, *subject: str) -> None:
        self.touched_at[frozenset(subject)] = self.mesh.world.now()
        self.story.note(what.replace("_", " "), " - ".join(subject))

    # -- agents ----------------------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        if self.mesh.plans[name].root is not None:
            self._note("crash", name)
            self.paused.discard(name)
            self.mesh.crash(name)

    def start(self, name: str) -> None:
        """Start an agent's process; one that is still leaving is killed first."""
        if self.mesh.plans[name].root is not None:
            self.mesh.crash(name)
        self.paused.discard(name)
        self._note("start", name)
        self.mesh.start(name)

    def start_with_late_clock(self, name: str) -> None:
        """Start an agent's process with a clock that is behind."""
        self._note("late_clock", name)
        self.mesh.clock_skews[name] = CLOCK_SKEW_S
        self.start(name)

    def leave(self, name: str) -> None:
        """Tell an agent to stop."""
        root = self.mesh.plans[name].root
        if root is not None and root.is_alive():
            self._note("leave", name)
            self.mesh.leave(name, self.drain_timeout_s)

    def pause(self, name: str) -> None:
        """Stop an agent's process."""
        if self.mesh.plans[name].root is not None and name not in self.paused:
            self._note("pause", name)
            self.paused.add(name)
            self.mesh.world.pause(name)

    def resume(self, name: str) -> None:
        """Let an agent's process go on."""
        if name in self.paused:
            self._note("resume", name)
            self.paused.discard(name)
            self.mesh.world.resume(name)

    # -- configurations --------------------------------------------------------------------------------------

    def configure(self, name: str, change: Change) -> None:
        """Change the configuration of an agent while it runs."""
        self._note("configure", name)
        self.configuring.change(name, change)

    def configure_back(self, name: str, change: Change) -> None:
        """Take a change back."""
        self._note("configure_back", name)
        self.configuring.take_back(name, change)

    def judge_configurations(self) -> None:
        """Look at what all agents have answered.

        Raises:
            InvariantError: a change has not been made, or only in part.
        """
        self.configuring.judge()

    # -- links -----------------------------------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """Lose everything between two agents."""
        self._note("cut", one, other)
        self.mesh.network.cut(one, other)

    def cut_one_way(self, one: str, other: str) -> None:
        """Lose everything from one agent to another."""
        self._note("cut_one_way", one, other)
        self.mesh.network.cut(one, other, one_way=True)

    def cut_with_reset(self, one: str, other: str) -> None:
        """Break all connections between two agents and refuse new ones."""
        self._note("cut_with_reset", one, other)
        self.mesh.network.cut(one, other, reset=True)

    def heal(self, one: str, other: str) -> None:
        """Undo every cut between two agents."""
        self._note("heal", one, other)
        self.mesh.network.heal(one, other)

    def slow_down(self, one: str, other: str) -> None:
        """Leave little of a link's bandwidth."""
        self._note("slow_down", one, other)
        self._shape(one, other, SLOW_SHARE)

    def speed_up(self, one: str, other: str) -> None:
        """Give it back."""
        self._note("speed_up", one, other)
        self._shape(one, other, 1.0)

    def _shape(self, one: str, other: str, share: float) -> None:
        shapes = self.script.shapes
        shape = shapes.get((one, other)) or shapes[other, one]
        self.mesh.network.shape(one, other, bytes_per_s=shape.bytes_per_s * share)

    # -- services --------------------------------------------------------------------------------------------

    def kill_target(self, name: str) -> None:
        """Kill the services near an agent."""
        for host in self._services_of(name):
            if self.mesh.world.dispatcher(host).actors:
                self._note("kill_target", host)
                self.dead_targets.add(host)
                self.mesh.world.crash(host)

    def start_target(self, name: str) -> None:
        """Start them again."""
        for host in self._services_of(name):
            if not self.mesh.world.dispatcher(host).actors:
                self._note("start_target", host)
                self.dead_targets.discard(host)
                self.mesh.serve(host)

    def _services_of(self, name: str) -> list[str]:
        return [service_host(key, name) for key, names in self.script.map.endpoints.items() if name in names]


def _key_limits(settings: Settings) -> KeyLimits:
    least_s = min(LEAST_KEY_AGE_S, settings.session_key_s / LEAST_SHARE)
    byte_count = int(settings.session_key_kib * 1024)
    return KeyLimits(age_s=settings.session_key_s, byte_count=byte_count, least_age_s=least_s)


def service_host(key: str, agent: str) -> str:
    """The host of the service that ``agent`` offers under ``key``."""
    return f"{key}.{agent}"


def other_service_host(key: str, agent: str) -> str:
    """The host of the service that ``agent`` offers under ``key`` once its endpoint leads to another."""
    return f"other.{service_host(key, agent)}"
