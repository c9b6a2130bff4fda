"""Links of a transit agent that is not to be trusted: one listens, the other does whatever it can."""

import random
from typing import Any, ClassVar

from mesh.link.frames import MAX_BODY_BYTES, Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed
from scripts.simulation.meddling import MeddlingLink
from tests.frame_sizes import fitting

HELD_FRAMES = 400
"""Frames that a hostile transit agent remembers, to replay or to exchange them."""


class RecordingLink(MeddlingLink):
    """Keeps all that it passes on."""

    recorded: ClassVar[list[Frame]] = []

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        self.recorded.extend(frames)
        super()._pass_on(destination, frames)


class HostileLink(MeddlingLink):
    """Does one of :data:`MISCHIEF` to every so manieth frame; the class carries the plan."""

    draw: ClassVar[random.Random]
    kinds: ClassVar[tuple[str, ...]]
    chance: ClassVar[float]
    seen: ClassVar[list[Frame]] = []
    done: ClassVar[dict[str, int]] = {}

    @classmethod
    def plan(cls, seed: int, kinds: tuple[str, ...], chance: float) -> None:
        """What to do from now on, and how often."""
        cls.draw = random.Random(f"hostile {seed}")
        cls.kinds, cls.chance = kinds, chance
        cls.seen, cls.done = [], {}

    def on_receive(self, message: Any) -> None:
        """A tuple is a late frame's time to go."""
        if isinstance(message, tuple):
            self._go_on(list(message))
        else:
            super().on_receive(message)

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        draw, out = self.draw, []
        for frame in frames:
            if len(self.seen) < HELD_FRAMES:
                self.seen.append(frame)
            else:
                self.seen[draw.randrange(HELD_FRAMES)] = frame
            if draw.random() >= self.chance:
                out.append(frame)
                continue
            kind = draw.choice(self.kinds)
            self.done[kind] = self.done.get(kind, 0) + 1
            # Another size would cost this link, and so end all mischief.
            out.extend(
                changed(made, body=fitting(made.type, made.body)) for made in getattr(self, f"_{kind}")(frame)
            )
        self._go_on(out)

    def _go_on(self, frames: list[Frame]) -> None:
        by_destination: dict[AgentId, list[Frame]] = {}
        for frame in frames:
            by_destination.setdefault(frame.destination, []).append(frame)
        for destination, batch in by_destination.items():
            super()._pass_on(destination, batch)

    # -- mischief --------------------------------------------------------------------------------------------

    def _drop(self, frame: Frame) -> list[Frame]:
        return []

    def _repeat(self, frame: Frame) -> list[Frame]:
        return [frame, frame]

    def _replay(self, frame: Frame) -> list[Frame]:
        return [self.draw.choice(self.seen), frame]

    def _delay(self, frame: Frame) -> list[Frame]:
        self.schedule(self.draw.random() * 0.3, (frame,))
        return []

    def _flip_body(self, frame: Frame) -> list[Frame]:
        if not frame.body:
            return [frame]
        body = bytearray(frame.body)
        body[self.draw.randrange(len(body))] ^= 1 << self.draw.randrange(8)
        return [changed(frame, body=bytes(body))]

    def _truncate(self, frame: Frame) -> list[Frame]:
        return [changed(frame, body=frame.body[: self.draw.randrange(len(frame.body) + 1)])]

    def _lengthen(self, frame: Frame) -> list[Frame]:
        room = MAX_BODY_BYTES - len(frame.body)
        return [changed(frame, body=frame.body + self.draw.randbytes(min(room, 1 + self.draw.randrange(40))))]

    def _renumber(self, frame: Frame) -> list[Frame]:
        number = self.draw.choice([frame.number ^ 1, frame.number ^ 2, 0, 2**64 - 1])
        return [changed(frame, number=number)]

    def _retype(self, frame: Frame) -> list[Frame]:
        kinds = [*(kind for kind in FrameType if kind >= FrameType.OPEN), *range(0x60, 0x80)]
        return [changed(frame, type=self.draw.choice(kinds))]

    def _turn(self, frame: Frame) -> list[Frame]:
        return [changed(frame, from_exit=not frame.from_exit)]

    def _reconnect(self, frame: Frame) -> list[Frame]:
        other = self.draw.choice(self.seen).connection
        return [changed(frame, connection=self.draw.choice([other, frame.connection ^ 1, 2**64 - 1]))]

    def _exchange(self, frame: Frame) -> list[Frame]:
        other = self.draw.choice(self.seen)
        return [changed(frame, body=other.body)]

    def _reflect(self, frame: Frame) -> list[Frame]:
        back = changed(frame, source=frame.destination, destination=frame.source)
        return [frame, self.draw.choice([back, changed(back, from_exit=not frame.from_exit)])]

    def _mark(self, frame: Frame) -> list[Frame]:
        return [changed(frame, marked=not frame.marked)]

    def _forge(self, frame: Frame) -> list[Frame]:
        draw = self.draw
        kind = draw.choice([FrameType.RESET, FrameType.ACK, FrameType.FIN, FrameType.PROBE, FrameType.REJECT])
        body = draw.randbytes(draw.choice([0, 16, 25, 64, 300]))
        number = draw.choice([0, frame.number, frame.number ^ 1, 2**63])
        return [changed(frame, type=kind, body=body, number=number), frame]

    def _unknown(self, frame: Frame) -> list[Frame]:
        body = self.draw.choice([b"", b"x"])
        return [changed(frame, type=FrameType.UNKNOWN, body=body, number=0), frame]

    def _swap_open(self, frame: Frame) -> list[Frame]:
        """An OPEN with another's handshake, or with an ephemeral key of the transit agent's own."""
        if frame.type not in (FrameType.OPEN, FrameType.ACCEPT, FrameType.REJECT):
            return [frame]
        others = [other for other in self.seen if other.type == frame.type and other is not frame]
        if others and self.draw.random() < 0.5:
            return [changed(frame, body=self.draw.choice(others).body)]
        at = 32 if frame.type == FrameType.OPEN else 0
        return [changed(frame, body=frame.body[:at] + self.draw.randbytes(32) + frame.body[at + 32 :])]


MISCHIEF = tuple(
    name.removeprefix("_")
    for name, member in vars(HostileLink).items()
    if callable(member) and member.__annotations__.get("return") == list[Frame]
)

__all__ = ["MISCHIEF", "HostileLink", "RecordingLink"]
