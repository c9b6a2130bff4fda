"""What an agent is made of: which actors there are, and who knows whom.

The route table, the connection table, the loopback and the peer directory are the core: all others hold their
references. Endpoints, listeners, acceptors and dialers are services: see :mod:`actors.root.services`.
"""

from collections.abc import Callable

import msgspec

from actors.connections.arrived_open import ArrivedOpen
from actors.connections.connection_table import ConnectionTable
from actors.connections.control_end import ControlEnd
from actors.connections.exit_connection import ExitConnection
from actors.connections.inside_end import InsideEnd
from actors.connections.inside_services import InsideServices
from actors.links.loopback import Loopback
from actors.links.peer_directory import PeerDirectory
from actors.messages import connection as connection_messages
from actors.messages import connection_table as table_messages
from actors.messages import inside_end as inside_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.root.build import Build, Core, Surroundings
from actors.root.services import Services
from actors.route_table import RouteTable
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.config.schema import Config
from mesh.connection.pending_open import PendingOpen
from mesh.connection.reserved import CONTROL, ENROL, Caller
from mesh.diagnostics.serving import TALKS
from mesh.routing.origination import OwnAgent
from mesh.trust.certificates import TrustStore
from mesh.trust.credentials import Credentials


class Composition:
    """One build of an agent. Making it starts the core; whoever supervises the services starts them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._build = Build(surroundings)
        around = self._build.around
        self._may_relay = around.setup.certificate.may_relay
        """Whether others know already that the certificate permits it."""

        def start_end(
            service: str, caller: Caller, leave: Callable[[bool], None]
        ) -> Ref[inside_messages.Inbound]:
            if service in (CONTROL, ENROL):
                setup = around.setup
                serve = setup.serve_control if service == CONTROL else setup.serve_enrolment
                return ControlEnd.start(around.dispatcher, caller=caller, serve=serve, leave=leave)
            talk = TALKS[service](around.dispatcher.now())
            return InsideEnd.start(around.dispatcher, talk=talk, leave=leave)

        self._inside = InsideServices(around.dispatcher, start_end)
        self.core = self._start_core()
        self.services = Services(self._build, self.core, close_inside=self._inside.close)

    def configure(self, config: Config) -> None:
        """Have ``config`` for what is made from now on, and for the core."""
        self._build.configure(config)
        relays = self._may_relay and self._build.around.setup.relays
        tell_if_alive(self.core.route_table, route_messages.ChangeSettings(config.routing, relays))
        tell_if_alive(self.core.directory, directory_messages.ChangeRelaying(relays))
        policy = table_messages.PolicyChanged(self._build.connections.policy)
        tell_if_alive(self.core.connection_table, policy)
        limits = table_messages.ChangeLimits(config.limits.pending_opens)
        tell_if_alive(self.core.connection_table, limits)

    def use_rights(self) -> None:
        """Others know of the rights that the certificate gives."""
        setup = self._build.around.setup
        self._may_relay = setup.certificate.may_relay
        self.configure(setup.config)

    def certify(self, credentials: Credentials, reply_to: Ref[route_messages.CredentialsChanged]) -> None:
        """Have ``credentials`` for what is made from now on, and for the routes."""
        self._build.certify(self._build.around.setup.with_credentials(credentials))
        # Connections with those who are refused now end first: the other ends hear it while a path is left.
        tell_if_alive(self.core.connection_table, table_messages.TrustChanged(credentials.trust))
        change = route_messages.ChangeCredentials(credentials, reply_to)
        tell_if_alive(self.core.route_table, change)

    def revoke(self, trust: TrustStore) -> None:
        """Have ``trust``, which has other revocations, for what there is and is made from now on."""
        self._build.certify(msgspec.structs.replace(self._build.around.setup, trust=trust))
        self.judge_by(trust)

    def judge_by(self, trust: TrustStore) -> None:
        """End links and connections with those that ``trust`` refuses, whom no routes know any more.

        If this agent itself was revoked, it has no connections any more: the others end them as well.
        """
        tell_if_alive(self.core.connection_table, table_messages.TrustChanged(trust))
        tell_if_alive(self.core.directory, directory_messages.TrustChanged(trust))
        if (revoked := trust.revocation(self._build.around.setup.certificate)) is not None:
            who = self._build.around.setup.identity.id
            subject = "this agent" if revoked.agent_id == who else "the issuer of this agent"
            close = table_messages.CloseConnections(f"{subject} {revoked}")
            tell_if_alive(self.core.connection_table, close)

    def _start_core(self) -> Core:
        around, setup = self._build.around, self._build.around.setup
        route_table = RouteTable.start(
            around.dispatcher,
            identity=setup.identity,
            fixed=OwnAgent(
                certificate=setup.certificate_wire,
                session_key=self._build.connections.static.public,
                instance=self._build.instance,
                relays=setup.relays,
                software=setup.software,
            ),
            certificate=setup.certificate,
            trust=setup.trust,
            shared=self._build.connections.shared,
            reader=setup.reader,
            settings=setup.config.routing,
            alarms=around.meters.alarms,
            root=around.root,
        )

        def start_exit(
            arrived: ArrivedOpen, link: Ref[link_messages.SendFrames], pending: PendingOpen
        ) -> Ref[connection_messages.ExitInbound]:
            return ExitConnection.start(
                around.dispatcher,
                arrived,
                pending,
                link,
                self._build.endpoints.frozen(),
                self._inside,
                connection_table,
                self._build.connections,
                around.meters,
            )

        connection_table = ConnectionTable.start(
            around.dispatcher,
            own_id=setup.identity.id,
            instance=self._build.instance,
            numbers=self._build.connections.numbers,
            pairs=self._build.connections.pairs,
            start_exit=start_exit,
            max_pending_opens=setup.config.limits.pending_opens,
            policy=self._build.connections.policy,
            meters=around.meters,
        )
        loopback = Loopback.start(
            around.dispatcher, own_id=setup.identity.id, connection_table=connection_table
        )
        directory = PeerDirectory.start(
            around.dispatcher,
            own_id=setup.identity.id,
            relays=setup.relays,
            trust=setup.trust,
            route_table=route_table,
            connection_table=connection_table,
            loopback=loopback,
            meters=around.meters,
        )
        route_table.tell(route_messages.Subscribe(connection_table))
        return Core(route_table, connection_table, loopback, directory)
