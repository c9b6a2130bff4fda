"""When to acknowledge, what the acknowledgement says, and the round-trip time a PROBE measures.

An acknowledgement waits up to 25 ms, so that one serves many small segments; a bulk transfer gets several in
each round, sent when the local socket takes bytes, so that they carry the new credit. A gap is reported when
it has lasted longer than reordering does. A FIN says what a delayed acknowledgement would, and spares it.
"""

from math import inf
from typing import Final

from mesh.connection.stream.control import Fin, encode_acknowledgement
from mesh.connection.stream.receive_half import ReceiveHalf
from mesh.connection.stream.rtt import MAX_ACK_DELAY_S, RoundTrip
from mesh.connection.stream.sealing import SegmentSealer
from mesh.link.frames import Frame, FrameType

SOON_S: Final = 0.001
"""An acknowledgement that is due waits so long for the local socket, to carry credit for what it takes."""

PROBE_EVERY_S: Final = 1.0
"""How often an end that receives much and sends nothing measures the round-trip time. The smallest sample
counts for at least ten of these times, for most include the queue that the stream itself keeps."""

NO_PROBE: Final = -1

_LOW_HALF: Final = 2**32 - 1
_LONGEST_S: Final = 1e6
_CLOCK_S: Final = 0.002
"""What a silence is not exact to."""


class Acknowledger:
    """Keeps the times of acknowledgements, and makes ACK and PROBE frames."""

    __slots__ = (
        "_echo",
        "_gap_reported",
        "_probe_number",
        "_receiver",
        "_rtt",
        "_session",
        "answered_at",
        "asked_at",
        "due",
        "gap_due",
        "said_number",
        "told_at",
    )

    def __init__(self, session: SegmentSealer, receiver: ReceiveHalf, rtt: RoundTrip) -> None:
        self._session = session
        self._receiver = receiver
        self._rtt = rtt
        self.due = inf
        """When an ACK must be sent."""
        self.gap_due = inf
        """When a gap has lasted long enough to be reported."""
        self._gap_reported = False
        self._echo = 0
        self._probe_number = NO_PROBE
        """Number of the newest PROBE, while its echo has not come."""
        self.asked_at = -inf
        """When it was sent."""
        self.said_number = 0
        """Every segment below has been acknowledged, by an ACK or a PROBE."""
        self.told_at = -inf
        """When the newest ACK or PROBE arrived."""
        self.answered_at = -inf
        """When this end first answered what the other end, by what it says, has not heard since."""

    def segment_arrived(self, now: float, *, marked: bool) -> None:
        """A new segment has arrived."""
        receiver = self._receiver
        if receiver.early:
            if self.gap_due == inf and not self._gap_reported:
                self.gap_due = now + receiver.reordering_delay_s
        elif self._gap_reported or self.gap_due != inf:
            self.gap_due = inf
            self._gap_reported = False
        if marked or self._gap_reported or receiver.acknowledgement_due:
            self.hurry(now)
        elif self.due == inf:
            self.due = now + MAX_ACK_DELAY_S

    def hurry(self, now: float) -> None:
        """Acknowledge as soon as the local socket has had the chance to take something."""
        self.due = min(self.due, now + SOON_S)

    def is_due(self, now: float, within_s: float = SOON_S) -> bool:
        """Whether an ACK must be sent about now."""
        return self.due <= now + within_s

    def timeout(self, now: float) -> bool:
        """Whether an ACK must be sent now; a gap that has lasted is reported from here on."""
        if now >= self.gap_due:
            self.gap_due = inf
            self._gap_reported = True
            return True
        return now >= self.due

    def stop(self) -> None:
        """Nothing is to be acknowledged any more."""
        self.due = self.gap_due = inf

    def probe_arrived(self, number: int, silence_s: float, late_s: float, now: float) -> bool:
        """The PROBE ``number`` has arrived; acknowledgements echo it from here on.

        Args:
            number: of the PROBE.
            silence_s: for how long no ACK or PROBE of this end had arrived when it was sent.
            late_s: after which an answer should have arrived.
            now: seconds.

        Returns:
            Whether what this end says is lost: an earlier PROBE was answered, and long enough ago for the
            answer to have arrived before this one was sent; but it had not.
        """
        self._echo = (number + 1) & _LOW_HALF
        elapsed_s = now - self.answered_at
        if silence_s < elapsed_s + _CLOCK_S:  # it has heard since, or this is the first
            self.answered_at = now
            return False
        return elapsed_s >= late_s

    def expect_no_sample(self) -> None:
        """The newest PROBE overtakes what is on the way: its round-trip time is not the segments'."""
        self._probe_number = NO_PROBE

    def echo_arrived(self, echo: int, now: float) -> bool:
        """A PROBE is echoed; whether that gives a round-trip time: the first for the newest does."""
        if echo and echo == (self._probe_number + 1) & _LOW_HALF:
            self._rtt.sample_of_probe(now - self.asked_at, now)
            self._probe_number = NO_PROBE
            return True
        return False

    def bulk_kind(self, now: float) -> FrameType:
        """ACK; or PROBE if much arrives and no recent round-trip time tells how far to open the window."""
        if not self._receiver.acknowledgement_due or now - self._rtt.sampled_at <= PROBE_EVERY_S:
            return FrameType.ACK
        under_way = self._probe_number != NO_PROBE and now < self.asked_at + self._rtt.timeout_s
        return FrameType.ACK if under_way else FrameType.PROBE

    def fin(self, now: float, *, is_prompt: bool, is_last: bool) -> Fin:
        """What this end's FIN tells.

        Args:
            now: seconds.
            is_prompt: the FIN arrives about as soon as an acknowledgement would, so one that can wait is
                spared. Where it cannot wait, it has more to say than a FIN does.
            is_last: nothing is waited for any more.
        """
        if is_prompt and self.due > now + SOON_S:
            self.due = inf
        return Fin(self._receiver.next_number, self._delay_s(now), is_last)

    def frame(self, kind: FrameType, now: float) -> Frame:
        """An ACK or PROBE that says all there is to say."""
        receiver = self._receiver
        self.due = inf
        receiver.pending_bytes = 0
        self.said_number = receiver.next_number
        payload = encode_acknowledgement(
            next_number=receiver.next_number,
            credit=receiver.grant(),
            missing_until=receiver.missing_until if self._gap_reported and receiver.early else 0,
            marked=receiver.marked,
            echo=self._echo,
            silence_s=min(now - self.told_at, _LONGEST_S),
            delay_s=self._delay_s(now),
        )
        frame = self._session.seal_control(kind, payload)
        if kind is FrameType.PROBE:
            self._probe_number, self.asked_at = frame.number, now
        return frame

    def _delay_s(self, now: float) -> float:
        """Time since the newest segment arrived."""
        return now - self._receiver.arrived_at if self._receiver.next_number else 0.0
