"""How links have the kernel send: by the algorithm of the configuration, if the kernel lets them."""

import logging

from actors.runtime.seam import StreamSocket
from mesh.config.schema import SYSTEM

log = logging.getLogger("mesh.links")


class CongestionControl:
    """Sets up each new link's socket."""

    def __init__(self) -> None:
        self._refused = SYSTEM
        """What the kernel did not let the latest link send by."""

    def set_up(self, socket: StreamSocket, algorithm: str) -> None:
        """Have ``socket`` send by ``algorithm``; what the kernel does not let it is said once."""
        if algorithm == SYSTEM:
            return
        if socket.control_congestion(algorithm):
            self._refused = SYSTEM
        elif algorithm != self._refused:
            self._refused = algorithm
            log.warning(
                "links send as all other connections here: connections.congestion_control is %(what)s, "
                "which the kernel does not have or allow: see sysctl net.ipv4.tcp_allowed_congestion_control",
                {"what": algorithm},
            )
