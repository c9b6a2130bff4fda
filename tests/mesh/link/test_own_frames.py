"""What a peer may ask of a link does not begin anew with another link."""

import contextlib

import pytest

from actors.links.dialer import FIRST_REDIAL_S, MAX_REDIAL_S, QUICK_REDIALS
from mesh.backoff import retry_delay_s
from mesh.errors import RemoteProtocolError
from mesh.link.bodies import Digest, DigestEntry, batch_digest, encode_digest
from mesh.link.frames import FrameType, link_frame
from mesh.link.own_frames import DIGEST_BURST, DIGEST_LEAST, DIGEST_RATE, OwnFrames, digest_budgets
from mesh.link.silence import Pulse
from mesh.routing.record_store import MAX_RECORDS
from mesh.trust.identity import INSTANCE_BYTES, AgentId, Instance

ALICE, BOB = AgentId(b"a" * 16), AgentId(b"b" * 16)
MIDDLE = AgentId(b"\x80" + bytes(15))


@pytest.mark.parametrize(
    ("digest", "cost"),
    [
        (Digest(()), DIGEST_LEAST + 1),
        (Digest((), last=MIDDLE), DIGEST_LEAST + 0.5),
        (Digest((), first=MIDDLE, last=MIDDLE), DIGEST_LEAST),
        (Digest((), first=MIDDLE, last=AgentId(bytes(16))), DIGEST_LEAST),
    ],
)
def test_the_digests_of_a_peer_are_bounded_over_all_its_links(digest, cost):
    budgets = digest_budgets()
    frame = link_frame(FrameType.DIGEST, encode_digest(digest))

    def took(peer_id: AgentId, now: float) -> int:
        link = OwnFrames(Pulse(3.0, now), budgets)
        link.peer_id = peer_id
        effects = []
        with contextlib.suppress(RemoteProtocolError):
            for _ in range(int(2 * DIGEST_BURST / cost)):
                link.take(frame, now, effects)
        return len(effects)

    at_once = int(DIGEST_BURST / cost)
    assert [took(ALICE, 0.0) for _ in range(10)] == [pytest.approx(at_once, abs=1)] + [0] * 9
    assert took(BOB, 0.0) == pytest.approx(at_once, abs=1)
    assert took(ALICE, 10.0) == pytest.approx(10 * DIGEST_RATE / cost, abs=1)


def test_a_peer_of_the_largest_mesh_may_lose_its_link_again_and_again():
    """Both ends dial as fast as a dialer does, and each link starts with the digests of all records."""
    instance = Instance(bytes(INSTANCE_BYTES))
    known = [
        DigestEntry(AgentId(number.to_bytes(16, "big")), 2**64 - 1, 2**64 - 1, instance)
        for number in range(MAX_RECORDS)
    ]
    frames = [link_frame(FrameType.DIGEST, encode_digest(digest)) for digest in batch_digest(known)]
    budgets = digest_budgets()
    effects = []
    now = 0.0
    for failures in range(QUICK_REDIALS + 50):
        for _dialed_by in ("this end", "the other"):
            link = OwnFrames(Pulse(3.0, now), budgets)
            link.peer_id = ALICE
            for frame in frames:
                link.take(frame, now, effects)
        attempt = max(0, failures - QUICK_REDIALS)
        now += retry_delay_s(attempt, 0.5, first_s=FIRST_REDIAL_S, cap_s=MAX_REDIAL_S)
    assert len(effects) == (QUICK_REDIALS + 50) * 2 * len(frames)
