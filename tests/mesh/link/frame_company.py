"""Frames to send, and what they are on the wire."""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import strategies as st

from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed
from tests.frame_sizes import fitting, smallest_body

KEY = bytes(range(32))
SOURCE = AgentId(bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"))
DESTINATION = AgentId(bytes.fromhex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"))
LINK_OWN = [frame_type for frame_type in FrameType if frame_type < 0x10]
OF_CONNECTIONS = [frame_type for frame_type in FrameType if frame_type >= 0x10]


def frame(frame_type: int = FrameType.DATA, body: bytes | None = None, **changes) -> Frame:
    if body is None:
        body = b"sealed" if frame_type == FrameType.DATA else smallest_body(frame_type)
    fields = {
        "from_exit": False,
        "source": SOURCE,
        "destination": DESTINATION,
        "connection": 0x0102030405060708,
        "number": 0x1112131415161718,
        "hop_limit": 16,
        "marked": False,
    }
    return Frame(type=frame_type, body=body, **(fields | changes))


def wire(*sent: Frame) -> bytes:
    writer = FrameWriter(KEY)
    return b"".join(b"".join(writer.seal(each)) for each in sent)


def read(data: bytes) -> list[Frame]:
    return FrameReader(KEY).feed(memoryview(data))


def clear_header(data: bytes) -> bytes:
    """Of the first frame, opened without the code under test."""
    return ChaCha20Poly1305(KEY).decrypt(bytes(12), data[:72], None)


def sealed_header(header: bytes) -> memoryview:
    """What a peer that holds the key but breaks the protocol would send first."""
    return memoryview(ChaCha20Poly1305(KEY).encrypt(bytes(12), header, None))


ids = st.binary(min_size=16, max_size=16).map(AgentId)
u64 = st.integers(0, 2**64 - 1)
any_frame = st.builds(
    link_frame, st.sampled_from(LINK_OWN) | st.integers(0x40, 0x5F), st.binary(max_size=300)
) | st.builds(
    Frame,
    type=st.sampled_from(OF_CONNECTIONS) | st.integers(0x60, 0x7F),
    from_exit=st.booleans(),
    source=ids,
    destination=ids,
    connection=u64,
    number=u64,
    body=st.binary(max_size=300),
    hop_limit=st.integers(0, 255),
    marked=st.booleans(),
).map(lambda made: changed(made, body=fitting(made.type, made.body)))
