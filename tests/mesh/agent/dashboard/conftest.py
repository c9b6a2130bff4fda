"""A source whose answers a test chooses, and one mesh of three agents to show."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec
import pytest
from falcon import testing

from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import AsideExit, DashboardSnapshot, PeerStatus, ServiceStatus, Stats
from mesh.routing.agent_views import AgentView
from mesh.routing.shared_paths import Paths, PathSearch
from mesh.trust.identity import AgentId
from tests.mesh.agent.dashboard.clients import MakeApp, client_of

NOON = 1_796_040_000.0
"""2026-11-30 12:00 UTC, when the agent started."""

BRANCH, RELAY, HQ = (AgentId(bytes([number]) * 16) for number in (1, 2, 3))


class Grant(msgspec.Struct, frozen=True):
    def allows_register(self, key: str) -> bool:
        return True

    def allows_use(self, key: str) -> bool:
        return key != "secret"


class Endpoint(msgspec.Struct, frozen=True):
    key: str
    target: str | None


class Listener(msgspec.Struct, frozen=True):
    key: str
    address: str


class Agent(msgspec.Struct, frozen=True):
    agent_id: AgentId
    name: str
    endpoints: tuple[Endpoint, ...] = ()
    listeners: tuple[Listener, ...] = ()
    certificate: Grant = Grant()


class Routes(msgspec.Struct, frozen=True):
    own_id: AgentId
    records: Mapping[AgentId, AgentView]
    usable_count: int = 2

    def paths_from_each(self, _: Collection[AgentId]) -> PathSearch:
        return self._paths_from

    def _paths_from(self, source: AgentId) -> Paths:
        """Paths along a chain of all agents, in the order of the records."""
        chain = list(self.records)
        begin = chain.index(source)
        return {
            end: tuple(chain[begin : place + 1] if place >= begin else chain[place : begin + 1][::-1])
            for place, end in enumerate(chain)
        }


def three_agents() -> DashboardSnapshot:
    branch = Agent(
        BRANCH, "branch", listeners=(Listener("api", "127.0.0.1:8001"), Listener("<b>", "[::1]:8002"))
    )
    hq = Agent(HQ, "hq", endpoints=(Endpoint("api", "localhost:3000"), Endpoint("db", None)))
    return DashboardSnapshot(
        agent_id=BRANCH,
        name="branch",
        instance=b"\xee" * 16,
        peers=(
            PeerStatus(
                agent_id=RELAY,
                name="relay",
                state="connected",
                rtt_ms=0.51239,
                is_dialer=True,
                address="192.0.2.7:4433",
            ),
            PeerStatus(
                agent_id=None,
                name="",
                state="dialing",
                rtt_ms=None,
                is_dialer=True,
                address="lost.example:4433",
            ),
        ),
        stats=Stats(
            stream_count=3,
            open_connections=2,
            actors=17,
            unacknowledged_segments=5,
            counters={"frames_dropped_total": 4},
        ),
        routes=Routes(BRANCH, {BRANCH: branch, RELAY: Agent(RELAY, "relay"), HQ: hq}),
        listeners=(
            ServiceStatus(
                key="api",
                address="127.0.0.1:8001",
                state=ServiceState.REFUSING,
                since_unix_s=NOON + 60.0,
                reason="one client",
                aside=(AsideExit(HQ, "hq", "refused", NOON + 60.0, NOON + 90.0),),
            ),
        ),
        endpoints=(ServiceStatus("ssh", "127.0.0.1:22", ServiceState.OFFERED),),
        started_unix_s=NOON,
        certificate_ends_unix_s=NOON + 10 * 86_400.0,
        now_unix_s=NOON + 86_400.0,
        awaits_at=("0.0.0.0:4433",),
    )


class FakeSource:
    """Answers what ``answer`` returns or raises; ``block()`` makes it hang until the test is over."""

    def __init__(self) -> None:
        self.answer: Callable[[], DashboardSnapshot] = three_agents
        self.calls = 0
        self.running = 0
        self.most_running = 0
        self.timeouts: list[float] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self._lock = threading.Lock()

    def block(self) -> None:
        self.go_on.clear()

    def dashboard_snapshot(self, timeout_s: float) -> DashboardSnapshot:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.timeouts.append(timeout_s)
        self.entered.release()
        try:
            self.go_on.wait()
            return self.answer()
        finally:
            with self._lock:
                self.running -= 1


@pytest.fixture
def source() -> Iterator[FakeSource]:
    source = FakeSource()
    yield source
    source.go_on.set()


@pytest.fixture
def make_app(source: FakeSource) -> Iterator[Callable[..., DashboardApp]]:
    made: list[DashboardApp] = []

    def make(**options: object) -> DashboardApp:
        app = DashboardApp(source, version="1.2.3", **({"fresh_s": 0.0} | options))
        made.append(app)
        return app

    yield make
    source.go_on.set()
    for app in made:
        app.close()


@pytest.fixture
def snapshot() -> DashboardSnapshot:
    return three_agents()


@pytest.fixture
def client(make_app: MakeApp) -> testing.TestClient:
    return client_of(make_app())
