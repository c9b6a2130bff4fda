"""What each figure of ``/metrics`` says, for people.

Most say what their field in :class:`actors.meters.Meters` or :class:`mesh.routing.effects.RouteCounts` says.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accepts_paused_total": "Times that accepting paused for lack of descriptors or memory.",
        "actors": "Actors alive in this process.",
        "agents": "Agents that this one has a record of, itself included.",
        "candidates_set_aside_total": "Times that a listener set a candidate aside because it had failed.",
        "clients_accepted_total": "Clients that this agent's listeners accepted.",
        "clients_refused_total": "Clients reset because their listener was at max_connections.",
        "clients_turned_away_total": "Clients and peers reset because too few descriptors were left.",
        "connections_reset_total": "Connections that ended at this agent in another way than in order.",
        "endpoints_withdrawn_total": "Times that a key was withdrawn because its target was found down.",
        "frames_expired_total": "Frames dropped because their hop limit was used up.",
        "frames_forged_total": "Frames of connections dropped because they did not authenticate.",
        "frames_forwarded_total": "Frames passed on for other agents.",
        "frames_unknown_total": "Frames for connections that do not exist here.",
        "frames_unroutable_total": "Frames dropped because no other link leads to their destination.",
        "health_checks_failed_total": "Health checks of endpoints' targets that failed.",
        "links": "Peers that the route table has a link to.",
        "links_broken_total": "Links that ended because the peer broke the protocol.",
        "links_lost_total": "Established links that ended for any reason.",
        "links_refused_total": "Connections of peers that ended before they became a link.",
        "loops_cut_total": "Clients kept from an exit, or reset, because they came from the mesh themselves.",
        "bytes_forwarded_total": "Bytes of frames' bodies passed on for other agents.",
        "bytes_received_total": "Plaintext bytes handed to local sockets.",
        "bytes_sent_total": "Plaintext bytes taken from local sockets.",
        "open_connections": "Established tunneled connections that this agent is an end of.",
        "opens_answered_total": "Connections that this agent's endpoints accepted.",
        "opens_denied_total": "Connections rejected because their endpoint was at max_connections.",
        "opens_ignored_total": "Requests for connections dropped unanswered: replayed, unknown, too many.",
        "opens_rejected_total": "Connections that this agent's endpoints rejected.",
        "pages_missing": "Pages of other agents' endpoints and listeners that have not come yet.",
        "pages_taken_total": "Pages of other agents' endpoints and listeners that came and were taken.",
        "pages_unnamed_total": "Pages dropped because no record names them, or because they are here.",
        "peer_count": "Peers with a live link.",
        "pending_opens": "Connections that are being opened to this agent's endpoints.",
        "queue_drops_total": "Frames of data dropped because the queue of their link had no room.",
        "records_aged_total": "Records that came too old to be taken.",
        "records_duplicate_total": "Records that came again over another link.",
        "records_early_total": "Records held back because their agents say more than they need to.",
        "records_expired_total": "Records dropped because their agents had not renewed them.",
        "records_older_total": "Records that came although a newer one of their agent is known.",
        "records_originated_total": "Records of itself that this agent has made.",
        "records_refused_certificate_total": "Records refused for their agent's certificate.",
        "records_refused_full_total": "Records refused because the table is full.",
        "records_refused_offence_total": "Records refused because they break the protocol.",
        "records_stored_total": "Records that were news and were taken.",
        "relay_buffer_bytes": "Bytes of memory that data holds in the send queues of all links.",
        "route_count": "Pairs of routing key and exit agent that this agent can use.",
        "routes_computed_total": "Times that all routes were computed anew.",
        "stream_buffer_bytes": "Bytes reserved for the buffers of connections that end here.",
        "stream_count": "Streams held as ingress or exit, those still opening included.",
        "unacknowledged_segments": "Segments sent that their receivers have not acknowledged.",
    }
)
