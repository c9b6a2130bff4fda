"""The Noise Protocol Framework, revision 34: patterns XX and IK over X25519 and ChaCha20-Poly1305."""

from mesh.trust.noise.handshake import Handshake, PatternName
from mesh.trust.noise.primitives import KEY_OCTETS, TAG_OCTETS, KeyPair, dh, key_pair
from mesh.trust.noise.symmetric import HashName

__all__ = [
    "KEY_OCTETS",
    "TAG_OCTETS",
    "Handshake",
    "HashName",
    "KeyPair",
    "PatternName",
    "dh",
    "key_pair",
]
