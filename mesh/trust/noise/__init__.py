"""The Noise Protocol Framework, revision 34: patterns XX, IK and KK over X25519 and ChaCha20-Poly1305."""

from mesh.trust.noise.handshake import Handshake, PatternName
from mesh.trust.noise.primitives import KEY_BYTES, TAG_BYTES, KeyPair, dh, key_pair
from mesh.trust.noise.symmetric import HashName

__all__ = [
    "KEY_BYTES",
    "TAG_BYTES",
    "Handshake",
    "HashName",
    "KeyPair",
    "PatternName",
    "dh",
    "key_pair",
]
