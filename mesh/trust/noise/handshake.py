"""A Noise handshake, XX, IK or KK, as a pure state machine: messages in, messages out, two keys at the end.

    XX:                    IK:                           KK:
      -> e                   <- s (known beforehand)       -> s, <- s (known beforehand)
      <- e, ee, s, es        -> e, es, s, ss               -> e, es, ss
      -> s, se               <- e, ee, se                  <- e, ee, se

Source: Noise revision 34, sections 5.3, 7.4 and 7.5.
"""

import enum
import functools
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from mesh.errors import AuthenticationError, LocalProtocolError
from mesh.trust.noise.primitives import KEY_BYTES, TAG_BYTES, KeyPair, SharedSecrets, dh
from mesh.trust.noise.symmetric import HASHES, HashName, SymmetricState

PatternName: TypeAlias = Literal["XX", "IK", "KK"]
_Token: TypeAlias = Literal["e", "s", "ee", "es", "se", "ss"]

MAX_MESSAGE_BYTES: Final = 65_535
"""Of any Noise message: section 3."""


class State(enum.Enum):
    """Where a handshake stands."""

    UNDER_WAY = "is under way"
    FINISHED = "is finished"
    """All messages have been written and read, and the keys are there."""
    FAILED = "has failed"
    """Or was let go of."""


class _Pattern(NamedTuple):
    initiator_known: bool
    """The responder knows the initiator's static key beforehand."""
    responder_known: bool
    """The initiator knows the responder's static key beforehand."""
    messages: tuple[tuple[_Token, ...], ...]
    """Tokens of each message; the initiator sends the first, then they take turns.

    Of two letters the first is the initiator's key and the second the responder's: the secret of both.
    """


_PATTERNS: Final = MappingProxyType[PatternName, _Pattern](
    {
        "XX": _Pattern(
            initiator_known=False,
            responder_known=False,
            messages=(("e",), ("e", "ee", "s", "es"), ("s", "se")),
        ),
        "IK": _Pattern(
            initiator_known=False,
            responder_known=True,
            messages=(("e", "es", "s", "ss"), ("e", "ee", "se")),
        ),
        "KK": _Pattern(
            initiator_known=True,
            responder_known=True,
            messages=(("e", "es", "ss"), ("e", "ee", "se")),
        ),
    }
)

_NOBODYS: Final = KeyPair(private=b"", public=b"")


class Handshake:
    """One side of a Noise handshake.

    A failure of any kind ends it: nothing that follows can be read or written, and its secrets are dropped.
    They are dropped at its end too, so that a finished handshake holds no key that could open what it sealed.

    Args:
        pattern: XX, IK or KK.
        initiator: whether this side writes the first message.
        prologue: bytes that both sides must agree on, of any length.
        static: this side's long-lived key pair.
        ephemeral: a key pair of fresh random bytes, used for this handshake only.
        remote_static: the other side's static public key, for the initiator of IK and both sides of KK only.
        hash_name: as in the Noise protocol name.
        shared: remembers what ``static`` shares with other static keys, if it meets them again and again.

    Raises:
        LocalProtocolError: ``remote_static`` is missing, or given although the pattern has none; or there is
            no such pattern or hash.
    """

    __slots__ = (
        "_exported",
        "_initiator",
        "_is_next",
        "_keys",
        "_label",
        "_messages",
        "_own",
        "_position",
        "_remote",
        "_shared",
        "_symmetric",
        "state",
    )

    def __init__(
        self,
        pattern: PatternName,
        *,
        initiator: bool,
        prologue: bytes,
        static: KeyPair,
        ephemeral: KeyPair,
        remote_static: bytes | None = None,
        hash_name: HashName = "SHA256",
        shared: SharedSecrets | None = None,
    ) -> None:
        if pattern not in _PATTERNS or hash_name not in HASHES:
            raise LocalProtocolError(f"no Noise pattern {pattern} with hash {hash_name}")
        initiator_known, responder_known, self._messages = _PATTERNS[pattern]
        if (remote_static is not None) != (responder_known if initiator else initiator_known):
            raise LocalProtocolError(
                "the initiator of IK and both sides of KK need the remote static key, and nobody else"
            )
        if remote_static is not None and len(remote_static) != KEY_BYTES:
            raise LocalProtocolError(
                f"expected a static key of {KEY_BYTES} bytes, found {len(remote_static)}"
            )
        self._initiator = initiator
        self._is_next = initiator
        self._own: dict[str, KeyPair] = {"s": static, "e": ephemeral}
        self._remote: dict[str, bytes] = {} if remote_static is None else {"s": remote_static}
        self._position = 0
        self.state = State.UNDER_WAY
        self._keys = (b"", b"")
        """Of no use before the handshake is finished."""
        self._label = self._exported = b""
        self._shared = shared
        self._symmetric = SymmetricState(_protocol_name(pattern, hash_name), hash_name)
        self._symmetric.mix_hash(prologue)
        # What is known beforehand, the initiator's key first.
        remote = b"" if remote_static is None else remote_static
        if initiator_known:
            self._symmetric.mix_hash(static.public if initiator else remote)
        if responder_known:
            self._symmetric.mix_hash(remote if initiator else static.public)

    @property
    def remote_static(self) -> bytes:
        """The other side's static public key, 32 bytes.

        A side proves to hold its key by the first message it seals after the pattern has mixed that key:
        in XX the responder by the second message and the initiator by the third, in IK and KK the initiator
        by the first (which may be a replay) and the responder by the second.

        Raises:
            LocalProtocolError: it is not known yet, or the handshake has failed.
        """
        if "s" not in self._remote:
            raise LocalProtocolError("the remote static key is not known")
        return self._remote["s"]

    @property
    def handshake_hash(self) -> bytes:
        """All that has crossed the wire so far, in one value that is not secret.

        That of a finished handshake names it uniquely (channel binding, section 11.2).
        """
        return self._symmetric.handshake_hash

    def copy(self) -> "Handshake":
        """A handshake at the same point, so that reading a doubtful message need not end this one.

        Of a handshake and its copies only one may ever write the same message, else nonces repeat.
        """
        # A native class has no objects that were not initialized; each attribute is set anew.
        twin = Handshake("XX", initiator=True, prologue=b"", static=_NOBODYS, ephemeral=_NOBODYS)
        twin._initiator = self._initiator
        twin._is_next = self._is_next
        twin._keys = self._keys
        twin._messages = self._messages
        twin._own = self._own
        twin._position = self._position
        twin._remote = dict(self._remote)
        twin._shared = self._shared
        twin._symmetric = self._symmetric.copy()
        twin.state = self.state
        twin._label, twin._exported = self._label, self._exported
        return twin

    def write_message(self, payload: bytes) -> bytes:
        """The next message, with ``payload`` inside: sealed as soon as the pattern has a key.

        Raises:
            LocalProtocolError: it is not this side's turn, or the message would be longer than 65,535 bytes.
            AuthenticationError: the other side's public key is of small order.
        """
        self._check_turn(is_writing=True)
        try:
            message = self._write(payload)
        except Exception:
            self.forget()
            raise
        self._advance()
        return message

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other side's next message.

        Raises:
            LocalProtocolError: it is not the other side's turn.
            AuthenticationError: the message does not authenticate, has an impossible length, or brings a key
                of small order; the handshake has ended.
        """
        self._check_turn(is_writing=False)
        try:
            payload = self._read(bytes(message))
        except Exception:
            self.forget()
            raise
        self._advance()
        return payload

    def split(self) -> tuple[bytes, bytes]:
        """The two 32-byte keys: initiator to responder, responder to initiator.

        Raises:
            LocalProtocolError: the handshake is not finished.
        """
        self._check_finished()
        return self._keys

    def export(self, label: bytes) -> None:
        """Have another secret at the end, beside the two keys: before the last message, at both sides."""
        self._label = label

    def take_exported(self) -> bytes:
        """That secret, as long as a hash: once, then it is gone from here; empty if none was wanted.

        Raises:
            LocalProtocolError: the handshake is not finished.
        """
        self._check_finished()
        exported, self._exported = self._exported, b""
        return exported

    def forget(self) -> None:
        """Let go of all secrets, the keys too: nothing can be read, written or taken any more."""
        self.state = State.FAILED
        self._remote = {}
        self._keys = (b"", b"")
        self._exported = b""
        self._forget()

    def _check_finished(self) -> None:
        if self.state is not State.FINISHED:
            raise LocalProtocolError("the handshake is not finished")

    def _check_turn(self, *, is_writing: bool) -> None:
        if self.state is not State.UNDER_WAY:
            raise LocalProtocolError(f"this handshake {self.state.value}")
        if is_writing != self._is_next:
            raise LocalProtocolError("it is the other side's turn to " + ("write" if is_writing else "read"))

    def _write(self, payload: bytes) -> bytes:
        symmetric = self._symmetric
        message = b""
        for step in self._messages[self._position]:
            if step == "e":
                public = self._own["e"].public
                symmetric.mix_hash(public)
                message += public
            elif step == "s":
                message += symmetric.encrypt_and_hash(self._own["s"].public)
            else:
                symmetric.mix_key(self._secret(step))
        message += symmetric.encrypt_and_hash(payload)
        if len(message) > MAX_MESSAGE_BYTES:
            raise LocalProtocolError(f"a handshake message of {len(message)} bytes is too long")
        return message

    def _read(self, message: bytes) -> bytes:
        byte_count = len(message)
        if byte_count > MAX_MESSAGE_BYTES:
            raise AuthenticationError(f"a handshake message of {byte_count} bytes is too long")
        symmetric, remote = self._symmetric, self._remote
        position = 0
        for step in self._messages[self._position]:
            begin = position
            if step == "e":
                position += KEY_BYTES
                if position > byte_count:
                    raise AuthenticationError("the handshake message is too short")
                public = remote["e"] = message[begin:position]
                symmetric.mix_hash(public)
            elif step == "s":
                # In all patterns a key has been mixed by now, so a static key always comes sealed.
                position += KEY_BYTES + TAG_BYTES
                if position > byte_count:
                    raise AuthenticationError("the handshake message is too short")
                remote["s"] = symmetric.decrypt_and_hash(message[begin:position])
            else:
                symmetric.mix_key(self._secret(step))
        return symmetric.decrypt_and_hash(message[position:])

    def _secret(self, step: _Token) -> bytes:
        """What a key of the initiator's (first letter) and one of the responder's have in common."""
        own, remote = (step[0], step[1]) if self._initiator else (step[1], step[0])
        if step == "ss" and self._shared is not None:
            return self._shared.with_owner_of(self._remote["s"])
        return dh(self._own[own], self._remote[remote])

    def _advance(self) -> None:
        self._position += 1
        self._is_next = not self._is_next
        if self._position == len(self._messages):
            self._keys = self._symmetric.split()
            if self._label:
                self._exported = self._symmetric.export(self._label)
            self.state = State.FINISHED
            self._forget()

    def _forget(self) -> None:
        self._own = {}
        self._symmetric.forget()


@functools.cache  # three patterns, four hashes
def _protocol_name(pattern: PatternName, hash_name: HashName) -> bytes:
    return f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}".encode()
