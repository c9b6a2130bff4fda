"""Paths on the agent's machine: whoever has no business on that machine names none.

A unix socket may lead to whoever may do everything there: a container engine, or the agent's control socket.
"""

from collections.abc import Iterable
from http import HTTPStatus

from mesh.addresses import UnixAddress
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import CONTROL_SOCKET
from mesh.config.extra import Extra
from mesh.config.schema import ListenerSection
from mesh.config.services import service_name


def forbid_paths(services: Iterable[Extra], caller: str, place: str) -> None:
    """Have only whoever uses the control socket add services at unix sockets.

    Raises:
        ProblemError: one has a path, and somebody else asks for it.
    """
    if caller == CONTROL_SOCKET:
        return
    for service in services:
        address = service.address if isinstance(service, ListenerSection) else service.target
        if isinstance(address, UnixAddress):
            why = (
                f"{service_name(service)}: only whoever uses the control socket of this agent, or writes its "
                f"configuration, may name a path on its machine; found {address}"
            )
            raise ProblemError(HTTPStatus.FORBIDDEN, why, place=place)
