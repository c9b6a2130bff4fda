"""Pair sessions, as section 8 of docs/PROTOCOL.md has them: connections that open without a handshake."""

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.second.frames import Frame, Type
from tests.second.session import Answer, Asked, Name, Session, padded, unpadded
from tests.second.session_keys import Statics
from tests.second.wire import ProtocolError, decode

PAIR_AGE_S: Final = 120.0
EXIT_GRACE_S: Final = 30.0
SHORT: Final = 1
BODY_BYTES: Final = 1_280
CLASSES: Final = {Type.OPEN: 2, Type.ACCEPT: 3, Type.REJECT: 4}


def expanded(secret: bytes, info: bytes) -> bytes:
    return hmac.new(secret, info + b"\1", hashlib.sha512).digest()


@dataclass(frozen=True)
class Pair:
    """What comes of a secret."""

    secret: bytes = field(repr=False)
    ingress_instance: bytes
    exit_instance: bytes

    @property
    def name(self) -> bytes:
        return expanded(self.secret, b"mesh pair name")[:16]

    def keys(self, number: int) -> tuple[bytes, bytes]:
        """Of what the ingress sends, and the exit."""
        info = b"mesh pair key" + self.ingress_instance + self.exit_instance + struct.pack(">Q", number)
        keys = expanded(self.secret, info)
        return keys[:32], keys[32:]


class Short:
    """A short OPEN and its answer, at either end."""

    def __init__(self, name: Name, pair: Pair, statics: Statics, is_ingress: bool) -> None:
        self._name, self._pair, self._statics, self._is_ingress = name, pair, statics, is_ingress
        self._keys = pair.keys(name.number)

    def _cipher(self, kind: Type, clear: bytes) -> tuple[ChaCha20Poly1305, bytes, bytes]:
        name, from_exit = self._name, kind != Type.OPEN
        ends = (name.exit, name.ingress) if from_exit else (name.ingress, name.exit)
        bare = Frame(kind, b"", *ends, name.number, SHORT, from_exit)
        nonce = struct.pack(">IQ", CLASSES[kind], SHORT)
        return ChaCha20Poly1305(self._keys[from_exit]), nonce, bare.associated_data(BODY_BYTES) + clear

    def _seal(self, kind: Type, clear: bytes, said: Asked | Answer) -> bytes:
        cipher, nonce, covered = self._cipher(kind, clear)
        return clear + cipher.encrypt(nonce, padded(said, BODY_BYTES - len(clear) - 16), covered)

    def _unseal(self, kind: Type, clear: bytes, sealed: bytes) -> bytes:
        cipher, nonce, covered = self._cipher(kind, clear)
        try:
            return unpadded(cipher.decrypt(nonce, sealed, covered))
        except InvalidTag:
            raise ProtocolError("an opening that does not authenticate") from None

    def open_body(self, asked: Asked) -> bytes:
        clear = self._name.ingress_instance + self._name.exit_instance + self._pair.name
        return self._seal(Type.OPEN, clear, asked)

    def read_open(self, body: bytes) -> Asked:
        return decode(self._unseal(Type.OPEN, body[:48], body[48:]), Asked)

    def answer(self, said: Answer) -> tuple[bytes, Session]:
        return self._seal(Type.ACCEPT if said.is_accepted else Type.REJECT, b"", said), self.session()

    def read_answer(self, body: bytes, is_accept: bool) -> tuple[Answer, Session]:
        answer = decode(self._unseal(Type.ACCEPT if is_accept else Type.REJECT, b"", body), Answer)
        if answer.is_accepted != is_accept:
            raise ProtocolError("an answer that contradicts its header")
        return answer, self.session()

    def session(self) -> Session:
        send, receive = self._keys if self._is_ingress else self._keys[::-1]
        return Session(self._name, self._is_ingress, send, receive, self._statics)


class Pairs:
    """Those that an agent has: as an ingress by exit and its instance, as an exit by ingress and name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[bytes, bytes], tuple[Pair, float]] = {}

    def keep(self, agent: bytes, what: bytes, pair: Pair, seconds: float) -> None:
        self._known[agent, what] = pair, self._clock() + seconds

    def find(self, agent: bytes, what: bytes) -> Pair | None:
        """One that is over is forgotten when somebody looks: this agent lives for a test only."""
        pair, until = self._known.get((agent, what), (None, 0.0))
        if pair is not None and self._clock() >= until:
            del self._known[agent, what]
            return None
        return pair
