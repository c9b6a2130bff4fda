"""Opens connections from inside of the agent, to agents and under a key that the caller has chosen."""

from collections.abc import Callable
from typing import TypeAlias

from actors.messages import connection as messages
from actors.messages.listener import FromIngress
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.offer import Offer

StartIngress: TypeAlias = Callable[[str, Ref[FromIngress]], Ref[messages.IngressInbound]]
"""Starts an ingress connection for a key, which tells the latter how it goes."""


def open_inside(
    dispatcher: Dispatcher,
    start_ingress: StartIngress,
    key: str,
    offers: tuple[Offer, ...],
    caller: Ref[FromIngress],
) -> StreamSocket:
    """Begin to open a connection whose client is an actor; what is written is sent as soon as it is open.

    Args:
        dispatcher: the caller's.
        start_ingress: of the agent.
        key: of an endpoint, or a reserved one.
        offers: the agents to try, in this order; :func:`~actors.connections.offers.offer_of` makes one.
        caller: hears ``CandidateServed`` once it is open; before that ``CandidateFailed`` of each agent that
            did not open it, and ``FindCandidates``, which asks for others.

    Returns:
        The caller's end, which it owns. It ends, or is reset, if nobody opens the connection.

    Raises:
        OSError: no descriptor is left for it.
    """
    near, far = dispatcher.pair()
    connection = start_ingress(key, caller)
    clients = messages.Clients()
    clients.enter(far, connection)
    connection.tell(messages.ServeClient(far, clients, offers))
    return near
