"""An exit that answers an OPEN; the ingress is in the hands of the test."""

from typing import Any

from actors.messages import connection as messages
from mesh.connection.opening_payloads import OpenRequest
from mesh.connection.session_handshake import SessionInitiator
from mesh.connection.stream import INITIAL_WINDOW_BYTES
from mesh.link.frames import FrameType
from mesh.trust.identity import NO_AGENT
from mesh.trust.noise.primitives import key_pair
from tests.actors.company import start
from tests.actors.connections.end_company import EXIT, INGRESS, KEY, Table, Wire, World, settings_of


class Asker:
    """An ingress as the exit meets it."""

    def __init__(
        self, number: int = 7, key: str = KEY, seed: bytes = b"e" * 32, *, tells_client: bool = False
    ) -> None:
        self._number, self._seed = number, seed
        self.initiator = self.unasked()
        self.open = self.initiator.open_frame(OpenRequest(key, INITIAL_WINDOW_BYTES, tells_client))

    def unasked(self) -> SessionInitiator:
        """Its side of the handshake, before it has said anything."""
        settings = settings_of(INGRESS)
        return SessionInitiator(
            local=settings.party,
            remote=settings_of(EXIT).party,
            connection=self._number,
            static=settings.static,
            ephemeral=key_pair(self._seed),
        )


class Answering(World):
    """An exit that has got an OPEN."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.table = start(self.world, Table, {}, host="hq")
        self.wire = start(self.world, Wire, lambda frames: None, host="hq")
        self.settings = settings_of(EXIT, **changes)
        self.taken_by_others = self.settings.places.taken
        self.session: Any = None

    def ask(self, asker: Asker | None = None, run_s: float = 0.1) -> "Answering":
        self.asker = asker or Asker()
        self.start_exit(self.asker.open, link=self.wire.ref, table=self.table, settings=self.settings)
        self.run(run_s)
        return self

    def tell(self, *frames: Any) -> None:
        self.exit.ref.tell(messages.SegmentsArrived(frames, NO_AGENT))
        self.run(0.0)

    def read_answer(self) -> Any:
        reply, self.session = self.asker.initiator.read_reply(self.answers[0])
        return reply

    @property
    def answers(self) -> list[Any]:
        return self.wire.of(FrameType.ACCEPT, FrameType.REJECT)

    @property
    def rejection(self) -> str:
        """The code of the answer, which is a rejection."""
        reply = self.read_answer()
        assert not reply.accepted
        assert {frame.type for frame in self.answers} == {FrameType.REJECT}
        assert self.exit_meters.opens_rejected == 1
        return reply.code

    @property
    def is_over(self) -> bool:
        return (
            not self.exit.ref.is_alive()
            and self.table.ended == [(7, True)]
            and self.world.open_sockets("hq") == 0
            and self.settings.budget.reserved_bytes == 0
            and self.settings.places.taken == self.taken_by_others
        )
