"""Frames, layouts, states and codes in the protocol's documents are those of the code."""

import ast
import enum
import re

import pytest

from actors.links.dialer import State as DialerState
from mesh.connection.reject_codes import RejectCode
from mesh.connection.session import CONTROL_TYPES, SEGMENT_TYPES
from mesh.connection.session_keys import KeysMessage, Step, encode_keys_message
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
from mesh.link.handshake import State as HandshakeState
from mesh.link.opening import OWN_VERSIONS
from mesh.link.rekeying import State as RekeyingState
from mesh.link.states import LinkState
from mesh.routing.records import RecordBody
from mesh.trust import identity
from mesh.trust.certificates import Certificate
from mesh.trust.revocations import Revocation, RevocationList
from tests.frame_sizes import body_bounds
from tests.mesh.link.frame_company import clear_header, wire
from tests.protocol_text import PROTOCOL, ROOT, TEXT, table, tables


def test_the_frame_types_are_those_of_the_code():
    rows = {row[0]: row[1:] for row in table("type", "value", "body")}
    assert {name: int(value, 16) for name, (value, *_) in rows.items()} == {
        each.name: each for each in FrameType
    }
    for name, (value, _, _, _, octets) in rows.items():
        assert [int(number) for number in octets.replace(",", "").split(" to ") if number] == (
            [] if int(value, 16) < frames.FIRST_CONNECTION_TYPE else sorted(set(body_bounds(int(value, 16))))
        ), name
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
    header = clear_header(wire(frame))
    assert fields(table("offset", "octets", "field"), header) == {
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
    data = encode_acknowledgement(
        next_number=1, credit=2, missing_until=3, marked=4, echo=5, silence_s=0.007, delay_s=6e-6
    )
    assert fields(table("offset", "octets", "field", after="ACK and PROBE, 44 octets"), data) == {
        "next number": 1,
        "credit": 2,
        "missing until": 3,
        "marked": 4,
        "echo": 5,
        "silence": 7,
        "delay": 6,
    }
    data = encode_fin(Fin(next_number=1, delay_s=6e-6, is_last=True))
    assert fields(table("offset", "octets", "field", after="FIN, 13 octets"), data) == {
        "next number": 1,
        "delay": 6,
        "flags": 1,
    }
    data = encode_reset(Reset(ResetCode.GONE, is_answer=True, final_number=7))
    assert fields(table("offset", "octets", "field", after="RESET, 10 octets"), data) == {
        "code": ResetCode.GONE,
        "flags": 1,
        "final number": 7,
    }
    message = bytes(range(48))
    data = encode_keys_message(KeysMessage(Step.SWITCHED, 2, 3, message))
    assert fields(table("offset", "octets", "field", after="SESSION_KEYS, 61 octets"), data) == {
        "step": Step.SWITCHED,
        "generation": 2,
        "first segment": 3,
        "message": int.from_bytes(message, "big"),
    }
    steps = {name: int(value) for name, value, _ in table("step", "value", "sealed with")}
    assert steps == {step.name: step.value for step in Step}
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
        (("rekeying state", "meaning"), RekeyingState),
        (("dialer state", "meaning"), DialerState),
    ],
    ids=["handshake", "link", "rekeying", "dialer"],
)
def test_the_states_are_those_of_the_code(head, kind: type[enum.Enum]):
    assert [row[0] for row in table(*head)] == [state.name for state in kind]


def test_signed_structures_have_the_elements_of_the_code():
    certificate = [row[0].replace(" ", "_") for row in table("element", "type", after="## 2.")]
    assert certificate == list(Certificate.__struct_fields__)
    record = [row[0].replace(" ", "_") for row in table("element", "type", after="## 6.")]
    assert record == list(RecordBody.__struct_fields__)


def test_revocation_lists_are_those_of_the_code():
    lists = [row[0] for row in table("element", "type", after="### Revocations")]
    assert lists == list(RevocationList.__struct_fields__)
    section = PROTOCOL[PROTOCOL.index("### Revocations") :]
    entries = ", ".join(row[0] for row in list(tables(section))[1][1:]).lower().replace(", ", "\n")
    assert entries.replace(" ", "_").splitlines() == list(Revocation.__struct_fields__)


def test_the_contexts_are_those_of_the_code():
    contexts = {row[0] for row in table("context", "who signs")}
    code = (
        identity.CERTIFICATE_CONTEXT,
        identity.RECORD_CONTEXT,
        identity.LINK_PROOF_CONTEXT,
        identity.ENROLMENT_CONTEXT,
        identity.REVOCATIONS_CONTEXT,
    )
    assert contexts == {context.decode() for context in code}
    assert OWN_VERSIONS.preamble == b"MESH\x01\x01"


def test_the_rejection_codes_are_those_of_the_code():
    assert {row[0] for row in table("code", "meaning")} == set(RejectCode)


def test_each_cannot_names_a_test_that_there_is():
    section = PROTOCOL[PROTOCOL.index("## 13.") : PROTOCOL.index("## 14.")]
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", section)
    rows = [row for rows in tables(section) if rows[0][0] == "cannot" for row in rows[1:]]
    assert len(named) > len(rows) > 20
    assert "Cannot:" not in section.partition("**Who stole the session key")[0]
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
    assert all("::" in row[1] for row in rows)
