"""Sealed blocks: whoever has a slot reads them, and nobody else learns or can try anything."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.routing.sealed_blocks import (
    MARK_BYTES,
    MAX_CONTENT_BYTES,
    MAX_READERS,
    PADDED_BYTES,
    SLOT_BYTES,
    SealedBlock,
    open_block,
    seal,
)
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import SharedSecrets, key_pair

OWNER, OTHER = AgentId(b"o" * 16), AgentId(b"p" * 16)
OWN_SECRET = b"s" * 32
OFFERING = key_pair(b"\1" * 32)
READERS = [key_pair(bytes((number,)) * 32) for number in range(2, 12)]


def shared_with(number: int) -> bytes:
    return SharedSecrets(OFFERING).with_owner_of(READERS[number].public)


def seen_by(number: int) -> bytes:
    return SharedSecrets(READERS[number]).with_owner_of(OFFERING.public)


def sealed_for(*numbers: int, content: bytes = b"payroll") -> SealedBlock:
    return seal(content, OWNER, OWN_SECRET, map(shared_with, numbers))


@given(st.sets(st.integers(0, 9)), st.binary(max_size=300))
def test_those_with_a_slot_read_it_and_no_others(numbers, content):
    block = sealed_for(*numbers, content=content)
    assert block.readers == len(numbers)
    for number in range(len(READERS)):
        expected = content if number in numbers else None
        assert open_block(block, OWNER, seen_by(number)) == expected


def test_two_readers_with_one_mark_read_both():
    block = sealed_for(*range(6))
    slots = [block.slots[at : at + SLOT_BYTES] for at in range(0, len(block.slots), SLOT_BYTES)]
    for number in range(6):
        own = next(
            slot
            for slot in slots
            if open_block(msgspec.structs.replace(block, slots=slot), OWNER, seen_by(number))
        )
        twin = own[:MARK_BYTES] + bytes(SLOT_BYTES - MARK_BYTES)
        for both in (own + twin, twin + own):
            crowded = msgspec.structs.replace(block, slots=both)
            assert open_block(crowded, OWNER, seen_by(number)) == b"payroll"


def test_nothing_of_it_is_the_same_for_other_content_or_other_readers():
    block = sealed_for(0, 1)
    assert block == sealed_for(1, 0)
    for other in (sealed_for(0, 1, content=b"payrolk"), sealed_for(0), sealed_for(0, 1, 2)):
        assert other.salt != block.salt
        assert other.box[:16] != block.box[:16]
        slots = {block.slots[at : at + SLOT_BYTES] for at in (0, SLOT_BYTES)}
        assert not any(slot in other.slots for slot in slots)


def test_its_length_does_not_tell_how_long_a_key_is():
    assert {len(sealed_for(0, content=b"x" * count).box) for count in range(PADDED_BYTES - 1)} == {
        PADDED_BYTES + 16
    }


def test_another_agent_cannot_say_it_in_its_own_name():
    assert open_block(sealed_for(0), OTHER, seen_by(0)) is None


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_that_was_changed_is_not_read(place, change):
    block = sealed_for(0)
    whole = bytearray(block.salt + block.slots + block.box)
    whole[place % len(whole)] ^= change
    changed = SealedBlock(bytes(whole[:16]), bytes(whole[16:36]), bytes(whole[36:]))
    with contextlib.suppress(RemoteProtocolError):
        assert open_block(changed, OWNER, seen_by(0)) is None


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_anything_may_stand_in_it(slots, box):
    assert open_block(SealedBlock(bytes(16), slots, box), OWNER, seen_by(0)) is None


def test_more_than_a_block_takes_is_an_error_of_ours():
    assert sealed_for(0, content=bytes(MAX_CONTENT_BYTES)).box
    with pytest.raises(LocalProtocolError, match="a block of 8191 bytes for 1 readers"):
        sealed_for(0, content=bytes(MAX_CONTENT_BYTES + 1))
    with pytest.raises(LocalProtocolError, match="for 1025 readers"):
        seal(b"", OWNER, OWN_SECRET, [bytes(32)] * (MAX_READERS + 1))
