"""Ports of a changing configuration: which the system chooses for port 0, and which change hands."""

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.listening import listen
from mesh.agent.outcome import RefusedError
from mesh.config.difference import Difference
from mesh.config.schema import AcceptSection, HttpSection, ListenerSection


def with_port(address: TcpAddress) -> TcpAddress:
    """The same with a port that is free now.

    Raises:
        RefusedError: there is none.
    """
    try:
        listening = listen(address)
    except OSError as error:
        raise RefusedError(str(error.strerror or error)) from None
    port = listening[0].getsockname()[1]
    for bound in listening:
        bound.close()
    return TcpAddress(address.host, port)


def wants_port_of_another(made: Difference, http: HttpSection | None) -> bool:
    """Whether ``http.address`` is to have a port that a service gives up at the same time."""
    freed = {
        section.address.port
        for section in made.removed.values()
        if isinstance(section, ListenerSection | AcceptSection) and isinstance(section.address, TcpAddress)
    }
    return "http" in {path.partition(".")[0] for path in made.live} and (
        http is not None and http.address.port in freed
    )
