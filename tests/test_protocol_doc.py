"""``docs/PROTOCOL.md`` and ``docs/IMPLEMENTATION.md`` say what the code does.

Compared are their tables, their numbers, and every octet of the protocol's example.
"""

import ast
import enum
import hashlib
import importlib
import re
import struct
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.signing import VerifyKey
from noise.connection import Keypair, NoiseConnection

from actors.links.dialer import State as DialerState
from mesh.config.schema import Config
from mesh.connection.reject_codes import RejectCode
from mesh.connection.session import CONTROL_TYPES, SEGMENT_TYPES
from mesh.connection.stream import states
from mesh.connection.stream.control import (
    Fin,
    Reset,
    ResetCode,
    encode_acknowledgement,
    encode_fin,
    encode_reset,
)
from mesh.link import frames
from mesh.link.frames import Frame, FrameType
from mesh.link.handshake import PREAMBLE
from mesh.link.handshake import State as HandshakeState
from mesh.link.states import LinkState
from mesh.routing.records import RecordBody
from mesh.trust import identity
from mesh.trust.certificates import Certificate
from tests.protocol_vectors import vectors

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
IMPLEMENTATION = (ROOT / "docs" / "IMPLEMENTATION.md").read_text(encoding="utf-8")
TEXT = f"{PROTOCOL}\n{IMPLEMENTATION}"
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
    "actors.connections.connection_table",
    "actors.links.dialer",
    "actors.connections.exit_connection",
    "actors.connections.ingress_connection",
    "mesh.connection.key_stock",
    "actors.links.output",
    "actors.links.peer_directory",
    "actors.links.peer_link",
    "actors.route_table",
    "actors.runtime.descriptors",
    "mesh.backoff",
    "mesh.connection.candidates",
    "mesh.connection.exit_opening",
    "mesh.connection.ingress_opening",
    "mesh.connection.open_attempt",
    "mesh.connection.patience",
    "mesh.connection.repeating",
    "mesh.routing.flooding",
    "mesh.link.bodies",
    "mesh.link.handshake",
    "mesh.link.link",
    "mesh.rtt_steps",
    "mesh.reaching",
    "mesh.routing.database",
    "mesh.connection.loops",
    "mesh.routing.origination",
    "mesh.routing.page_table",
    "mesh.routing.records",
    "mesh.connection.replay_window",
    "mesh.routing.router",
    "mesh.routing.routes",
    "mesh.link.send_queue",
    "mesh.routing.service_layout",
    "mesh.connection.session_handshake",
    "mesh.trust.certificates",
    "mesh.connection.waiting_room",
    "mesh.connection.stream.acknowledging",
    "mesh.connection.stream.budget",
    "mesh.connection.stream.congestion",
    "mesh.connection.stream.liveness",
    "mesh.connection.stream.receive_half",
    "mesh.connection.stream.rtt",
    "mesh.connection.stream.send_half",
    "mesh.connection.stream.stream",
    "mesh.connection.stream.window",
)
"""Modules of which every public number stands in the document."""

NOT_OF_THE_PROTOCOL = {
    "actors.accepting.ACCEPTS_PER_TURN",
    "actors.connections.connection_end.READS_PER_TURN",
    "mesh.link.bodies.MAX_BODY_PLAINTEXT_BYTES",
    "mesh.link.handshake.LINK_VERSION",
    "mesh.routing.records.SESSION_KEY_BYTES",
    "mesh.connection.replay_window.DEFAULT_SIZE",
    "mesh.routing.service_layout.SHOWN_KEYS",
    "mesh.connection.stream.acknowledging.NO_PROBE",
}
"""Numbers that no peer can observe, that the layouts show, or that an agent does not use."""


def tables(text):
    """Every table as a list of rows, each a list of cells without backticks around them; header first."""
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [
            [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")] for line in block.splitlines()
        ]
        yield [rows[0], *rows[2:]]


def table(*head, after=""):
    """The rows of the one table that starts with these columns, behind the line ``after``."""
    text = TEXT[TEXT.index(after) :]
    found = [rows for rows in tables(text) if tuple(rows[0][: len(head)]) == head]
    assert found, f"no table with the columns {head}"
    return found[0][1:]


LIMITS = [row for rows in tables(TEXT) if rows[0][:2] == ["name", "value"] for row in rows[1:]]


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
    enums = (FrameType, HandshakeState, LinkState, DialerState, states.State, states.Event, ResetCode)
    known |= {member.name for kind in enums for member in kind}
    names = re.findall(r"`(\w*[A-Z]{2}[A-Z_]*|[a-z]+\.[a-z_]+|[A-Z]\w+\.\w+)`", TEXT)
    assert len(names) > 100
    assert [name for name in names if name not in known] == []


def test_the_frame_types_are_those_of_the_code():
    rows = {row[0]: row[1:] for row in table("type", "value", "body")}
    assert {name: int(value, 16) for name, (value, *_) in rows.items()} == {
        each.name: each for each in FrameType
    }
    assert {name for name, row in rows.items() if row[2] == "link's own"} == {
        each.name for each in FrameType if each < frames.FIRST_CONNECTION_TYPE
    }
    assert {name for name, row in rows.items() if row[2] == "data"} == {each.name for each in SEGMENT_TYPES}
    assert {name for name, row in rows.items() if row[3] == "as a segment"} == {
        each.name for each in SEGMENT_TYPES
    }
    assert {name for name, row in rows.items() if row[3] == "as control"} == {
        each.name for each in CONTROL_TYPES
    }


def fields(rows, data):
    """The fields of a fixed layout as numbers, once it has been seen to be without gaps."""
    found, position = {}, 0
    for offset, size, name, *_ in rows:
        assert int(offset) == position, name
        found[name] = int.from_bytes(data[position : position + int(size)], "big")
        position += int(size)
    assert position == len(data)
    return found


def test_the_header_is_laid_out_as_drawn():
    source, destination = identity.AgentId(b"s" * 16), identity.AgentId(b"d" * 16)
    frame = Frame(FrameType.DATA, True, source, destination, 0x0102, 0x0304, b"body", 5, marked=True)
    byte_count = frames._encode_header(frame, len(frame.body))
    assert fields(table("offset", "octets", "field"), byte_count) == {
        "version": frames.VERSION,
        "type": FrameType.DATA | 0x80,
        "hop limit": 5,
        "flags": 1,
        "source": int.from_bytes(source, "big"),
        "destination": int.from_bytes(destination, "big"),
        "connection": 0x0102,
        "number": 0x0304,
        "length": 4,
    }


def test_the_control_payloads_are_laid_out_as_drawn():
    data = encode_acknowledgement(next_number=1, credit=2, missing_until=3, marked=4, echo=5, delay_s=6e-6)
    assert fields(table("offset", "octets", "field", after="ACK and PROBE, 44 octets"), data) == {
        "next number": 1,
        "credit": 2,
        "missing until": 3,
        "marked": 4,
        "echo": 5,
        "delay": 6,
    }
    data = encode_fin(Fin(next_number=1, delay_s=6e-6))
    assert fields(table("offset", "octets", "field", after="FIN, 12 octets"), data) == {
        "next number": 1,
        "delay": 6,
    }
    data = encode_reset(Reset(ResetCode.GONE, is_answer=True, final_number=7))
    assert fields(table("offset", "octets", "field", after="RESET, 10 octets"), data) == {
        "code": ResetCode.GONE,
        "flags": 1,
        "final number": 7,
    }
    codes = {name: int(value) for name, value, _ in table("reset code", "value")}
    assert codes == {code.name: code.value for code in ResetCode}


def test_the_stream_moves_as_the_table_says():
    head, *rows = next(rows for rows in tables(TEXT) if rows[0][:2] == ["state", "FINISH"])
    events = [states.Event[name] for name in head[1:]]
    assert events == list(states.Event)
    documented = {
        (states.State[name], event): states.State[cell]
        for name, *cells in rows
        for event, cell in zip(events, cells, strict=True)
        if cell
    }
    assert documented == dict(states.TRANSITIONS)
    assert [row[0] for row in rows] == [state.name for state in states.State]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (("state", "waits for"), HandshakeState),
        (("link state", "meaning"), LinkState),
        (("dialer state", "meaning"), DialerState),
    ],
    ids=["handshake", "link", "dialer"],
)
def test_the_states_are_those_of_the_code(head, kind: type[enum.Enum]):
    assert [row[0] for row in table(*head)] == [state.name for state in kind]


def test_signed_structures_have_the_elements_of_the_code():
    certificate = [row[0].replace(" ", "_") for row in table("element", "type", after="## 2.")]
    assert certificate == list(Certificate.__struct_fields__)
    record = [row[0].replace(" ", "_") for row in table("element", "type", after="## 6.")]
    assert record == list(RecordBody.__struct_fields__)


def test_the_contexts_are_those_of_the_code():
    contexts = {row[0] for row in table("context", "who signs")}
    code = (identity.CERTIFICATE_CONTEXT, identity.RECORD_CONTEXT, identity.LINK_PROOF_CONTEXT)
    assert contexts == {context.decode() for context in code}
    assert PREAMBLE == b"MESH\x01"


def test_the_rejection_codes_are_those_of_the_code():
    assert {row[0] for row in table("code", "meaning")} == set(RejectCode)


def example():
    """Name to octets, as the document prints them."""
    block = TEXT[TEXT.index("## 14.") :].split("```")[1]
    found = re.findall(r"^(\S.*)\n((?:    [0-9a-f]+\n)+)", block, flags=re.MULTILINE)
    return {name: bytes.fromhex(byte_count.replace(" ", "").replace("\n", "")) for name, byte_count in found}


def test_the_worked_example_is_what_the_code_makes():
    assert example() == vectors()
    assert list(example()) == list(vectors())


def test_the_worked_example_opens_by_what_the_document_says_alone():
    given = example()

    def opened(key, nonce_class, number, sealed, covered=None):
        nonce = nonce_class.to_bytes(4, "big") + number.to_bytes(8, "big")
        return ChaCha20Poly1305(given[key]).decrypt(nonce, sealed, covered)

    assert opened("link key A to B", 0, 0, given["PING"][:72])[:2] == b"\x01\x01"
    assert opened("link key A to B", 0, 1, given["PING"][72:]) == b"\x91\x01"
    header = opened("link key A to B", 0, 2, given["DATA frame"][:72])
    assert given["DATA frame"][72:] == given["DATA body"]
    covered = header[:2] + header[4:]
    assert covered == given["DATA associated data"]
    assert opened("session key A to B", 0, 0, given["DATA body"], covered) == b"hello"
    covered = b"\x01\x17" + given["A id"] + given["B id"] + bytes(7) + b"\x01" + bytes(11) + b"\x3c"
    assert opened("session key A to B", 1, 0, given["PROBE body"], covered) == given["PROBE payload"]

    covered = b"\x01\x14" + given["A id"] + given["B id"] + struct.pack(">QQI", 1, 3, 28)
    assert opened("session key A to B", 0, 3, given["FIN body"], covered) == given["FIN payload"]
    assert struct.unpack(">QI", given["FIN payload"]) == (0, 0)
    covered = b"\x01\x95" + given["B id"] + given["A id"] + struct.pack(">QQI", 1, 0, 60)
    assert opened("session key B to A", 1, 0, given["ACK body"], covered) == given["ACK payload"]
    assert struct.unpack(">QQQQQI", given["ACK payload"]) == (1, 131_072, 3, 1, 1, 1_500)
    covered = b"\x01\x16" + given["A id"] + given["B id"] + struct.pack(">QQI", 1, 1, 26)
    assert opened("session key A to B", 1, 1, given["RESET body"], covered) == given["RESET payload"]
    assert struct.unpack(">BBQ", given["RESET payload"]) == (2, 0, 4)
    covered = b"\x01\x96" + given["B id"] + given["A id"] + struct.pack(">QQI", 1, 1, 26)
    answer = opened("session key B to A", 1, 1, given["RESET answer body"], covered)
    assert answer == given["RESET answer payload"]
    assert struct.unpack(">BBQ", answer) == (2, 1, 0)

    assert header == given["DATA header"]
    assert header[2:4] == bytes([16, 0])
    passed_on = opened("link key A to B", 0, 3, given["DATA frame after a hop"][:72])
    assert passed_on == given["DATA header after a hop"]
    assert passed_on == header[:2] + bytes([15, 1]) + header[4:]
    assert given["DATA frame after a hop"][72:] == given["DATA body"]

    for name, kind, number in (("DIGEST", 4, 4), ("RECORDS", 3, 6)):
        frame, payload = given[f"{name} frame"], given[f"{name} payload"]
        own_header = opened("link key A to B", 0, number, frame[:72])
        assert own_header == bytes([1, kind]) + bytes(50) + (len(payload) + 16).to_bytes(4, "big"), name
        assert opened("link key A to B", 0, number + 1, frame[72:]) == payload
    entries, first, last = msgspec.msgpack.decode(given["DIGEST payload"])
    assert entries == [[given["A id"], 1_750_000_000_000, 0, bytes([8]) * 16]]
    assert (first, last) == (bytes(16), b"\xff" * 16)
    records = msgspec.msgpack.decode(given["RECORDS payload"])
    assert records == [[[given["record signed"], given["record signature"], 7]]]

    assert given["A id"] == hashlib.sha256(b"mesh agent id v1\0" + given["A public key"]).digest()[:16]
    signature, body = given["A certificate"][:64], given["A certificate"][64:]
    authority = VerifyKey(given["authority public key"])
    authority.verify(b"\x13mesh certificate v1" + body, signature)
    agent = VerifyKey(given["A public key"])
    agent.verify(b"\x0emesh record v1" + given["record signed"], given["record signature"])


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("ACCEPT body", [True, 65_536, "", "", example()["socket tag"]]),
        ("REJECT body", [False, 0, "at-capacity", "it is full", b""]),
    ],
)
@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
def test_the_answers_of_the_example_open_with_another_noise(name, payload):
    given = example()
    noise = NoiseConnection.from_name(b"Noise_IK_25519_ChaChaPoly_SHA256")
    noise.set_as_initiator()
    instances = bytes([8]) * 16, bytes([9]) * 16
    noise.set_prologue(
        b"mesh session\x01" + given["A id"] + given["B id"] + b"".join(instances) + bytes(7) + b"\x01"
    )
    noise.set_keypair_from_private_bytes(Keypair.STATIC, bytes([10]) * 32)
    noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, bytes([12]) * 32)
    exit_key = X25519PrivateKey.from_private_bytes(bytes([11]) * 32).public_key().public_bytes_raw()
    noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, exit_key)
    noise.start_handshake()
    message = noise.write_message(msgspec.msgpack.encode(["my-api", 65_536]))
    assert given["OPEN body"] == b"".join(instances) + message
    assert msgspec.msgpack.decode(bytes(noise.read_message(given[name]))) == payload
