"""Where a new agent is to dial, by the configuration of the agent that invites it."""

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.enrolment.addresses import MAX_ADDRESSES, addresses_to_dial
from mesh.config.schema import AcceptSection, Config, PeerSection


def config_of(accept=(), peers=()):
    return Config(
        accept=tuple(AcceptSection(address=TcpAddress(*each)) for each in accept),
        peers=tuple(PeerSection(address=TcpAddress(*each)) for each in peers),
    )


@pytest.mark.parametrize(
    ("accept", "peers", "found"),
    [
        ([], [], ()),
        ([("", 4433), ("0.0.0.0", 4433), ("::", 4433), ("10.0.0.1", 0)], [], ()),
        ([("10.0.0.1", 4433)], [("relay", 1)], ("10.0.0.1:4433", "relay:1")),
        ([("relay", 1)], [("relay", 1)], ("relay:1",)),
        ([], [(f"r{n}", 1) for n in range(9)], tuple(f"r{n}:1" for n in range(MAX_ADDRESSES))),
    ],
    ids=["none", "tell nothing", "own first", "once", "few"],
)
def test_where_it_accepts_if_that_tells_where_and_whom_it_dials(accept, peers, found):
    assert addresses_to_dial(config_of(accept, peers)) == found
