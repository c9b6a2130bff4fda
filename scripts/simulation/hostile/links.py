"""Links of a hostile member: real ones, which also send whatever they are told and pass on what they like."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final
from unittest import mock

import msgspec

import actors.root.services
from actors.links.peer_link import PeerLink
from actors.messages.peer_link import SendFrames
from mesh.errors import LocalProtocolError
from mesh.link import effects, frame_sealing, frames
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import OPENING_BODY_BYTES, TAG_BYTES, Frame, FrameType
from mesh.link.states import LinkState
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed
from scripts.simulation.hostile.loot import Loot
from scripts.simulation.meddling import MeddlingLink

ROOM_BYTES: Final = 64 * 1024
"""Sealed bytes that may wait for the socket: a flood is as fast as the link, and holds no more than that."""

RIGHT_SIZES: Final = {
    FrameType.OPEN: OPENING_BODY_BYTES,
    FrameType.ACCEPT: OPENING_BODY_BYTES,
    FrameType.REJECT: OPENING_BODY_BYTES,
    FrameType.ACK: 44 + TAG_BYTES,
    FrameType.RESET: 10 + TAG_BYTES,
    FrameType.PROBE: 44 + TAG_BYTES,
    FrameType.UNKNOWN: 0,
}
"""Bytes of bodies that have one size; another costs the link."""


class Odd(msgspec.Struct, frozen=True):
    """A frame whose header says what no agent would: fields to overwrite, by their place in the header."""

    frame: Frame
    overwrite: dict[int, int]


class Inject(msgspec.Struct, frozen=True):
    """Command: send these at once, past the queue, as far as there is room."""

    frames: Sequence[Frame | Odd]


class StopReading(msgspec.Struct, frozen=True):
    """Command: take nothing from the socket, or go on."""

    stopped: bool


class Temper(msgspec.Struct, frozen=True):
    """What becomes of frames that are to be passed on: the chance of each mischief."""

    drop: float = 0.0
    repeat: float = 0.0
    damage: float = 0.0
    retype: float = 0.0
    mark: float = 0.0


class Character(msgspec.Struct):
    """What all links of the member share."""

    draw: random.Random
    loot: Loot
    temper: Temper


def _seal_odd(writer: FrameWriter, odd: Odd) -> tuple[bytes, ...]:
    """The buffers of a frame with another header, which an honest writer refuses to seal."""
    frame = odd.frame
    header = bytearray(
        frame_sealing._HEADER.pack(
            frames.VERSION,
            frame.type | frames.FROM_EXIT if frame.from_exit else frame.type,
            frame.hop_limit,
            frame.marked,
            frame.source,
            frame.destination,
            frame.connection,
            frame.number,
            len(frame.body),
        )
    )
    for place, value in odd.overwrite.items():
        header[place] = value
    sealed = writer._encrypt(frames.nonce(0, writer._sealed), bytes(header), None)
    writer._sealed += 1
    return (sealed, frame.body)


class HostileLink(MeddlingLink):
    """A link that listens, and does as the member says."""

    def __init__(self, *arguments: Any, character: Character, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._character = character

    @property
    def peer_id(self) -> AgentId | None:
        """Who is at the other end, once the link is up."""
        return self._link.peer.peer_id if self._link.state is LinkState.UP else None

    def on_receive(self, message: Any) -> None:
        """Commands of the member, or what every link receives."""
        match message:
            case Inject(frames=wanted):
                self._inject(wanted)
            case StopReading(stopped=stopped):
                if self._link.state is LinkState.UP:
                    self._socket.watch_read(not stopped)
            case _:
                super().on_receive(message)

    def _inject(self, wanted: Sequence[Frame | Odd]) -> None:
        output = self._output
        writer = output._writer
        if self._link.state is not LinkState.UP or writer is None:
            return
        own_id, loot = self._settings.identity.id, self._character.loot
        for each in wanted:
            if output.unsent_bytes > ROOM_BYTES:
                break
            if isinstance(each, Frame) and each.source != own_id:
                loot.note_sent(each)
            try:
                pieces = _seal_odd(writer, each) if isinstance(each, Odd) else writer.seal(each)
            except LocalProtocolError:
                continue
            output._unsent.extend(pieces)
            output.unsent_bytes += sum(map(len, pieces))
        self._flush()

    def _do_one(self, effect: Any) -> None:
        if isinstance(effect, effects.RecordsCame):
            self._character.loot.take_records(effect.records)
        super()._do_one(effect)

    def _pass_on(self, destination: AgentId, passing: list[Frame]) -> None:
        character = self._character
        character.loot.take_frames(passing)
        super()._pass_on(destination, [out for frame in passing for out in self._temper_of(frame)])

    def _temper_of(self, frame: Frame) -> list[Frame]:
        draw, temper = self._character.draw, self._character.temper
        if draw.random() < temper.drop:
            return []
        if draw.random() < temper.damage and frame.body:
            body = bytearray(frame.body)
            body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
            frame = changed(frame, body=bytes(body))
        if draw.random() < temper.retype:
            alike = [kind for kind, size in RIGHT_SIZES.items() if size == len(frame.body)]
            frame = changed(frame, type=draw.choice([*alike, FrameType.DATA]))
        if draw.random() < temper.mark:
            frame = changed(frame, marked=not frame.marked)
        return [frame, frame] if draw.random() < temper.repeat else [frame]


class WitnessedLink(PeerLink):
    """A link of another agent, as ever; it is noted what the member is given on it."""

    def __init__(self, *arguments: Any, member: AgentId, loot: Loot, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._member, self._loot = member, loot

    def on_receive(self, message: Any) -> None:
        """What every link receives."""
        if isinstance(message, SendFrames) and self._link.peer.peer_id == self._member:
            self._loot.note_given(message.frames, self.now())
        super().on_receive(message)


class _Router:
    """Stands for the class of links: starts others."""

    def __init__(self, host: str, member: AgentId, character: Character) -> None:
        self._host, self._member, self._character = host, member, character

    def start(self, dispatcher: Any, **named: Any) -> Any:
        if dispatcher.host_name == self._host:
            return HostileLink.start(dispatcher, character=self._character, **named)
        return WitnessedLink.start(dispatcher, member=self._member, loot=self._character.loot, **named)


@contextlib.contextmanager
def hostile_links(host: str, member: AgentId, character: Character) -> Iterator[None]:
    """Agents that are started on ``host``, where ``member`` is, meanwhile have hostile links."""
    with mock.patch.object(actors.root.services, "PeerLink", _Router(host, member, character)):
        yield
