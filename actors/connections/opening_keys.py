"""With which keys connections open at either end: under the pair sessions of the agent, or by handshakes."""

from collections.abc import Callable
from functools import partial

from actors.connections.arrived_open import ArrivedOpen
from actors.connections.connection_settings import ConnectionSettings
from actors.messages import connection_table as table_messages
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.connection.pair_session import PairSession
from mesh.connection.party import Party
from mesh.connection.session_handshake import SessionInitiator, SessionResponder
from mesh.connection.short_open import ShortInitiator, ShortResponder


class PairedOpeners:
    """Opens one connection to one exit; see :class:`mesh.connection.initiating.Openers`.

    It holds no actor: the connection may last for years.
    """

    __slots__ = ("_exit", "_now", "_number", "_settings", "_table")

    def __init__(
        self,
        settings: ConnectionSettings,
        table: Ref[table_messages.PairAgreed],
        now: Callable[[], float],
        exit_: Party,
        number: int,
    ) -> None:
        self._settings = settings
        self._table = table
        self._now = now
        self._exit = exit_
        self._number = number

    def prepare_short(self) -> bool:
        """Derive the keys ahead; whether there is a pair session for them at present."""
        return self._settings.pairs.of_ingress.prepare(self._exit, self._number, self._now())

    def short(self) -> ShortInitiator | None:
        """What opens the connection under the present pair session, if there is one and it is to be used."""
        settings = self._settings
        pair = settings.pairs.of_ingress.take(self._exit, self._now())
        if pair is None:
            return None
        return ShortInitiator(
            local=settings.party,
            remote=self._exit,
            connection=self._number,
            pair=pair,
            max_hops=settings.config.routing.max_hops,
        )

    def doubt_pair(self) -> None:
        """The exit says, unauthenticated, that it does not know the present pair session."""
        self._settings.pairs.of_ingress.doubt(self._exit, self._now())

    def full(self, *, is_ahead: bool) -> SessionInitiator:
        """What opens it with a handshake; it asks for a pair session if no other does."""
        settings = self._settings
        asks = settings.pairs.of_ingress.ask(self._exit, self._now())
        return SessionInitiator(
            local=settings.party,
            remote=self._exit,
            connection=self._number,
            static=settings.static,
            ephemeral=settings.ephemerals.make() if is_ahead else settings.ephemerals.take(),
            max_hops=settings.config.routing.max_hops,
            shared=settings.shared,
            agreed=self._agreed if asks else None,
        )

    def _agreed(self, pair: PairSession) -> None:
        self._settings.pairs.of_ingress.agreed(self._exit, pair, self._now())
        tell_if_alive(self._table, table_messages.PairAgreed())


def responder(
    settings: ConnectionSettings,
    table: Ref[table_messages.PairAgreed],
    now: Callable[[], float],
    arrived: ArrivedOpen,
) -> SessionResponder | ShortResponder:
    """What answers an OPEN, be it short or full."""
    ingress, number, max_hops = arrived.party, arrived.frame.connection, settings.config.routing.max_hops
    keys = arrived.pair_keys
    if keys is not None:
        return ShortResponder(
            local=settings.party, remote=ingress, connection=number, keys=keys, max_hops=max_hops
        )
    return SessionResponder(
        local=settings.party,
        remote=ingress,
        connection=number,
        static=settings.static,
        ephemeral=settings.ephemerals.take(),
        max_hops=max_hops,
        shared=settings.shared,
        agreed=partial(_agreed_at_exit, settings, table, now, ingress),
    )


def _agreed_at_exit(
    settings: ConnectionSettings,
    table: Ref[table_messages.PairAgreed],
    now: Callable[[], float],
    ingress: Party,
    pair: PairSession,
) -> None:
    settings.pairs.of_exit.agreed(ingress, pair, now())
    tell_if_alive(table, table_messages.PairAgreed())
