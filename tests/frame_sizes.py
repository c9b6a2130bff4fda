"""How long the bodies of frames have to be."""

from mesh.link.frame_sealing import _KINDS
from mesh.link.frames import FIRST_END_TO_END_TYPE, FIRST_SKIPPED_TYPE, TAG_BYTES


def is_sealed(kind: int) -> bool:
    """Whether a link seals the bodies of this type."""
    return not FIRST_END_TO_END_TYPE <= kind < FIRST_SKIPPED_TYPE


def body_bounds(kind: int) -> tuple[int, int]:
    """Bytes of a body of this type, before the link seals it: at the least and at the most."""
    _, least, most, *_ = _KINDS[kind]
    tag = TAG_BYTES if is_sealed(kind) else 0
    return least - tag, most - tag


def smallest_body(kind: int) -> bytes:
    """The shortest body of this type that may pass."""
    return bytes(body_bounds(kind)[0])


def fitting(kind: int, body: bytes) -> bytes:
    """``body``, cut or lengthened until it may be one of this type."""
    least, most = body_bounds(kind)
    return body[:most].ljust(least, b"x")
