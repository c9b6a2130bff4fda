"""First inputs of each target: what honest agents say."""

from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.audit.chain import Head, seal
from mesh.agent.audit.entries import encoded
from mesh.agent.enrolment.invitations import Invitation
from mesh.auditing import AuditKind
from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.session_keys import KeysMessage, Step, encode_keys_message
from mesh.link import bodies
from mesh.link.bodies import DigestEntry, WantedList, WantedPages, WirePage, WireRecord
from mesh.link.opening import OWN_VERSIONS
from mesh.link.proof import OWN_FEATURES, Statement, make_proof
from mesh.remote.enrolment import Grant, write_grant, write_wish
from mesh.remote.join_token import JoinToken, token_to_text
from mesh.remote.wire import Answered, Asked, write_answered, write_asked
from mesh.routing.records import (
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    PageBody,
    PageName,
    RecordBody,
    Shown,
)
from mesh.routing.sealed_blocks import SealedBlock
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.identity import SIGNATURE_BYTES, Instance, encode_public_key
from mesh.trust.issuing import Passing
from mesh.trust.revocations import Revocation, lists_to_text, sign_list
from scripts.fuzzing.kept_targets import key_texts
from scripts.fuzzing.people import (
    AUTHORITY,
    ISSUED_CERTIFICATE,
    ME,
    MY_CERTIFICATE,
    THEIR_ISSUER,
    THEM,
    UNIX_NOW,
    YOU,
    YOUR_CERTIFICATE,
)
from scripts.fuzzing.shapes import PLAIN, SHAPED, Shape, shape_of

ROOT = Path(__file__).resolve().parents[2]


_HEADS: Final = {
    "link_bodies": 1,
    "session": 2,
    "remote": 1,
    "enrolment": 1,
    "record": 0,
    "page": 0,
    "sealed": 1,
    "proof": 0,
    "certificate": SIGNATURE_BYTES,
    "revocations": SIGNATURE_BYTES,
}
"""Of inputs that are MessagePack: bytes before it."""

_DEEP: Final = b"\0\0" + b"\x91" * 500
"""Lists in lists, deeper than any reader goes."""


def seeds(name: str) -> list[bytes]:
    """The first inputs of a target; never none."""
    honest = _seeds().get(name, ())
    if name in _HEADS:
        shaped = [bytes([SHAPED, number]) + bytes(40) for number in range(len(honest))]
        return [bytes([PLAIN]) + data for data in (*honest, _DEEP, _DEEP.ljust(600, b"\xc0"))] + shaped
    return [*honest, bytes(range(64)), bytes(range(256)) * 3]


def shapes(name: str) -> list[Shape]:
    """The honest inputs of a target that reads MessagePack."""
    head = _HEADS[name]
    return [shape_of(data[:head], data[head:]) for data in _seeds()[name]]


def _seeds() -> dict[str, list[bytes]]:
    instance = Instance(bytes(16))
    record = RecordBody(
        public_key=ME.public_key,
        epoch=1,
        sequence=1,
        instance=instance,
        session_key=bytes(32),
        certificate=MY_CERTIFICATE,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=(Neighbour(YOU.id, 1),),
        endpoints=(EndpointEntry("k", "t:1"),),
        listeners=(ListenerEntry("k", "a:1"),),
        pages=(PageName(bytes(16), 10, 1),),
        sealed=(SealedBlock(bytes(16), bytes(20), bytes(144)),),
    )
    encode = msgspec.msgpack.encode
    signed = encode(record)
    wire = WireRecord(signed, bytes(64), 1)
    statement = Statement(YOUR_CERTIFICATE, instance, 1, OWN_FEATURES)
    entry = DigestEntry(ME.id, 1, 2, instance)
    return _seeds_of_files() | {
        "handshake": [
            bytes([0, 0, 255]) + OWN_VERSIONS.preamble + b"\0\x20" + bytes(range(32)),
            bytes([1, 0, 255]) + OWN_VERSIONS.preamble + b"\0\x60" + bytes(96),
            bytes([0, 1, 255]) + b"\1\x2c" + bytes(300),
            bytes([1, 0, 7]) + b"HTTP/1.1 200 OK\r\n",
        ],
        "proof": [make_proof(YOU, statement, binding=bytes(32), static=bytes(32))],
        "link_bodies": [
            b"\0" + bodies.encode_ping(1),
            b"\1" + bodies.encode_pong(1),
            b"\2" + bodies.encode_records(bodies.Records((wire,))),
            b"\3" + bodies.encode_digest(bodies.Digest((entry,))),
            b"\4" + bodies.encode_close("x"),
            b"\5" + bodies.encode_challenge(bytes(16)),
            b"\6" + bodies.encode_want_pages((WantedPages(ME.id, (bytes(16),)),)),
            b"\7" + bodies.encode_pages((WirePage(ME.id, b"x"),)),
            b"\x08" + bodies.encode_retire("x"),
            b"\x09" + bodies.encode_revocations((b"x",)),
            b"\x0b" + bodies.encode_rekey(bytes(48)),
            b"\x0a" + bodies.encode_want_revocations((WantedList(bytes(32), 1),)),
        ],
        "session_keys": [encode_keys_message(KeysMessage(step, 1)) for step in Step],
        "rekeying": [b"\0\0\2\0\2" + b"\1\5\0\5" * 4, b"\0\0\2\0\2\1\2" + b"\0\5\1\5" * 6],
        "record": [signed],
        "page": [encode(PageBody((EndpointEntry("k", "t:1"),), (ListenerEntry("k", "a:1"),), record.sealed))],
        "sealed": [
            b"\0" + encode(Shown((EndpointEntry("k", "t:1"),), (ListenerEntry("k", "a:1"),))),
            b"\1" + encode(record.sealed[0]),
        ],
        "session": [
            b"\2\0" + encode(OpenRequest("k", 1)),
            b"\4\1" + encode(OpenReply(accepted=True, credit=1, socket_tag=bytes(8))),
            b"\4\0" + encode(OpenReply(accepted=False, code="at-capacity", reason="full")),
            b"\5\0" + encode(OpenRequest("k", 1)),
            b"\7\0" + encode(OpenRequest("k", 1)),
            b"\x08\1" + encode(OpenReply(accepted=True, credit=1, socket_tag=bytes(8))),
        ],
        "certificate": [MY_CERTIFICATE, ISSUED_CERTIFICATE],
        "revocations": [
            sign_list(AUTHORITY, 7, (Revocation(YOU.id, 1, name="you", reason="was stolen"),)),
            sign_list(THEM, 7, (Revocation(YOU.id, 1), Revocation(ME.id, 1, 2)), issuer=THEIR_ISSUER),
        ],
        "certificate_text": [certificate_to_text(MY_CERTIFICATE).encode()],
        "texts": [
            *(b"127.0.0.1:80", b"[::1]:80", b"unix:/run/x", b"*:443", b"${A:-b}", b"$$", b"name.example:1"),
            encode_public_key(ME.public_key).encode(),
        ],
        "config": [path.read_bytes() for path in sorted((ROOT / "config").glob("*.yaml"))],
        "inside": [bytes([kind, *b"\0\5ud\0\0\1\3\3\2\1\3\0\1\3\2\3"]) for kind in range(3)],
        "enrolment": [
            b"\0" + write_wish(THEM, issuer=YOU.id, asker=ME.id),
            b"\xff" + write_grant(Grant(ISSUED_CERTIFICATE, "why")),
        ],
        "join_token": [token_to_text(JoinToken(("a:1",), (bytes(32),), bytes(32), b"x" * 90)).encode()],
        "remote": [
            b"\0" + write_asked(Asked("POST", "/api/v1/plans?dry_run=1", "", '"1"', "me", b"{}")),
            b"\xff" + write_answered(Answered(200, "application/json", "1", 1, b"{}")),
        ],
        "socks": [b"\x09\5\1\0\5\1\0\3\6a.mesh\0\x50", b"\xff\5\1\2\1\2me\6secret\5\1\0\3\1a\0\0"],
        "http": [b"\0\1\1\0\0\0localhost:80", b"\0\2\1\0\0\0[::1]:80", b"\1\0\0\4abcd\0\0\0mesh.example."],
    }


def _seeds_of_files() -> dict[str, list[bytes]]:
    """Of what stands in files."""
    facts = {"way": "control socket", "who": "uid 1", "what": "POST /x", "code": 200}
    entry = encoded(AuditKind.REQUEST, UNIX_NOW, facts)
    line, head = seal(Head(), encoded(AuditKind.FILE, UNIX_NOW, {"after": Head().digest}))
    granted = Passing(register=("a-*",), use=("svc",), relay=True, manage=False, groups=("staff",))
    invitation = Invitation(id="ef" * 16, name="x", granted=granted, valid_s=60, expires=UNIX_NOW + 9)
    signed = sign_list(AUTHORITY, 7, (Revocation(YOU.id, 1, name="you", reason="was stolen"),))
    return {
        "audit_line": [line[:-1], seal(head, entry)[0][:-1], b'{"number":1,"a":' + b"[" * 1500],
        "audit_trail": [bytes([1, 5, how]) + bytes(range(200)) for how in range(8)],
        "key_file": key_texts(),
        "kept_invitations": [msgspec.json.encode([invitation]), b"[" * 1500, b'[{"id":1}]'],
        "kept_newest": [b'{"00ff":1000,"01ff":2000}', b'{"a":"b"}', b"{" * 900],
        "kept_lists": [lists_to_text((signed, signed)).encode()],
        "kept_services": [
            b'forward:\n  listeners:\n    - {key: a, address: "127.0.0.1:1", agents: [x, "group:y"]}\n',
            b'forward:\n  endpoints:\n    - {key: a, target: "unix:/run/x", max_connections: 3}\n',
        ],
        "patterns": [b"\0\3\0\2\0\2\1\3\0", b"\1\5\2\0\2\1\3\6\1\2" + bytes(range(40))],
        "api_token": [bytes([9, scheme, 0, 0, 0, 0, 0]) + bytes(60) for scheme in range(6)],
        "api": [bytes([number, 0, 0, 1, number % 11, 0, 0, 0]) + bytes(30) for number in range(48)],
    }
