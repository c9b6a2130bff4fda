"""An agent whose API is asked: three agents in its mesh, and services that come and go as somebody asks."""

from pathlib import Path
from typing import Final, Self

from mesh.agent.audit.entries import encoded
from mesh.agent.audit.trail import Trail
from mesh.agent.audit.trail_files import CHANGES
from mesh.agent.control.api import ApiApp, ThroughMesh, all_routes
from mesh.agent.control.behind import Behind
from mesh.agent.dashboard.document import DocumentEncoder
from mesh.agent.dashboard.single_flight import Answer
from mesh.agent.dashboard.status import DashboardSnapshot, Stats
from mesh.agent.enrolment.inviting import Invited, NoInviting, Wanted
from mesh.agent.enrolment.issued import NotIssuedError
from mesh.agent.layers import Desired, Layers
from mesh.agent.outcome import Added, Outcome, OutdatedError, RefusedError, Verdict
from mesh.auditing import AuditKind
from mesh.config.extra import Extra
from mesh.config.loading import parse_config
from mesh.config.problems import ConfigError
from mesh.config.schema import Config
from mesh.config.services import service_name
from mesh.routing.records import EndpointEntry, ListenerEntry, Neighbour, RecordBody, trusted_record
from mesh.routing.routes import RouteSnapshot, compute_routes
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import Instance, display_id
from scripts.fuzzing.folder import emptied
from scripts.fuzzing.people import ME, MY_CERTIFICATE, THEIR_ISSUER, THEM, UNIX_NOW, YOU, YOUR_CERTIFICATE

_CERTIFIED: Final = ((ME, MY_CERTIFICATE), (YOU, YOUR_CERTIFICATE), (THEM, THEIR_ISSUER))


def _routes() -> RouteSnapshot:
    records = {}
    for identity, certificate in _CERTIFIED:
        body = RecordBody(
            public_key=identity.public_key,
            epoch=1,
            sequence=1,
            instance=Instance(bytes(16)),
            session_key=bytes(32),
            certificate=certificate,
            relays=True,
            draining=False,
            withdrawn=False,
            neighbours=tuple(Neighbour(other.id, 1) for other, _ in _CERTIFIED if other is not identity),
            endpoints=(EndpointEntry("svc", "t:1"),),
            listeners=(ListenerEntry("svc", "127.0.0.1:1"),),
        )
        records[identity.id] = trusted_record(body, read_certificate(certificate))
    return compute_routes(ME.id, records, max_hops=8, version=1)


class _Inviting(NoInviting):
    """Has invited nobody yet."""

    def invite(self, wanted: Wanted) -> Invited:
        """Invite nobody of one name."""
        if wanted.name == "nobody":
            raise NotIssuedError("it may not")
        return Invited("meshjoin_x", UNIX_NOW, wanted.valid_s or 1)


class Agent:
    """Implements :class:`~mesh.agent.control.steering.Steering` over nothing but what it is told.

    It has no memory, so that an input always leads to the same answer.
    """

    def __init__(self) -> None:
        self.id: Final = display_id(ME.id)
        self._layers = Layers(Config(), ())
        self._snapshot = DashboardSnapshot(
            agent_id=ME.id, name="me", instance=bytes(16), peers=(), stats=Stats(0, 0, 0, 0), routes=_routes()
        )

    def status(self) -> Answer[DashboardSnapshot]:
        """What its actors would say."""
        return Answer(self._snapshot, 0.0, UNIX_NOW)

    def expecting(self, revision: str | None) -> Self:
        """Be of revision 1."""
        if revision not in (None, "1"):
            raise OutdatedError("the revision is 1")
        return self

    def desired(self) -> Desired:
        """Nothing is."""
        return self._layers.shown

    def drain(self, *, draining: bool) -> None:
        """Do nothing."""

    def advertise(self) -> None:
        """Do nothing."""

    def reload(self) -> Outcome:
        """Refuse: the file is wrong."""
        return Outcome.refused(("config.yaml:1: wrong",))

    def plan(self, path: Path | None) -> Outcome:
        """Refuse."""
        return Outcome.refused((f"{path}: there is no such file",))

    def plan_text(self, text: str) -> Outcome:
        """Judge a configuration."""
        data, here = text.encode("utf-8", "replace"), Path("/")
        try:
            parse_config(data, file="f", directory=here, environment={}, host_name="h")
        except ConfigError as error:
            return Outcome.refused(tuple(map(str, error.problems)))
        return Outcome(Verdict.DONE)

    def replace_saved(self, saved: tuple[Extra, ...], *, dry_run: bool) -> Outcome:
        """Say what would be different."""
        del dry_run
        return Outcome(Verdict.DONE, added=tuple(map(service_name, saved)))

    def hold(self, service: Extra, hold_s: float) -> Added:
        """Hold it, or refuse."""
        assert 1 <= hold_s <= 3600  # noqa: S101
        if service.key == "taken":
            raise RefusedError("there is one already")
        return Added(service_name(service), "a", "1")

    def save(self, service: Extra) -> Added:
        """Save it."""
        return Added(service_name(service), "a", None)

    def renew(self, lease: str, hold_s: float) -> bool:
        """Know one lease."""
        assert 1 <= hold_s <= 3600  # noqa: S101
        return lease == "1"

    def release(self, lease: str) -> bool:
        """Know one lease."""
        return lease == "1"

    def remove(self, kind: str, key: str, address: str | None, *, resets: bool = False) -> None:
        """Know one key."""
        if key != "svc":
            raise RefusedError("there is none")


def api_of(agent: Agent) -> ApiApp:
    """All routes, for whoever was let in."""
    folder = emptied("api-audit")
    trail = Trail(folder, CHANGES, file_bytes=400, files=3)
    for number in range(9):
        trail.write([encoded(AuditKind.STARTED, UNIX_NOW, {"agent": "me", "count": number})], UNIX_NOW)
    trail.close()
    behind = Behind(
        agent, agent.status, DocumentEncoder("1").pairings, inviting=_Inviting(), audit_dir=folder
    )
    return ApiApp(all_routes(behind), (ThroughMesh(),))
