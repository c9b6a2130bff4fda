"""Reaching an address: order, pace, time, and what is said of a failure."""

import errno
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.addresses import TcpAddress, UnixAddress
from mesh.errors import LocalProtocolError
from mesh.reaching import (
    LEAST_NEXT_ADDRESS_AFTER_S,
    NEXT_ADDRESS_AFTER_S,
    Connect,
    Failure,
    Kind,
    Reaching,
    State,
    Unreachable,
    interleaved,
)

NAME = TcpAddress("relay.example", 4433)
FOUR = [TcpAddress(f"192.0.2.{number}", 4433) for number in range(1, 5)]
SIX = [TcpAddress(f"2001:db8::{number}", 4433) for number in range(1, 5)]


def reaching(*addresses: TcpAddress, within_s: float = 10.0) -> Reaching:
    """A machine that has tried the first of ``addresses``, at 100.0."""
    machine = Reaching(NAME, 100.0, within_s)
    assert machine.start(100.0) == ()
    assert machine.resolved(addresses, "", 100.0) == (Connect(1, addresses[0]),)
    return machine


def test_families_take_turns_and_the_first_address_stays_first():
    assert interleaved([*SIX, *FOUR[:2]]) == [SIX[0], FOUR[0], SIX[1], FOUR[1], SIX[2], SIX[3]]
    assert interleaved([FOUR[0], *SIX[:2]]) == [FOUR[0], SIX[0], SIX[1]]
    assert interleaved([]) == []


@given(st.permutations([*SIX, *FOUR]))
def test_no_address_is_lost_or_moved_within_its_family(addresses):
    ordered = interleaved(addresses)
    for family in (FOUR, SIX):
        assert [each for each in ordered if each in family] == [each for each in addresses if each in family]
    assert len(ordered) == len(addresses)


def test_a_dead_family_costs_one_attempt():
    machine = reaching(*SIX, *FOUR)
    assert machine.timeout(machine.due_at) == (Connect(2, FOUR[0]),)


def test_the_next_is_tried_beside_the_silent_one_and_the_first_to_accept_wins():
    machine = reaching(*FOUR[:3])
    assert machine.due_at == 100.0 + NEXT_ADDRESS_AFTER_S
    assert machine.timeout(100.1) == ()
    assert machine.timeout(100.25) == (Connect(2, FOUR[1]),)
    assert machine.connected(1) == FOUR[0]
    assert machine.state is State.REACHED
    assert machine.due_at == inf
    assert machine.connected(2) is None
    assert machine.failed(2, errno.ECONNREFUSED, "refused", 100.3) == ()
    assert machine.timeout(200.0) == machine.resolved(FOUR, "", 200.0) == ()


def test_the_next_is_tried_at_once_when_one_fails():
    machine = reaching(*FOUR[:3])
    assert machine.failed(1, errno.ECONNREFUSED, "refused", 100.05) == (Connect(2, FOUR[1]),)
    assert machine.due_at == 100.05 + NEXT_ADDRESS_AFTER_S
    assert machine.failed(1, errno.ECONNREFUSED, "refused", 100.06) == (), "a failure counts once"


def test_it_fails_when_the_last_of_all_has_failed():
    machine = reaching(*FOUR[:2])
    machine.timeout(100.25)
    assert machine.failed(2, errno.ENETUNREACH, "no route", 100.3) == ()
    assert machine.failed(1, errno.ETIMEDOUT, "timed out", 103.0) == (
        Unreachable(Failure(Kind.SILENT, "timed out")),
    )
    assert machine.state is State.FAILED


def test_one_deadline_is_for_all_addresses():
    machine = reaching(*FOUR[:2])
    machine.timeout(100.25)
    assert machine.due_at == 110.0
    assert machine.timeout(109.9) == ()
    assert machine.timeout(110.0) == (Unreachable(Failure(Kind.SILENT, "no answer within 10 s")),)
    assert machine.timeout(111.0) == ()
    assert machine.connected(1) is None


def test_a_look_up_that_nobody_answers_ends_with_the_deadline():
    machine = Reaching(NAME, 0.0, 2.0)
    (unreachable,) = machine.timeout(machine.due_at)
    assert unreachable.failure.kind is Kind.UNRESOLVED
    assert "within 2 s" in unreachable.failure.reason


@pytest.mark.parametrize(("reason", "said"), [("no such name", "no such name"), ("", "has no address")])
def test_a_name_without_an_address_is_unresolved(reason, said):
    (unreachable,) = Reaching(NAME, 0.0, 2.0).resolved((), reason, 0.1)
    assert unreachable.failure.kind is Kind.UNRESOLVED
    assert said in unreachable.failure.reason


def test_a_unix_socket_needs_no_look_up():
    address = UnixAddress("/run/service.sock")
    machine = Reaching(address, 0.0, 2.0)
    assert machine.start(0.0) == (Connect(1, address),)
    assert machine.failed(1, errno.ENOENT, "no such file", 0.0) == (
        Unreachable(Failure(Kind.REFUSED, "no such file")),
    )


def test_a_name_is_resolved_once():
    machine = reaching(*FOUR)
    with pytest.raises(LocalProtocolError):
        machine.resolved(FOUR, "", 100.0)


@pytest.mark.parametrize("count", [1, 2, 20, 40, 100, 400])
def test_all_addresses_are_tried_in_the_first_half_of_the_time(count):
    addresses = [TcpAddress(f"10.0.{number // 256}.{number % 256}", 1) for number in range(count)]
    machine = reaching(*addresses)
    tried, now = 1, 100.0
    while machine.due_at < 110.0:
        assert machine.due_at - now >= LEAST_NEXT_ADDRESS_AFTER_S - 1e-9
        now = machine.due_at
        tried += len(machine.timeout(now))
    assert tried == count
    assert now <= 105.0


def test_an_excluded_address_is_not_tried():
    machine = Reaching(NAME, 0.0, 10.0, without=(FOUR[0],))
    assert machine.resolved(FOUR[:2], "", 0.0) == (Connect(1, FOUR[1]),)
    (unreachable,) = Reaching(NAME, 0.0, 10.0, without=FOUR).resolved(FOUR[:2], "", 0.0)
    assert unreachable.failure.kind is Kind.EXCLUDED


def test_what_was_of_no_use_before_is_tried_last_the_latest_at_the_end():
    machine = Reaching(NAME, 0.0, 10.0, (FOUR[1], FOUR[0], TcpAddress("198.51.100.1", 1)))
    order = list(machine.resolved(FOUR, "", 0.0))
    for number in range(1, 4):
        order += machine.failed(number, errno.ECONNREFUSED, "refused", 0.0)
    assert [effect.address for effect in order] == [FOUR[2], FOUR[3], FOUR[1], FOUR[0]]


@given(
    st.permutations(
        [
            (errno.EMFILE, Kind.OWN_LIMIT),
            (errno.ECONNREFUSED, Kind.REFUSED),
            (errno.ETIMEDOUT, Kind.SILENT),
            (errno.ENETUNREACH, Kind.UNREACHABLE),
        ]
    ),
    st.integers(1, 4),
)
def test_the_most_telling_failure_is_reported_whatever_their_order(failures, count):
    machine = reaching(*FOUR[:count])
    effects = ()
    for number, (error_number, _) in enumerate(failures[:count], 1):
        effects = machine.failed(number, error_number, os_text(error_number), 100.0)
    told = {kind: error_number for error_number, kind in failures[:count]}
    best = next(kind for kind in Kind if kind in told)
    assert effects == (Unreachable(Failure(best, os_text(told[best]))),)


def os_text(error_number: int) -> str:
    return errno.errorcode[error_number]
