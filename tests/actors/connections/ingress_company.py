"""An ingress that opens a connection, and the exits that it asks; these are in the hands of the test."""

from typing import Any

import msgspec

from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.messages import connection as messages
from actors.messages import listener as listener_messages
from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.session import Session
from mesh.connection.session_handshake import SessionResponder
from mesh.connection.stream import INITIAL_WINDOW_BYTES
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import NO_AGENT, Identity
from mesh.trust.noise.primitives import key_pair
from tests.actors.company import start
from tests.actors.connections.end_company import INGRESS, KEY, Table, Wire, World, settings_of
from tests.mesh.connection.replies import reply_with


class Candidate:
    """An exit as the ingress meets it: it answers when the test says so."""

    def __init__(self, scene: World, identity: Identity) -> None:
        self.settings = settings_of(identity)
        self.wire = start(scene.world, Wire, lambda frames: None, host="branch")
        self._scene = scene
        self.credit = INITIAL_WINDOW_BYTES
        self.wants_client = False

    @property
    def opens(self) -> list[Frame]:
        return self.wire.of(FrameType.OPEN)

    def answer(self, code: str = "", socket_tag: bytes = b"") -> Session | None:
        """Accept its OPEN, or reject it with ``code``."""
        frame, session = self.reply(code, socket_tag)
        self.send(frame)
        return session

    def reply(self, code: str = "", socket_tag: bytes = b"") -> tuple[Frame, Session | None]:
        """The frame of its answer, unsent."""
        frame = self.opens[-1]
        responder = SessionResponder(
            local=self.settings.party,
            remote=settings_of(INGRESS).party,
            connection=frame.connection,
            static=self.settings.static,
            ephemeral=key_pair(self.settings.static.public),
        )
        request = responder.read_open(frame)
        expected = OpenRequest(KEY, INITIAL_WINDOW_BYTES, tells_client=True, renews_keys=True)
        assert request == msgspec.structs.replace(expected, wants_pair=request.wants_pair)
        if code:
            return reply_with(responder, OpenReply(accepted=False, code=code, reason="because"))
        accepting = OpenReply(
            accepted=True, credit=self.credit, socket_tag=socket_tag, wants_client=self.wants_client
        )
        return reply_with(responder, accepting)

    def send(self, *frames: Frame) -> None:
        self._scene.ingress.ref.tell(messages.SegmentsArrived(frames, NO_AGENT))
        self._scene.run(0.0)


class Opening(World):
    """An ingress with one candidate or two, of which it knows the first ``known`` from the start.

    With ``stands_by`` it has prepared for the first one, and its client comes with :meth:`serve`.
    """

    def __init__(
        self,
        *identities: Any,
        known: int = 2,
        register: bool = True,
        rtt_step: int = 0,
        stands_by: bool = False,
        **changes: Any,
    ) -> None:
        super().__init__()
        self.listener.rtt_step = rtt_step
        self.exits = [Candidate(self, identity) for identity in identities]
        wires = {each.settings.party.id: each.wire for each in self.exits}
        self.table = start(self.world, Table, wires, host="branch")
        self.table.answers = register
        self.settings = settings_of(INGRESS, **changes)
        self.began_at = self.world.now()
        self.parties = [each.settings.party for each in self.exits[:known]]
        if stands_by:
            self.stand_by(self.parties[0], table=self.table, settings=self.settings)
        else:
            self.start_ingress(
                *self.parties, table=self.table, settings=self.settings, options=CONNECTION_SOCKET_OPTIONS
            )
        self.run(0.0)

    def offer(self, *exits: Candidate) -> None:
        """These offer the key from now on."""
        self.listener.parties = tuple(each.settings.party for each in exits)

    @property
    def looks(self) -> int:
        """How often the listener was asked who offers the key."""
        return len(self.listener.of(listener_messages.FindCandidates))

    def tell(self, message: Any) -> None:
        self.ingress.ref.tell(message)
        self.run(0.0)

    @property
    def is_over(self) -> bool:
        """The end is gone, and all it held is given back, once."""
        given_back = sorted(number for number, _ in self.table.ended)
        return (
            not self.ingress.ref.is_alive()
            and given_back == list(range(1, self.table.numbers + 1))
            and self.clients_left == 1
            and self.world.open_sockets("branch") == 0
            and self.settings.budget.reserved_bytes == 0
        )
