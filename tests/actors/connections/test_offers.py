"""However many listen for a key, and whatever changes elsewhere, its offers are put together once."""

from unittest import mock

from actors.connections import offers
from actors.connections.offers import KnownOffers
from tests.actors.company import IDENTITIES, record_of, routes_of

OWN, NEAR, FAR = IDENTITIES[:3]


def test_what_does_not_change_is_the_same_tuple():
    known = KnownOffers()
    first = known.of(routes_of(OWN, record_of(NEAR, "api"), record_of(FAR)), "api")
    assert [offer.party.id for offer in first] == [NEAR.id]
    same = routes_of(OWN, record_of(NEAR, "api"), record_of(FAR, "another"))
    assert known.of(same, "api") is known.of(same, "api") is first
    both = routes_of(OWN, record_of(NEAR, "api"), record_of(FAR, "api"))
    assert {offer.party.id for offer in known.of(both, "api")} == {NEAR.id, FAR.id}
    assert known.of(routes_of(OWN), "api") == ()


def test_work_grows_with_the_keys_and_not_with_their_listeners():
    known = KnownOffers()
    with mock.patch.object(offers, "offers_of", wraps=offers.offers_of) as put_together:
        for number in range(10):
            snapshot = routes_of(OWN, record_of(NEAR, "api", "db"), record_of(FAR, f"key-{number}"))
            for _ in range(1_000):
                known.of(snapshot, "api")
                known.of(snapshot, "db")
    assert put_together.call_count == 10 * 2


def test_keys_that_nobody_asks_for_any_more_are_forgotten():
    known = KnownOffers()
    for number in range(100):
        known.of(routes_of(OWN, record_of(NEAR, f"key-{number}")), f"key-{number}")
    assert len(known._now) + len(known._before) == 2
