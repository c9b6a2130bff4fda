"""What a stream needs of its session."""

from typing import Protocol

from mesh.link.frames import BytesLike, Frame


class SegmentSealer(Protocol):
    """Seals and opens the frames of one connection; ``mesh.connection.session.Session`` is one."""

    def seal_segment(self, frame_type: int, number: int, plaintext: BytesLike) -> Frame:
        """The DATA or FIN frame ``number``."""
        ...

    def open_segment(self, frame: Frame) -> bytes:
        """The plaintext of a DATA or FIN frame.

        Raises:
            AuthenticationError: the other end did not seal it.
        """
        ...

    def seal_control(self, frame_type: int, payload: bytes) -> Frame:
        """The next ACK, RESET or PROBE frame."""
        ...

    def open_control(self, frame: Frame) -> bytes:
        """The payload of an ACK, RESET or PROBE frame.

        Raises:
            AuthenticationError: the other end did not seal it.
            OvertakenError: it is not newer than all opened before.
        """
        ...
