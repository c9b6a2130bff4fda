"""Both ends of a connection that lasts: what of its keys is left when there are new ones."""

import gc
import types

import msgspec
import pytest

from mesh.connection import session as session_sealing
from tests.actors.connections.both_ends_company import Ends
from tests.living_ciphers import LivingCiphers

HOUR_S = 3600.0
_ENDLESS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def held(root):
    """All bytes that can be reached from an object, but for what the program itself consists of."""
    found, seen, left = set(), set(), [root]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, _ENDLESS):
            continue
        seen.add(id(each))
        if isinstance(each, bytes):
            found.add(each)
        else:
            left += gc.get_referents(each)
            if isinstance(each, msgspec.Struct):  # those that the collector does not know of tell it nothing
                left += msgspec.structs.astuple(each)
    return found


@pytest.fixture
def ends():
    """A connection that has carried something each way."""
    both = Ends().open()
    both.client.closes_at_end = both.target.closes_at_end = False
    both.client.send(b"question")
    both.run(0.5)
    both.target.send(b"answer")
    both.run(0.5)
    yield both
    both.world.stop()


def keys(actor):
    session = actor._session
    return session._send_key, session._receive_key


def test_an_end_holds_no_key_of_the_past_and_no_secret_of_an_exchange(ends):
    ephemerals = []
    for actor in (ends.ingress, ends.exit):
        terms = actor._settings.terms

        def make(make=terms.make_ephemeral):
            ephemerals.append(make())
            return ephemerals[-1]

        actor._stream._terms = msgspec.structs.replace(terms, make_ephemeral=make)
    former = {*keys(ends.ingress), *keys(ends.exit)}
    assert former <= held(ends.ingress), "the search goes deep enough"
    assert former <= held(ends.exit)
    ends.run(HOUR_S)
    secrets = {pair.private for pair in ephemerals}
    del ephemerals[:]
    ends.client.send(b"good morning")
    ends.run(0.5)
    assert len(former) == len(secrets) == 2
    for actor in (ends.ingress, ends.exit):
        assert set(keys(actor)) <= held(actor)
        assert not (former | secrets) & held(actor)
    assert ends.ingress_meters.connections_reset == ends.exit_meters.connections_reset == 0


def test_no_cipher_of_the_past_is_left(ends, monkeypatch):
    alive = LivingCiphers(monkeypatch, session_sealing)
    for hours in range(1, 4):
        ends.client.send(b"x" * hours)
        ends.run(HOUR_S)
    ends.client.send(b"now")
    ends.run(0.02)
    present = {*keys(ends.ingress), *keys(ends.exit)}
    assert alive.keys()
    assert set(alive.keys()) <= present


def test_no_end_holds_the_secret_of_a_pair_session_that_is_forgotten(ends):
    at_ingress, at_exit = ends.ingress_settings.pairs, ends.exit_settings.pairs
    (present,) = at_ingress.of_ingress._present.values()
    secret = present.session._inner  # as HMAC has it
    del present
    assert secret in held(ends.ingress), "the search goes deep enough"
    assert secret in held(ends.exit)
    for pairs in (at_ingress, at_exit):
        for party in pairs.parties():
            pairs.forget(party.id)
    assert secret not in held(ends.ingress) | held(ends.exit)
