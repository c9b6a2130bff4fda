"""Ports that the system chooses for whoever asks for port 0."""

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.server import listen
from mesh.agent.outcome import RefusedError


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
