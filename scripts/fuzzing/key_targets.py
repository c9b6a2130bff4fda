"""Targets of new keys: what the ends of a link and of a connection say to have them."""

import contextlib
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from mesh.connection.session_keys import decode_keys_message, encode_keys_message
from mesh.errors import RemoteProtocolError
from mesh.link import bodies, effects
from mesh.link.established import EstablishedLink
from mesh.link.frames import FrameType
from mesh.link.proof import REKEY_FEATURE
from mesh.link.rekeying import KeySource, Rekeying, RekeyLimits
from mesh.link.silence import Pulse
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import Instance
from mesh.trust.noise.primitives import KeyPair, key_pair
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import ME, MY_CERTIFICATE

_START: Final = 100.0
_LIMITS: Final = RekeyLimits(after_s=100.0, after_bytes=1_000, answer_s=20.0, rate=0.1, burst=3.0)
_STATIC: Final = (key_pair(b"\1" * 32), key_pair(b"\2" * 32))
_FRESH: Final = tuple(key_pair(bytes([number]) * 32) for number in range(10, 14))
"""Few, so that the fuzzer works out few shared secrets."""
_MOST_STEPS: Final = 24


class _End:
    """One end of a link that is up, and what its actor does for it."""

    def __init__(self, number: int) -> None:
        self._fresh, self._pulse = number, Pulse(3.0, _START)
        peer = EstablishedLink(
            peer=read_certificate(MY_CERTIFICATE),
            peer_id=ME.id,
            peer_instance=Instance(bytes(16)),
            peer_static=_STATIC[1 - number].public,
            send_key=b"",
            receive_key=b"",
            binding=bytes(32),
            surplus=b"",
            ticket=b"",
            version=1,
            features=frozenset((REKEY_FEATURE,)),
        )
        source = KeySource(_STATIC[number], self._next, _LIMITS)
        self.keys = Rekeying(source, is_dialer=number == 0, peer=peer, pulse=self._pulse)
        self.said: deque[tuple[int, bytes]] = deque()
        self.sealing = self.opening = b""

    def _next(self) -> KeyPair:
        self._fresh = (self._fresh + 2) % len(_FRESH)
        return _FRESH[self._fresh]

    def judge(self, now: float, carried: int) -> str:
        self._do(lambda wanted: self.keys.judge(now, carried, wanted))
        return self.keys.cause_of_death(now, carried)

    def take(self, kind: int, body: bytes, now: float) -> None:
        self._pulse.heard_at = now
        self.opening = self.keys.take(kind, body) or self.opening
        self._do(self.keys.hand_over)

    def _do(self, fill: Callable[[list[effects.LinkEffect]], None]) -> None:
        wanted: list[effects.LinkEffect] = []
        fill(wanted)
        for effect in wanted:
            if isinstance(effect, effects.SendOwn):
                self.said.append((effect.frame_type, effect.body))
            elif isinstance(effect, effects.SwitchSealing):
                self.said.append((FrameType.NEW_KEY, effect.body))
                self.sealing = effect.key


def rekeying(data: bytes) -> None:
    """Two ends whose words come late, or are made up: honest ones agree on keys, whatever crosses."""
    choices, ends, now, carried, is_honest = Choices(data), (_End(0), _End(1)), _START, 0, True
    for _ in range(_MOST_STEPS):
        number = choices.below(2)
        end, other = ends[number], ends[1 - number]
        match choices.below(8):
            case 0:
                now += choices.one_of((1.0, 15.0, 85.0, 100.0))
            case 1:
                carried += choices.one_of((1, 800, 2_000))
            case 2 | 3:
                if end.judge(now, carried):
                    return
            case 4:
                is_honest = False
                other.said.append((choices.one_of((FrameType.REKEY, FrameType.NEW_KEY)), _body(choices)))
            case _ if other.said:
                if why := _refusal(end, *other.said.popleft(), now):
                    assert not is_honest or "more often" in why  # noqa: S101
                    return
            case _:
                pass
        assert len(end.said) + len(other.said) <= _MOST_STEPS  # noqa: S101
    while is_honest and (ends[0].said or ends[1].said):
        for end, other in (ends, ends[::-1]):
            if other.said and _refusal(end, *other.said.popleft(), now):
                return  # more requests than a link needs
    if is_honest:
        assert ends[0].sealing == ends[1].opening  # noqa: S101
        assert ends[1].sealing == ends[0].opening  # noqa: S101
        assert not ends[0].sealing or ends[0].sealing != ends[1].sealing  # noqa: S101


def _refusal(end: _End, kind: int, body: bytes, now: float) -> str:
    try:
        end.take(kind, body, now)
    except RemoteProtocolError as error:
        return str(error)
    return ""


def _body(choices: Choices) -> bytes:
    match choices.below(3):
        case 0:
            return choices.blob(60)
        case 1:
            return bodies.encode_rekey(choices.blob(48))
        case _:
            return bodies.encode_rekey(choices.one_of(_FRESH).public + choices.take(16))


def session_keys(data: bytes) -> None:
    """What the ends of a connection say to have new keys: read, or refused."""
    with contextlib.suppress(RemoteProtocolError):
        said = decode_keys_message(data)
        assert encode_keys_message(said) == data  # noqa: S101
    step, rest = data[:1], data[1:].ljust(60, b"\0")[:60]
    with contextlib.suppress(RemoteProtocolError):
        found = decode_keys_message((step or b"\0") + rest)
        assert found.generation == struct.unpack(">I", rest[:4])[0]  # noqa: S101
