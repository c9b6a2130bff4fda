"""Where an agent that is invited is to dial, if nobody says it."""

import ipaddress
from typing import Final

from mesh.addresses import TcpAddress
from mesh.config.schema import Config

MAX_ADDRESSES: Final = 4
"""An agent needs one; a token is to stay short enough to be copied."""


def addresses_to_dial(config: Config) -> tuple[str, ...]:
    """Where this agent accepts links, if that tells others where it is, and whom it dials itself."""
    accepting = (str(each.address) for each in config.accept if _tells_where(each.address))
    dialed = (str(each.address) for each in config.peers)
    return tuple(dict.fromkeys((*accepting, *dialed)))[:MAX_ADDRESSES]


def _tells_where(address: TcpAddress) -> bool:
    if not address.host or not address.port:
        return False
    try:
        return not ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        return True
