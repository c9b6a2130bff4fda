"""What an agent counts and remembers, for people and for the metrics.

Plain integers that actors of one dispatcher raise and the HTTP side reads, and what has happened; no decision
is taken from them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from actors.key_meters import MAX_NAMED_KEYS, KeyMeters
from actors.listener_meter import ListenerMeter, NamedMeter
from actors.messages import connection as connection_messages
from actors.peer_meters import PeerMeters
from actors.runtime.seam import Ref
from mesh.alarms import AlarmBook
from mesh.connection.endings import ConnectionRecord
from mesh.connection.open_connections import OpenConnections
from mesh.connection.recorder import Recorder
from mesh.journal import Journal


def unheard(record: ConnectionRecord, unix_s: float) -> None:
    """Of an agent that does not write its connections down for good."""


@dataclass(slots=True)
class Meters:
    """Counters since the start of this instance."""

    links_refused: int = 0
    """Peer connections that ended before they became a link: garbage, time-outs, certificates refused."""
    peers_unexpected: int = 0
    """Times that another agent answered than the one that ``peers[].id`` names."""
    links_broken: int = 0
    """Links that ended because the peer broke the protocol."""
    links_rekeyed: int = 0
    """Times that a link has got new keys."""
    links_lost: int = 0
    """Established links that ended for any reason."""
    frames_forwarded: int = 0
    bytes_forwarded: int = 0
    """Bodies passed on for others."""
    frames_expired: int = 0
    """Frames dropped because their hop limit was used up."""
    frames_returned: int = 0
    """Frames of connections dropped because a link brought them in this agent's own name."""
    frames_unroutable: int = 0
    """Frames dropped because no link leads to their destination, or only the one that they came by."""
    opens_held_back: int = 0
    """OPENs not passed on: too many in the names of agents that this is no shortest way from."""
    frames_unknown: int = 0
    """Frames for connections that do not exist here."""
    connections_rekeyed: int = 0
    """Times that an end of a connection has got new keys."""
    frames_forged: int = 0
    """Bodies of connections that did not authenticate."""
    clients_accepted: int = 0
    clients_refused: int = 0
    """Clients reset because their listener was at ``max_connections``."""
    socks_refused: int = 0
    """Clients of SOCKS listeners that were refused before an exit was asked."""
    clients_turned_away: int = 0
    """Clients and peers reset because too few descriptors were left."""
    loops_cut: int = 0
    """Clients reset because they were connections of the mesh itself, on their way round in a circle."""
    accepts_paused: int = 0
    """Times that accepting paused for lack of descriptors or memory."""
    opens_answered: int = 0
    opens_rejected: int = 0
    opens_ignored: int = 0
    """OPENs dropped unanswered: replays, unknown agents, too many pending or failing."""
    opens_unknown_pair: int = 0
    """OPENs under a pair session that is not known here: answered with UNKNOWN."""
    opens_denied: int = 0
    """OPENs rejected because no place or memory was left for them, or their agent had its share."""
    opens_beyond_share: int = 0
    """OPENs rejected because their agent had its share of this agent's places, while others had room."""
    opens_not_allowed: int = 0
    """OPENs rejected because their endpoint's ``allow`` does not name the agent that asks."""
    offers_disbelieved: int = 0
    """Agents that offered a listener's key and are not in its ``agents``."""
    offers_new: int = 0
    """Agents that came to offer a listener's key beside others that had offered it before."""
    candidates_set_aside: int = 0
    """Times that a listener set a candidate aside because it had failed."""
    first_hops_suspected: int = 0
    """Times that a peer was found to lose what it is to pass on to a destination."""
    health_checks_failed: int = 0
    endpoints_withdrawn: int = 0
    """Times that an endpoint's key was withdrawn because its target was found down."""
    connections_reset: int = 0
    """Connections that ended here in another way than in order, whoever broke them off; each counts once."""
    enrolments: int = 0
    """Certificates that this agent has signed, for agents that joined by an invitation or renewed theirs."""
    enrolments_refused: int = 0
    """Times that an agent asked this one for a certificate and got none."""
    requests_foreign: int = 0
    """Requests at ``http.address`` by pages of other sites, or for hosts of another name."""
    tokens_refused: int = 0
    """Requests at ``http.address`` whose token is not good for them, however many of them are told of."""
    bytes_sent: int = 0
    """Plaintext bytes taken from local sockets."""
    bytes_received: int = 0
    """Plaintext bytes handed to local sockets."""
    alarms: AlarmBook = field(default_factory=AlarmBook)
    """What one member does to another, by kind and member."""
    journal: Journal = field(default_factory=Journal)
    open_connections: OpenConnections[Ref[connection_messages.EndInbound]] = field(
        default_factory=OpenConnections
    )
    """Those that end here, to be asked or closed."""
    recorder: Recorder = field(default_factory=Recorder)
    connection_ended: Callable[[ConnectionRecord, float], None] = unheard
    """Told of each that has ended here, and when (Unix seconds); it does not wait."""

    listeners: dict[str, ListenerMeter] = field(default_factory=dict)
    """Of each that runs, by what the agent calls it."""
    named: dict[str, NamedMeter] = field(default_factory=dict)
    """Of each key that clients ask for by name, by the URN of its actor."""
    listened: KeyMeters = field(default_factory=KeyMeters)
    """Of the keys whose clients this agent lets in."""
    served: KeyMeters = field(default_factory=KeyMeters)
    """Of the keys that this agent's endpoints offer."""
    peers: PeerMeters = field(default_factory=PeerMeters)

    def connection_rekeyed(self) -> None:
        """An end of a connection has got new keys."""
        self.connections_rekeyed += 1

    @property
    def has_room_for_named(self) -> bool:
        """Whether one more key that clients ask for by name can have figures of its own."""
        return len(self.named) < MAX_NAMED_KEYS

    def figures(self) -> dict[str, int]:
        """The counters by their names."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.type is int}
