"""The endpoints of an agent, by key."""

from typing import Any

from actors.connections.endpoint_refs import EndpointRefs


def test_a_copy_does_not_change_and_the_next_one_does() -> None:
    refs: Any = EndpointRefs()
    before = refs.frozen()
    refs.put("key", "one")
    held = refs.frozen()
    refs.put("key", "two")
    assert (dict(before), dict(held)) == ({}, {"key": "one"})
    assert dict(refs.frozen()) == {"key": "two"}
    assert refs.frozen() is refs.frozen()


def test_a_key_that_is_forgotten_is_gone_for_whoever_looks_next() -> None:
    refs: Any = EndpointRefs()
    refs.put("key", "one")
    refs.put("other", "two")
    held = refs.frozen()
    refs.forget("key")
    refs.forget("unheard-of")
    assert dict(held) == {"key": "one", "other": "two"}
    assert dict(refs.frozen()) == {"other": "two"}
