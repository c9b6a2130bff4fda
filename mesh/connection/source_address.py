"""From which loopback address an exit connects to a target for each ingress's agent.

A target that trusts all of loopback would trust the whole mesh. By addresses of their own it tells agents
apart, in its access list and its log.
"""

from hashlib import blake2b
from ipaddress import IPv4Network
from typing import Final

from mesh.trust.identity import AgentId

SECRET_FOR: Final = b"mesh source address v1"
"""What an exit's secret is for."""


def source_address(subnet: IPv4Network, ingress: AgentId, secret: bytes) -> str:
    """The address in ``subnet`` that stands for this agent, always the same; never its first or last.

    Two agents may have one by chance: of a thousand in a /8, some pair with a probability of 3 %. Nobody can
    choose whose: without the exit's ``secret``, an agent could try keys of its own until it had another's
    address, in a /16 within seconds.
    """
    drawn = int.from_bytes(blake2b(ingress, digest_size=8, key=secret, person=b"mesh source").digest(), "big")
    return str(subnet[1 + drawn % (subnet.num_addresses - 2)])
