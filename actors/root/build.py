"""What all parts of one build of an agent find: its surroundings, its core, and what it makes things from."""

import resource
import sys

import msgspec

from actors.connections.connection_settings import ConnectionSettings
from actors.connections.endpoint_refs import EndpointRefs
from actors.links.budgets import peer_budgets
from actors.links.settings import LinkSettings
from actors.messages import agent as agent_messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.root.setup import AgentSetup
from actors.runtime.descriptors import OWN_DESCRIPTORS, spare_descriptors
from actors.runtime.reference import ActorRef
from actors.runtime.seam import Dispatcher, Ref
from mesh.config.policy import policy_of
from mesh.config.schema import Config, EndpointSection
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.door import Door
from mesh.connection.key_stock import KeyStock
from mesh.connection.key_terms import KeyTerms
from mesh.connection.pair_sessions import PairSessions
from mesh.connection.party import Party
from mesh.connection.shares import Shares
from mesh.connection.source_address import SECRET_FOR
from mesh.connection.stream import StreamBudget
from mesh.link.opening import mac_key
from mesh.link.rekeying import KeySource
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import INSTANCE_BYTES, Instance
from mesh.trust.naming import named
from mesh.trust.noise.primitives import SharedSecrets, key_pair


class Surroundings(msgspec.Struct, frozen=True):
    """What every build of an agent finds, and what outlives it."""

    dispatcher: Dispatcher
    setup: AgentSetup
    meters: Meters
    budget: StreamBudget
    relay_budget: RelayBudget
    root: Ref[agent_messages.Inbound]


class Core(msgspec.Struct, frozen=True):
    """The actors that all others need."""

    route_table: ActorRef[route_messages.Inbound]
    connection_table: ActorRef[table_messages.Inbound]
    loopback: ActorRef[link_messages.SendFrames]
    directory: ActorRef[directory_messages.Inbound]


class Build:
    """One instance in the mesh, with keys of its own: what its connections and links are made from.

    Args:
        around: of this build and of those before and after it.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        dispatcher, setup = around.dispatcher, around.setup
        self.instance = Instance(dispatcher.random_bytes(INSTANCE_BYTES))
        static = key_pair(dispatcher.random_bytes(32))
        self.doors: dict[str, Door] = {}
        shared = SharedSecrets(static)
        ephemerals = KeyStock(dispatcher.random_bytes, dispatcher.now)
        self.connections = ConnectionSettings(
            party=Party(id=setup.identity.id, instance=self.instance, session_key=static.public),
            static=static,
            shared=shared,
            budget=around.budget,
            numbers=ConnectionNumbers(),
            places=Shares(exit_places(setup.descriptor_limit)),
            ephemerals=ephemerals,
            pairs=PairSessions(setup.pair_limits),
            terms=KeyTerms(
                static, shared, ephemerals.make, around.meters.connection_rekeyed, setup.connection_keys
            ),
            config=setup.config,
            policy=policy_of(setup.config),
            special=_special(setup.config),
            doors=self.doors,
            source_secret=setup.identity.secret_for(SECRET_FOR),
            own_label=_own_label(setup),
            network=setup.network,
        )
        self.links = LinkSettings(
            identity=setup.identity,
            certificate=setup.certificate_wire,
            instance=self.instance,
            key_source=KeySource(
                static=key_pair(dispatcher.random_bytes(32)),
                fresh=lambda: key_pair(dispatcher.random_bytes(32)),
                limits=setup.rekey_limits,
            ),
            trust=setup.trust,
            relay_budget=around.relay_budget,
            config=setup.config,
            budgets=peer_budgets(),
            versions=setup.versions,
            features=setup.features,
        )
        self.opening_keys = _opening_keys(setup.trust)
        """What strangers are to know one of, by the authorities."""
        self.endpoints = EndpointRefs()

    def certify(self, setup: AgentSetup) -> None:
        """Have the credentials of ``setup`` for what is made from now on."""
        self.around = msgspec.structs.replace(self.around, setup=setup)
        self.opening_keys = _opening_keys(setup.trust)
        self.links = msgspec.structs.replace(
            self.links, certificate=setup.certificate_wire, trust=setup.trust
        )
        self.connections = msgspec.structs.replace(self.connections, own_label=_own_label(setup))

    def configure(self, config: Config) -> None:
        """Have ``config`` for what is made from now on: links, connections, and services made anew."""
        setup = msgspec.structs.replace(self.around.setup, config=config)
        self.around = msgspec.structs.replace(self.around, setup=setup)
        self.links = msgspec.structs.replace(self.links, config=config)
        self.connections = msgspec.structs.replace(
            self.connections, config=config, policy=policy_of(config), special=_special(config)
        )


def _own_label(setup: AgentSetup) -> str:
    return named(setup.certificate.name, setup.identity.id)


def _opening_keys(trust: TrustStore) -> tuple[bytes, ...]:
    return tuple(map(mac_key, trust.authorities))


def _special(config: Config) -> dict[str, EndpointSection]:
    """The endpoints whose targets learn who connects, by key."""
    return {each.key: each for each in config.forward.endpoints if each.proxy_protocol or each.source_address}


def exit_places(descriptor_limit: int) -> int:
    """Connections to targets that there are descriptors for; listeners' clients take of the same.

    More would run out of descriptors before a share of them is denied to whoever holds most.
    """
    if descriptor_limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, descriptor_limit - spare_descriptors(descriptor_limit) - OWN_DESCRIPTORS)
