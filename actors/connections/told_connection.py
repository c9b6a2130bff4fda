"""What an end of a connection tells people: how it is while it is open, and how it ended, once."""

from abc import abstractmethod
from typing import ClassVar, Final, Generic, TypeVar

from actors.connections.connection_settings import ConnectionSettings
from actors.connections.local_socket import LocalSocketActor
from actors.messages import connection as messages
from actors.meters import Meters
from actors.runtime.seam import Dispatcher
from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending
from mesh.connection.recorder import WINDOW_S, LinesCount
from mesh.connection.reserved import CONTROL_KEY
from mesh.connection.stream import Stream

M = TypeVar("M")


class CountTeller:
    """Tells counts whose time has come; the dispatcher sees it as an actor's reference."""

    __slots__ = ()

    actor_urn: Final = "counts of connections"

    def is_alive(self) -> bool:
        """Always."""
        return True

    def tell(self, message: LinesCount) -> None:
        """Write the line."""
        message.tell()


class ToldConnection(LocalSocketActor[M | messages.EndInbound], Generic[M]):
    """Knows what there is to tell; the subclass carries the bytes, and says why it ends."""

    END: ClassVar[End]

    __slots__ = ("_ending", "_id", "_is_recorded", "_key", "_reason", "_since", "_stream")

    def __init__(
        self, dispatcher: Dispatcher, *, settings: ConnectionSettings, meters: Meters, key: str
    ) -> None:
        of_end = meters.listened if self.END is End.INGRESS else meters.served
        super().__init__(dispatcher, settings=settings, meters=meters, key_meter=of_end.of(key))
        self._key = key
        """The routing key, once it is known."""
        self._stream: Stream | None = None
        self._id = ""
        """Of the connection, for people: once an exit has answered."""
        self._since = dispatcher.now()
        """When this end began, in monotonic seconds."""
        self._ending = Ending.OPEN
        self._reason = ""
        """Why it has ended, if there is more to say."""
        self._is_recorded = False

    def _opened(self, connection_id: str) -> None:
        """It can be asked for by this ID, and closed."""
        self._id = connection_id
        self._meters.open_connections.opened(connection_id, self.ref)
        meter = self._key_meter
        meter.open_connections += 1
        meter.opening.observe(self.now() - self._since)

    def _no_longer_open(self) -> None:
        if self._meters.open_connections.ended(self.ref):
            self._key_meter.open_connections -= 1

    @abstractmethod
    def _other_name(self) -> str:
        """The agent at the other end, as logs name it; empty if there is none yet."""

    def _client_name(self) -> str:
        """Address of the client, if this end knows it."""
        return ""

    def _target_name(self) -> str:
        """Where the service is, if this end knows it."""
        return ""

    def _end_as(self, ending: Ending, reason: str = "") -> None:
        """This is why it ends, unless it has another reason already."""
        if self._ending is Ending.OPEN:
            self._ending, self._reason = ending, reason

    def _view(self) -> ConnectionView:
        """The connection as it is now."""
        is_exit = self.END is End.EXIT
        own, stream = self._settings.own_label, self._stream
        sent, taken = (0, 0) if stream is None else (stream.sent_bytes, stream.taken_bytes)
        rtt_s = None if stream is None else stream.round_trip_s
        return ConnectionView(
            id=self._id,
            end=self.END,
            key=self._key,
            client=self._client_name(),
            ingress=self._other_name() if is_exit else own,
            exit=own if is_exit else self._other_name(),
            target=self._target_name(),
            age_s=self.now() - self._since,
            to_service_bytes=taken if is_exit else sent,
            to_client_bytes=sent if is_exit else taken,
            rtt_ms=None if rtt_s is None else round(rtt_s * 1000, 3),
        )

    def _record(self) -> None:
        """Write it down, once, when its end at this agent is over for people."""
        if self._is_recorded:
            return
        self._is_recorded = True
        self._no_longer_open()
        self._end_as(Ending.STOPPED)
        self._key_meter.endings[self._ending] += 1
        if self._key == CONTROL_KEY and self._ending is Ending.CLOSED:
            return  # one for each question: they would hide the others, and what was asked is told
        record = ConnectionRecord(self._view(), self._ending, self._reason)
        unix_s = self._dispatcher.unix_time()
        self._meters.connection_ended(record, unix_s)
        count = self._meters.recorder.record(
            record,
            self._meters.journal,
            now=self.now(),
            unix_s=unix_s,
            lines_per_s=self._settings.config.logging.connections,
        )
        if count is not None:  # this actor ends, and the count is to be told all the same
            self._dispatcher.schedule(CountTeller(), count.began + WINDOW_S - self.now(), count)
