"""Both ends of a connection with a wire between them, a client and a target; both programs are the test's."""

from typing import Any

from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.messages import connection as messages
from actors.runtime.seam import SocketOptions
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import NO_AGENT
from tests.actors.company import start
from tests.actors.connections.end_company import EXIT, INGRESS, Table, Wire, World, settings_of
from tests.actors.links.link_company import RawPeer

MIB = 1024 * 1024
SMALL = SocketOptions(send_buffer_bytes=8192, receive_buffer_bytes=8192, reset_if_abandoned=True)
SIDES = ["client", "target"]


class Ends(World):
    """A client, the ingress's end, a wire, the exit's end and a target."""

    def __init__(self, options: SocketOptions = CONNECTION_SOCKET_OPTIONS, **changes: Any) -> None:
        super().__init__()
        self.to_exit = start(self.world, Wire, self._reach_exit, host="branch")
        self.to_ingress = start(self.world, Wire, self._reach_ingress, host="hq")
        self.ingress_table = start(self.world, Table, {EXIT.id: self.to_exit}, host="branch")
        self.exit_table = start(self.world, Table, {}, host="hq")
        self.ingress_settings = settings_of(INGRESS, **changes)
        self.exit_settings = settings_of(EXIT, **changes)
        self.start_ingress(
            self.exit_settings.party,
            table=self.ingress_table,
            settings=self.ingress_settings,
            options=options,
        )
        self.target: Any = None

    def _reach_exit(self, frames: tuple[Frame, ...]) -> None:
        if self.exit is None and frames[0].type == FrameType.OPEN:
            self.start_exit(
                frames[0], link=self.to_ingress.ref, table=self.exit_table, settings=self.exit_settings
            )
        elif self.exit is not None and self.exit.ref.is_alive():
            self.exit.ref.tell(messages.SegmentsArrived(frames, NO_AGENT))

    def _reach_ingress(self, frames: tuple[Frame, ...]) -> None:
        if self.ingress.ref.is_alive():
            self.ingress.ref.tell(messages.SegmentsArrived(frames, NO_AGENT))

    def open(self) -> "Ends":
        """Let the connection open."""
        self.run(0.1)
        self.target = self.take_target()
        self.run(0.1)
        return self

    def cut(self, is_cut: bool) -> None:
        """Lose every frame on the way."""
        self.to_exit.is_cut = self.to_ingress.is_cut = is_cut

    def path(self, *, exists: bool) -> None:
        """Tell both ends that the path is gone, or there again."""
        self.cut(not exists)
        for end, far, wire in (
            (self.ingress, EXIT, self.to_exit),
            (self.exit, INGRESS, self.to_ingress),
        ):
            if end.ref.is_alive():
                end.ref.tell(messages.PathChanged(far.id, wire.ref if exists else None))
        self.run(0.0)

    @property
    def is_over(self) -> bool:
        """Both ends are gone, and all they held is given back, once."""
        return (
            not self.ingress.ref.is_alive()
            and not self.exit.ref.is_alive()
            and self.world.open_sockets("branch") == self.world.open_sockets("hq") == 0
            and self.ingress_settings.budget.reserved_bytes == 0
            and self.exit_settings.budget.reserved_bytes == 0
            and self.ingress_table.ended == [(1, False)]
            and self.exit_table.ended == [(1, True)]
            and self.clients_left == self.left_endpoint == 1
        )


def pattern(byte_count: int) -> bytes:
    return bytes(range(251)) * (byte_count // 251) + bytes(range(byte_count % 251))


def resets(ends: Ends) -> tuple[int, int]:
    """Connections that each end has counted as reset."""
    return ends.ingress_meters.connections_reset, ends.exit_meters.connections_reset


def both(ends: Ends, side: str) -> tuple[RawPeer, RawPeer]:
    """The program on that side and the one at the other end."""
    return (ends.client, ends.target) if side == "client" else (ends.target, ends.client)
