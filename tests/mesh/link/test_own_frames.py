"""What a peer may ask of a link does not begin anew with another link."""

import contextlib

from mesh.errors import RemoteProtocolError
from mesh.link.bodies import Digest, encode_digest
from mesh.link.frames import FrameType, link_frame
from mesh.link.own_frames import DIGEST_BURST, DIGEST_RATE, OwnFrames, digest_budgets
from mesh.link.silence import Pulse
from mesh.trust.identity import AgentId

DIGEST = link_frame(FrameType.DIGEST, encode_digest(Digest(())))
ALICE, BOB = AgentId(b"a" * 16), AgentId(b"b" * 16)


def test_the_digests_of_a_peer_are_bounded_over_all_its_links():
    budgets = digest_budgets()

    def took(peer_id: AgentId, now: float) -> int:
        link = OwnFrames(Pulse(3.0, now), budgets)
        link.peer_id = peer_id
        effects = []
        with contextlib.suppress(RemoteProtocolError):
            for _ in range(1_000):
                link.take(DIGEST, now, effects)
        return len(effects)

    assert [took(ALICE, 0.0) for _ in range(10)] == [DIGEST_BURST] + [0] * 9
    assert took(BOB, 0.0) == DIGEST_BURST
    assert took(ALICE, 10.0) == 10 * DIGEST_RATE
