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
    "actors.runtime.descriptors.SO_PASSRIGHTS",
    "actors.accepting.ACCEPTS_PER_TURN",
    "actors.connections.connection_end.MOST_READ_BYTES",
    "actors.connections.connection_end.READS_PER_TURN",
    "actors.connections.due.FIRST_LOOK_S",
    "mesh.link.bodies.MAX_BODY_PLAINTEXT_BYTES",
    "mesh.routing.records.SESSION_KEY_BYTES",
    "mesh.connection.session_keys.MESSAGE_BYTES",
    "mesh.connection.replay_window.DEFAULT_SIZE",
    "mesh.connection.session_handshake.FULL_OPEN",
    "mesh.connection.session_handshake.INSTANCES_BYTES",
    "mesh.routing.service_layout.SHOWN_KEYS",
    "mesh.connection.ingress_opening.MAX_NAMED",
    "mesh.connection.stream.acknowledging.NO_PROBE",
}
"""Numbers that no peer can observe, that the layouts show, or that an agent does not use."""


def amount(text):
    """A value with its unit, in octets, seconds or as it is."""
    number, _, unit = text.replace(",", "").partition(" ")
    return Fraction(number) * UNITS[unit]


def configured(key):
    """The default of a configuration key, such as ``limits.stream_buffer``."""
    value = Config()
    for name in key.split("."):
        (field,) = (field for field in msgspec.structs.fields(value) if field.encode_name == name)
        value = getattr(value, field.name)
    return value


def of_the_code(name):
    """The constant, or the default of a field of a struct, that a full name stands for."""
    module, _, rest = name.partition(".")
    while "." in rest and rest.split(".")[0].islower():
        part, _, rest = rest.partition(".")
        module += f".{part}"
    value = importlib.import_module(module)
    for part in rest.split("."):
        if isinstance(value, type) and issubclass(value, msgspec.Struct):
            (field,) = (field for field in msgspec.structs.fields(value) if field.name == part)
            value = field.default
        else:
            value = getattr(value, part)
    return value


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row[0])
def test_each_timer_and_limit_is_that_of_the_code(row):
    name, text, configured_by, reason = row
    value = amount(text)
    if configured_by != "fixed":
        assert value == Fraction(str(configured(configured_by)))
    if name != configured_by:
        base = 1000 if name.endswith("_MS") else 1
        assert value * base == Fraction(str(of_the_code(name)))
    assert reason


def test_every_number_of_the_protocol_is_documented():
    documented = {name for name, *_ in LIMITS}
    for module_name in LIMIT_MODULES:
        tree = ast.parse((ROOT / (module_name.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = f"{module_name}.{node.target.id}"
                is_number = type(of_the_code(name)) in (int, float)
                if is_number and not node.target.id.startswith("_"):
                    assert (name in documented) != (name in NOT_OF_THE_PROTOCOL), name


def test_every_name_in_the_text_stands_in_a_table():
    known = {"trust.authorities"} | {row[2] for row in LIMITS}
    for name, *_ in LIMITS:
        parts = name.split(".")
        known |= {".".join(parts[start:]) for start in range(len(parts))}
    kinds = (FrameType, HandshakeState, LinkState, RekeyingState, DialerState)
    enums = (*kinds, states.State, states.Event, ResetCode, Step)
    known |= {member.name for kind in enums for member in kind}
    names = re.findall(r"`(\w*[A-Z]{2}[A-Z_]*|[a-z]+\.[a-z_]+|[A-Z]\w+\.\w+)`", TEXT)
    assert len(names) > 100
    assert [name for name in names if name not in known] == []
