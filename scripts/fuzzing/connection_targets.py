"""Targets of a connection: how its session opens, and what flows in it once that is open."""

import contextlib
import struct
from math import inf
from typing import Final

from msgspec.structs import astuple

from mesh.connection import session_handshake
from mesh.connection.key_terms import KeyLimits, KeyTerms
from mesh.connection.opening_payloads import OpenRequest, decode_reply, decode_request
from mesh.connection.pair_session import PairSession
from mesh.connection.preface import PrefaceReader, encode_preface
from mesh.connection.proxy_protocol import AGENT_GROUPS, AGENT_ID, AGENT_NAME, proxy_header
from mesh.connection.replay_window import ReplayWindow
from mesh.connection.session import MAX_CONTROL_NUMBER, Session
from mesh.connection.session_handshake import SessionInitiator, SessionResponder, read_open_instances
from mesh.connection.session_keys import KeysMessage, Step, decode_keys_message, encode_keys_message, prologue
from mesh.connection.short_open import (
    ACCEPT_CLASS,
    OPEN_CLASS,
    REJECT_CLASS,
    ShortInitiator,
    ShortResponder,
    read_pair_name,
)
from mesh.connection.stream import Stream, StreamBudget
from mesh.connection.stream.effects import Effects
from mesh.errors import AuthenticationError, OvertakenError, RemoteProtocolError
from mesh.link.frames import MAX_SEGMENT_BYTES, BytesLike, Frame, FrameType
from mesh.trust.certificates import Certificate
from mesh.trust.noise.handshake import Handshake
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from scripts.fuzzing.choices import EDGES, Choices
from scripts.fuzzing.people import EXIT, INGRESS
from scripts.lab.frames import changed

_STATIC: Final = {"ingress": key_pair(b"\x1e" * 32), "exit": key_pair(b"\x28" * 32)}
_EPHEMERAL: Final = {"ingress": key_pair(b"\x50" * 32), "exit": key_pair(b"\x51" * 32)}
_KEY_LIMITS: Final = KeyLimits(age_s=5.0, byte_count=1 << 20, least_age_s=1.0, patience_s=20.0)
_CERTIFICATE: Final = Certificate(bytes(32), "laptop", 0, 1, (), (), False, False, bytes(32), groups=("dba",))
_MOST_STEPS: Final = 60
_MOST_FRAMES: Final = 3000
"""What one step may make a stream send: its window in its smallest segments."""
_MOST_HELD: Final = 8 << 20


def preface(data: bytes) -> None:
    """What an ingress says of its client, in any pieces: a header comes of it, or nothing."""
    choices, reader = Choices(data), PrefaceReader()
    while choices.left:
        try:
            found = reader.take(choices.blob(80) or b"x")
        except RemoteProtocolError:
            return
        if found is not None:
            header = proxy_header(found[0], _CERTIFICATE)
            assert len(header) == 16 + int.from_bytes(header[14:16], "big")  # noqa: S101
            at = 16 + {0x11: 12, 0x21: 36}[header[13]]
            said = {}
            while at < len(header):
                kind, size = struct.unpack_from(">BH", header, at)
                said[kind] = header[at + 3 : at + 3 + size]
                at += 3 + size
            assert at == len(header)  # noqa: S101
            assert said.keys() == {AGENT_NAME, AGENT_ID, AGENT_GROUPS}  # noqa: S101
            assert said[AGENT_NAME] == b"laptop"  # noqa: S101
            assert PrefaceReader().take(encode_preface(*astuple(found[0]))) == (found[0], b"")  # noqa: S101
            return


def _initiator() -> SessionInitiator:
    return SessionInitiator(
        local=INGRESS, remote=EXIT, connection=1, static=_STATIC["ingress"], ephemeral=_EPHEMERAL["ingress"]
    )


def _responder() -> SessionResponder:
    return SessionResponder(
        local=EXIT, remote=INGRESS, connection=1, static=_STATIC["exit"], ephemeral=_EPHEMERAL["exit"]
    )


_REQUEST: Final = OpenRequest("k", 1)
_OPEN: Final = _initiator().open_frame(_REQUEST)
_PAIR: Final = PairSession(b"\x70" * 32, INGRESS.instance, EXIT.instance)


def session(data: bytes) -> None:
    """OPENs, ACCEPTs and REJECTs: made up, or authentic with a payload that is made up."""
    choices = Choices(data)
    mode = choices.below(9)
    from_exit = choices.yes()
    rest = choices.rest()
    with contextlib.suppress(RemoteProtocolError):
        read_open_instances(rest)
    try:
        match mode:
            case 0:
                _responder().read_open(changed(_OPEN, body=rest))
            case 1:
                _responder().read_open(changed(_OPEN, body=INGRESS.instance + EXIT.instance + rest))
            case 2:
                _read_authentic_open(rest)
            case 3:
                initiator = _initiator()
                initiator.open_frame(_REQUEST)
                kind = FrameType.ACCEPT if from_exit else FrameType.REJECT
                initiator.read_reply(Frame(kind, True, EXIT.id, INGRESS.id, 1, 0, rest))
            case 4:
                _read_authentic_reply(rest, FrameType.ACCEPT if from_exit else FrameType.REJECT)
            case 5:
                (decode_reply if from_exit else decode_request)(rest)
            case _:
                _read_short(mode, rest, FrameType.ACCEPT if from_exit else FrameType.REJECT)
    except RemoteProtocolError:
        pass


def _read_authentic_open(payload: bytes) -> None:
    noise = Handshake(
        "IK",
        initiator=True,
        prologue=session_handshake._prologue(INGRESS, EXIT, 1),
        static=_STATIC["ingress"],
        ephemeral=_EPHEMERAL["ingress"],
        remote_static=EXIT.session_key,
    )
    message = noise.write_message(payload)
    _responder().read_open(changed(_OPEN, body=INGRESS.instance + EXIT.instance + message))


def _read_authentic_reply(payload: bytes, kind: FrameType) -> None:
    initiator, responder = _initiator(), _responder()
    responder.read_open(initiator.open_frame(_REQUEST))
    message = responder._handshake.write_message(payload)
    initiator.read_reply(Frame(kind, True, EXIT.id, INGRESS.id, 1, 0, message))


def _read_short(mode: int, rest: bytes, kind: FrameType) -> None:
    """The same under a pair session; a made-up answer, or a sealed one, is of the kind that is said."""
    initiator = ShortInitiator(local=INGRESS, remote=EXIT, connection=1, pair=_PAIR)
    opening = initiator.open_frame(_REQUEST)
    responder = ShortResponder(local=EXIT, remote=INGRESS, connection=1, keys=_PAIR.keys(1))
    match mode:
        case 6:
            read_pair_name(rest)
            responder.read_open(changed(opening, body=rest))
        case 7:
            clear = opening.body[:48]
            sealed = initiator._seal(_PAIR.keys(1)[0], OPEN_CLASS, FrameType.OPEN, clear, rest)
            responder.read_open(sealed)
        case _:
            nonce_class = ACCEPT_CLASS if kind is FrameType.ACCEPT else REJECT_CLASS
            initiator.read_reply(responder._seal(_PAIR.keys(1)[1], nonce_class, kind, b"", rest))


def replay_window(data: bytes) -> None:
    """Numbers of connections, in any order: each is fresh once."""
    choices, window, seen = Choices(data), ReplayWindow(), set()
    while choices.left:
        number = choices.number()
        if window.fresh(number):
            assert number not in seen  # noqa: S101
            window.mark(number)
            seen.add(number)


class _Unsealed(Session):
    """A session that seals nothing: all that the fuzzer says is authentic."""

    __slots__ = ("_newest", "_sent", "asked", "generation")

    def __init__(self) -> None:
        super().__init__(
            local=INGRESS.id,
            remote=EXIT.id,
            is_exit=False,
            connection=1,
            send_key=bytes(32),
            receive_key=bytes(32),
            remote_static=_STATIC["exit"].public,
        )
        self._sent, self._newest = 0, -1
        self.generation = 0
        """Of the newest keys that have been agreed on."""
        self.asked = b""
        """Noise message of the question for others, while it is not answered."""

    def rest(self) -> None:
        """Let go of nothing."""

    def expect(self, send_key: bytes, receive_key: bytes) -> None:
        """All that comes is believed to be sealed with the newest keys."""
        super().expect(send_key, receive_key)
        self.hears_new_keys = True
        self.generation += 1
        self.asked = b""

    def seal_segment(self, frame_type: int, number: int, plaintext: BytesLike) -> Frame:
        """A segment in the clear."""
        return Frame(frame_type, False, INGRESS.id, EXIT.id, 1, number, bytes(plaintext))

    def open_segment(self, frame: Frame) -> bytes:
        """Believe it."""
        return frame.body

    def seal_control(self, frame_type: int, payload: bytes) -> Frame:
        """A control frame in the clear."""
        if frame_type == FrameType.SESSION_KEYS and (said := decode_keys_message(payload)).step is Step.ASK:
            self.asked = said.message
        self._sent += 1
        return Frame(frame_type, False, INGRESS.id, EXIT.id, 1, self._sent - 1, payload)

    def open_control(self, frame: Frame) -> bytes:
        """Believe what is newer than all before, and has a number that a session takes."""
        if frame.number <= self._newest:
            raise OvertakenError("old")
        if frame.number > MAX_CONTROL_NUMBER:
            raise AuthenticationError("out of bounds")
        self._newest = frame.number
        return frame.body


_FROM_PEER: Final = (
    FrameType.DATA,
    FrameType.FIN,
    FrameType.ACK,
    FrameType.RESET,
    FrameType.PROBE,
    FrameType.UNKNOWN,
    FrameType.SESSION_KEYS,
)


def stream(data: bytes) -> None:
    """Everything that the other end of a connection can say, at any time, beside a local socket."""
    choices = Choices(data)
    budget = StreamBudget(1 << 20)
    session = _Unsealed()
    subject = Stream(
        session=session,
        terms=KeyTerms(
            _STATIC["ingress"],
            SharedSecrets(_STATIC["ingress"]),
            lambda: _EPHEMERAL["ingress"],
            lambda: None,
            _KEY_LIMITS,
        ),
        opened_at=0.0,
        send_credit=choices.number(),
        budget=budget,
        reroute_timeout_s=30.0,
        idle_probe_s=60.0,
    )
    now, waiting, finished, control = 0.0, 0, False, 0
    for _ in range(_MOST_STEPS):
        if not choices.left:
            break
        effects: Effects | None = None
        match choices.below(10):
            case 0 | 1 | 2 | 3 | 4:
                frames = []
                for _ in range(1 + choices.below(3)):
                    control = min(control + 1 + choices.below(2), 2**64 - 1)
                    frames.append(_from_peer(choices, control, session))
                effects = subject.receive(frames, now)
            case 5 if not finished and subject.writable_bytes > 0:
                effects = subject.send(bytes(min(subject.writable_bytes, 1 + 64 * choices.below(5000))), now)
            case 6 if not finished:
                finished = True
                last = bytes(min(subject.writable_bytes, choices.one_of((0, 0, 1, 64, 20_000))))
                effects = subject.finish(now, last)
            case 7:
                effects = subject.timeout(now)
                is_over = effects.peer_reset is not None or effects.done
                assert is_over or subject.deadline() > now  # noqa: S101 - else its actor would spin
            case 8:
                effects = subject.path_changed(now)
            case 9 if waiting:
                taken = 1 + choices.below(min(waiting, 60_000))
                waiting -= taken
                effects = subject.delivered(taken, now)
            case _:
                pass
        if effects is not None:
            waiting += sum(map(len, effects.delivered))
            assert len(effects.frames) <= _MOST_FRAMES  # noqa: S101
            if effects.peer_reset is not None:
                break
        assert waiting <= _MOST_HELD  # noqa: S101
        deadline = subject.deadline()
        at_deadline = choices.yes() and now < deadline < inf
        now = deadline if at_deadline else now + choices.below(3000) / 1000
    subject.release()


def _from_peer(choices: Choices, control: int, session: _Unsealed) -> Frame:
    kind = choices.one_of(_FROM_PEER)
    number, marked = choices.number(), choices.below(4) == 0
    match kind:
        case FrameType.DATA:
            body = bytes(choices.one_of((0, 1, 40, 1000, MAX_SEGMENT_BYTES)))
        case FrameType.FIN:
            said = struct.pack(">QIB", choices.number(), choices.below(2**16), choices.below(3))
            body = said + bytes(choices.one_of((0, 1, 40, 1000)))
        case FrameType.RESET:
            number = control
            body = struct.pack(">BBQ", choices.below(8), choices.below(3), choices.number())
        case FrameType.UNKNOWN:
            number, body = 0, b""
        case FrameType.SESSION_KEYS:
            number, body = control, _keys_message(choices, session)
        case _:
            number = choices.one_of((control, control, control, *EDGES[-3:]))
            body = struct.pack(">QQQQQI", *(choices.number() for _ in range(5)), choices.below(2**16))
    if choices.below(16) == 0:
        body = choices.blob(60)
    return Frame(kind, True, EXIT.id, INGRESS.id, 1, number, body, 16, marked)


def _keys_message(choices: Choices, session: _Unsealed) -> bytes:
    """What the other end says of new keys: what fits, as far as it can know, or anything."""
    step = choices.one_of((*Step, Step.SWITCHED))
    said = KeysMessage(
        step,
        session.generation + (step is not Step.SWITCHED),
        choices.one_of((0, 1, 5, choices.number())),
        _noise_message(step, session),
    )
    match choices.below(8):
        case 0:
            said = said._replace(generation=choices.below(4))
        case 1:
            said = said._replace(message=choices.blob(48))
        case 2:
            return bytes((choices.below(5),)) + encode_keys_message(said)[1:]
        case _:
            pass
    return encode_keys_message(said)


def _noise_message(step: Step, session: _Unsealed) -> bytes:
    noise = Handshake(
        "KK",
        initiator=step is Step.ASK,
        prologue=prologue(INGRESS.id, EXIT.id, 1, session.generation + 1, session.keys_digest()),
        static=_STATIC["exit"],
        ephemeral=_EPHEMERAL["exit"],
        remote_static=_STATIC["ingress"].public,
    )
    if step is Step.ASK:
        return noise.write_message(b"")
    if step is Step.ANSWER and session.asked:
        noise.read_message(session.asked)
        return noise.write_message(b"")
    return bytes(48)
