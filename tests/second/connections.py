"""A connection's stream and the local socket that it carries, a client's or a target's."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from tests.second.frames import Frame, Type
from tests.second.stream import LIVING, Code, State, Stream

LAST_BYTES: Final = 8_192
LINGER_S: Final = 3.0
TICK_S: Final = 0.01
READ_BYTES: Final = 65_536


class Connection:
    """One end of a connection."""

    def __init__(self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = stream
        self._reader, self._writer = reader, writer
        self.confirmed = asyncio.Event()
        self._tell_if_confirmed()

    def receive(self, frame: Frame) -> None:
        """A frame that names it; an ACCEPT that comes again says nothing."""
        if frame.type == Type.UNKNOWN:
            self.stream.unknown()
        elif frame.type >= Type.DATA:
            self.stream.receive(frame)
            self._tell_if_confirmed()

    def _tell_if_confirmed(self) -> None:
        if self.stream.is_confirmed:
            self.confirmed.set()

    @property
    def _is_in_order(self) -> bool:
        return self.stream.receiver.has_ended and not self.stream.sender.waiting

    async def run(self) -> None:
        """Carry bytes both ways until both have ended, or either was reset; then answer what is repeated."""
        try:
            await self._carry()
        finally:
            if not self._writer.is_closing():
                reset_socket(self._writer)

    async def _carry(self) -> None:
        stream = self.stream
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read())
            writing = tasks.create_task(self._write())
            while stream.state is not State.DONE or (self._is_in_order and not writing.done()):
                stream.tick()
                await asyncio.sleep(TICK_S)
            reading.cancel()
            writing.cancel()
        if self._is_in_order:
            self._writer.close()
            for _ in range(int(LINGER_S / TICK_S)):
                stream.tick()
                await asyncio.sleep(TICK_S)

    async def _read(self) -> None:
        stream = self.stream
        await self.confirmed.wait()
        try:
            while octets := await self._reader.read(READ_BYTES):
                while octets and stream.state in LIVING:
                    room = stream.sender.room()
                    if self._reader.at_eof() and len(octets) <= min(room, LAST_BYTES):
                        stream.finish(octets)
                        return
                    if room:
                        stream.write(octets[:room])
                        octets = octets[room:]
                    else:
                        await asyncio.sleep(TICK_S / 10)
            if stream.state in LIVING:
                stream.finish()
        except ConnectionError:
            stream.reset(Code.RESET)

    async def _write(self) -> None:
        receiver = self.stream.receiver
        try:
            while receiver.ready or not receiver.has_ended:
                ready, receiver.ready = receiver.ready, []
                for octets in ready:
                    self._writer.write(octets)
                    await self._writer.drain()
                    self.stream.took(len(octets))
                if not ready:
                    await asyncio.sleep(TICK_S / 10)
            self._writer.write_eof()
        except ConnectionError:
            self.stream.reset(Code.RESET)


def reset_socket(writer: asyncio.StreamWriter) -> None:
    """Close it so that its other end sees a reset."""
    own: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
