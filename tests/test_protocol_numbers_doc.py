"""Every timer, limit and name in the protocol's documents is that of the code, and none is missing."""

import ast
import importlib
import re
from fractions import Fraction

import msgspec
import pytest

from actors.links.dialer import State as DialerState
from mesh.config.schema import Config
from mesh.connection.session_keys import Step
from mesh.connection.stream import states
from mesh.connection.stream.control import ResetCode
from mesh.link.frames import FrameType
from mesh.link.handshake import State as HandshakeState
from mesh.link.rekeying import State as RekeyingState
from mesh.link.states import LinkState
from tests.protocol_text import LIMITS, ROOT, TEXT

UNITS = {
    "": 1,
    "octets": 1,
    "bytes": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "ms": Fraction(1, 1000),
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86_400,
}
LIMIT_MODULES = (
    "actors.accepting",
    "actors.links.acceptor",
    "actors.root.agent",
    "actors.messages.client_count",
    "actors.connections.connection_end",
    "actors.connections.due",
    "actors.connections.connection_table",
    "actors.links.dialer",
    "actors.connections.exit_connection",
    "actors.connections.ingress_connection",
    "actors.connections.inside_services",
    "actors.diagnostics.desk",
    "actors.remote.steward",
    "mesh.diagnostics.serving",
    "mesh.remote.enrolment",
    "mesh.remote.join_token",
    "mesh.remote.talks",
    "mesh.remote.wire",
    "mesh.connection.key_stock",
    "actors.links.forwarding",
    "actors.links.output",
    "actors.links.peer_directory",
    "actors.links.peer_link",
    "actors.route_table",
    "actors.runtime.descriptors",
    "mesh.connection.candidates",
    "mesh.connection.exit_opening",
    "mesh.connection.ingress_opening",
    "mesh.connection.open_admission",
    "mesh.connection.open_attempt",
    "mesh.connection.patience",
    "mesh.connection.repeating",
    "mesh.connection.stream.progress",
    "mesh.routing.detours",
    "mesh.routing.revocation_intake",
    "mesh.trust.revocations",
    "mesh.routing.flooding",
    "mesh.routing.straying",
    "mesh.routing.ways_back",
    "mesh.link.bodies",
    "mesh.link.own_frames",
    "mesh.link.control_lane",
    "mesh.link.data_lane",
    "mesh.link.handshake",
    "mesh.link.link",
    "mesh.link.opening",
    "mesh.link.rekeying",
    "mesh.link.proof",
    "mesh.rtt_steps",
    "mesh.reaching",
    "mesh.routing.database",
    "mesh.connection.loops",
    "mesh.routing.origination",
    "mesh.routing.page_table",
    "mesh.routing.records",
    "mesh.connection.replay_window",
    "mesh.routing.allowance",
    "mesh.routing.answers",
    "mesh.routing.early_records",
    "mesh.routing.epochs",
    "mesh.routing.record_store",
    "mesh.routing.runs",
    "mesh.routing.route_computation",
    "mesh.routing.work_steps",
    "mesh.routing.routes",
    "mesh.link.send_queue",
    "mesh.routing.service_layout",
    "mesh.connection.opening_payloads",
    "mesh.connection.pair_session",
    "mesh.connection.pair_sessions",
    "mesh.connection.session_handshake",
    "mesh.trust.certificates",
    "mesh.trust.issuing",
    "mesh.routing.software",
    "mesh.trust.extensions",
    "mesh.connection.waiting_room",
    "mesh.connection.shares",
    "mesh.connection.stream.acknowledging",
    "mesh.connection.stream.budget",
    "mesh.connection.stream.congestion",
    "mesh.connection.stream.liveness",
    "mesh.connection.stream.reached",
    "mesh.connection.stream.receive_half",
    "mesh.connection.stream.rtt",
    "mesh.connection.stream.send_half",
    "mesh.connection.stream.life",
    "mesh.connection.key_terms",
    "mesh.connection.session_keys",
    "mesh.connection.stream.window",
)
"""Modules of which every public number stands in the document."""

NOT_OF_THE_PROTOCOL = {
    "actors.links.reports.MAX_TROUBLE_CHARACTERS",
    "actors.accepting.ACCEPTS_PER_TURN",
    "actors.connections.connection_end.MOST_READ_BYTES",
    "actors.accepting.CROWD_S",
