"""An agent as commands ask it: the API over a mesh that a test may change."""

import msgspec

from mesh.addresses import TcpAddress
from mesh.agent.control.behind import Behind
from mesh.agent.dashboard.document import DocumentEncoder
from mesh.agent.dashboard.single_flight import Answer
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import AsideExit, PeerStatus, ServiceStatus
from mesh.agent.findings import Finding, FindingKind
from mesh.agent.layers import Layers
from mesh.agent.outcome import Outcome, Verdict
from mesh.config.schema import Config, EndpointSection, ForwardSection, ListenerSection
from mesh.routing.pairings import UnmatchedListener
from tests.mesh.agent.control.test_reading import BRANCH, HQ, RELAY, snapshot
from tests.mesh.agent.dashboard.conftest import NOON, Endpoint, Listener

NOW = NOON + 1_800
DAY_S = 86_400


def listener(key, port):
    return ListenerSection(key=key, address=TcpAddress("127.0.0.1", port))


def listening(key, port, state=ServiceState.OPEN, **more):
    address = f"127.0.0.1:{port}"
    return ServiceStatus(key, address, state, configured=address, **more)


FILE = Config(
    forward=ForwardSection(
        endpoints=(
            EndpointSection(key="own", target=TcpAddress("127.0.0.1", 80)),
            EndpointSection(key="ssh", target=TcpAddress("127.0.0.1", 22)),
        ),
        listeners=(listener("api", 8001), listener("taken", 5432), listener("old", 5433)),
    )
)


def shown():
    """Branch, the agent that is asked, relay and hq."""
    base = snapshot()
    branch = msgspec.structs.replace(
        BRANCH,
        endpoints=(Endpoint("own", "127.0.0.1:80"),),
        listeners=(Listener("api", "127.0.0.1:8001"), Listener("old", "127.0.0.1:5433")),
    )
    relay = msgspec.structs.replace(RELAY, listeners=(Listener("own", "127.0.0.1:6000"),), draining=True)
    records = {each.agent_id: each for each in (branch, relay, HQ)}
    return msgspec.structs.replace(
        base,
        routes=msgspec.structs.replace(base.routes, records=records),
        problems=(Finding(FindingKind.LISTENER, "listener taken at :5432: port taken", since_unix_s=NOON),),
        warnings=(Finding(FindingKind.CERTIFICATE, "the certificate expires", "renew it"),),
        listeners=(
            listening(
                "api",
                8001,
                since_unix_s=NOON,
                aside=(AsideExit(b"\x08" * 16, "hq2", "refused", NOW - 60, NOW + 10),),
            ),
            listening("taken", 5432, ServiceState.CLOSED, since_unix_s=NOON, reason="port taken"),
            listening("old", 5433),
        ),
        endpoints=(
            ServiceStatus("own", "127.0.0.1:80", ServiceState.OFFERED, NOON),
            ServiceStatus("ssh", "127.0.0.1:22", ServiceState.WITHDRAWN, NOON, "down"),
        ),
        peers=(
            PeerStatus(RELAY.agent_id, "relay", "connected", 1.25, True, "relay:4433", since_unix_s=NOON),
            PeerStatus(None, "", "dialing", None, True, "gone:4433", "Connection refused"),
        ),
        portless=(UnmatchedListener("taken", BRANCH.agent_id, "branch", "127.0.0.1:5432", "port taken"),),
        withheld=(),
        socks=(),
        started_unix_s=NOON,
        certificate_ends_unix_s=NOON + 10 * DAY_S,
        now_unix_s=NOW,
        awaits_at=(),
    )


class Asked:
    """The agent; its mesh, what it should be, and what its changes come to are for a test to set."""

    def __init__(self):
        self.snapshot = shown()
        self.layers = Layers(FILE, ())
        self.outcome = Outcome(
            Verdict.DONE, added=("endpoint a",), removed=("peer x:1",), at_start=("agent.name",)
        )

    def behind(self):
        return Behind(self, lambda: Answer(self.snapshot, 0.0, NOW), DocumentEncoder("1").pairings)

    def expecting(self, revision):
        assert revision is None
        return self

    def desired(self):
        return self.layers.shown

    def reload(self):
        return self.outcome

    def plan(self, path):
        return self.outcome
