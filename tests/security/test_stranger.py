"""Who has no certificate and can reach the port for peers."""

import contextlib
import os
import socket
import time

import pytest

from mesh.trust.identity import SEED_BYTES, Identity
from scripts.lab.ports import LOOPBACK
from tests.security.chains import Held
from tests.security.crowds import crowd, opening_of
from tests.security.hostile import Credentials, Member

RATE = 3000
ADDRESSES = 250
CROWD_S = 30.0
"""At most: it ends once those that it should keep out are in."""
FAR_S = 0.1
"""Half a round trip of 200 ms: the honest peer waits so long before each of its two answers."""
HONEST = 6


@pytest.mark.parametrize(
    ("knows", "least", "most_dials"),
    [("nothing", HONEST, HONEST + 2), ("an opening that was seen on the wire", 1, 10)],
)
def test_a_crowd_of_strangers_keeps_no_honest_peer_with_a_long_way_out(
    chain, tmp_path, knows, least, most_dials
):
    """Who repeats an opening that it has seen costs an answer; honest peers may have to try again then."""
    authority = chain.authority if knows != "nothing" else Identity(os.urandom(SEED_BYTES))
    log, opening = tmp_path / "crowd.log", opening_of(authority)
    strangers = crowd(chain.relay, log, opening, rate=RATE, addresses=ADDRESSES, seconds=CROWD_S)
    try:
        time.sleep(1.0)
        let_in = dials = 0
        with Held(chain.port) as held:
            end = time.monotonic() + CROWD_S - 5.0
            for number in range(least):
                while time.monotonic() < end:  # as an agent does, which dials again
                    dials += 1
                    try:
                        peer = Member(
                            chain.relay, Credentials(chain.authority, f"honest-{number}"), rtt_s=2 * FAR_S
                        )
                    except (OSError, EOFError):
                        continue
                    peer.close()
                    let_in += 1
                    break
            assert held.soonest_answer() < 1.0
        assert let_in >= least
        assert dials <= most_dials
        assert chain.relay.get("/ready")[0] == 200
    finally:
        strangers.kill()
    assert len(chain.relay.process.output) < 200_000


def test_who_does_not_know_the_authority_gets_no_answer_and_sees_no_certificate(chain):
    before = chain.relay.stats()["links_refused_total"]
    with socket.create_connection((LOOPBACK, chain.relay.accept_port), timeout=12) as scanner:
        scanner.sendall(opening_of(Identity(os.urandom(SEED_BYTES))))
        heard = b""
        try:
            while data := scanner.recv(4096):
                heard += data
        except ConnectionResetError:
            pass
    assert heard == b""
    assert chain.relay.stats()["links_refused_total"] > before


def test_a_certificate_of_another_authority_is_not_let_in(chain):
    stranger = Credentials(Identity(os.urandom(SEED_BYTES)), "stranger", relay=True, trusts=chain.authority)
    with contextlib.suppress(OSError, EOFError), Member(chain.relay, stranger) as linked:
        assert linked.ends()
    assert "stranger" not in [peer["display_name"] for peer in chain.relay.dashboard()["peers"]]
