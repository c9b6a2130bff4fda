"""When the log and the page speak of the agent's own certificate."""

import itertools
import logging

import pytest

from mesh.agent.enrolment.renewal import RENEW_AFTER, SPREAD
from mesh.agent.expiry import DAY_S, LOOK_S, NOTICE_S, REMIND_S
from mesh.agent.validity import Reminder, ends_soon, invalid
from mesh.trust.certificates import (
    MAX_UNIX_S,
    NOT_BEFORE_TOLERANCE_S,
    Certificate,
    issue_certificate,
    read_certificate,
)
from mesh.trust.identity import Identity
from mesh.trust.issuing import IssuingLimits

START = 1_800_000_000


def certificate(days: float, not_before: int = START) -> Certificate:
    end = min(MAX_UNIX_S, int(not_before + days * DAY_S))
    return Certificate(bytes(32), "branch", not_before, end, (), ("db",), True, False, bytes(32))


@pytest.mark.parametrize(
    ("days", "notice_s"), [(365, NOTICE_S), (120, NOTICE_S), (28, 7 * DAY_S), (3, 0.75 * DAY_S)]
)
def test_a_month_or_a_quarter_of_its_life_before_its_end_a_certificate_is_warned_of(days, notice_s):
    own = certificate(days)
    assert ends_soon(own, own.not_after - notice_s) is None
    warning = ends_soon(own, own.not_after - notice_s + 1)
    assert warning is not None
    assert "its links close then" in warning
    assert "renews it with: mesh certificate sign" in warning
    assert "--name branch" in warning
    assert "--use db --relay" in warning
    assert ends_soon(own, own.not_after) is None, "that is a problem, and no warning any more"


@pytest.mark.parametrize(
    ("left_s", "said"), [(13 * DAY_S, "13.0 days"), (DAY_S, "24.0 hours"), (3600, "60 minutes")]
)
def test_how_long_is_left_is_said_in_a_unit_that_fits(left_s, said):
    own = certificate(365)
    assert f"in {said};" in (ends_soon(own, own.not_after - left_s) or "")


def test_a_certificate_that_has_come_to_its_end_is_a_problem():
    own = certificate(29)
    assert invalid(own, own.not_after - 1) is None
    ended = invalid(own, own.not_after) or ""
    assert "expired on 2027-02-13 08:00 UTC by this machine's clock" in ended
    assert "renews it with: mesh certificate sign" in ended


def test_a_clock_that_is_set_to_before_the_certificate_is_a_problem():
    own = certificate(29)
    assert invalid(own, START - NOT_BEFORE_TOLERANCE_S) is None
    assert "this machine's clock shows 1970-01-01 00:00:07 UTC" in (invalid(own, 7.9) or "")


def told(reminder: Reminder, since: float, until: float) -> list[tuple[float, int]]:
    """When the log speaks, and at which level, if the reminder is asked when it wants to be."""
    now, found = since, []
    while now <= until:
        line = reminder.due(now)
        if line is not None:
            found.append((now, line[0]))
        assert 0 < reminder.wait_s(now) <= LOOK_S
        now += reminder.wait_s(now)
    return found


def test_the_log_warns_each_day_from_a_month_before_the_end_and_tells_the_last_day_and_the_end_at_once():
    own = certificate(365)
    end = own.not_after
    spoken = told(Reminder(own, end - 31 * DAY_S), end - 31 * DAY_S, end + 2 * DAY_S)
    for before_s, level in (
        (30 * DAY_S, logging.WARNING),
        (7 * DAY_S, logging.WARNING),
        (DAY_S, logging.ERROR),
        (0, logging.ERROR),
    ):
        assert any(0 <= at - (end - before_s) <= LOOK_S and level is said for at, said in spoken), before_s
    times = [at for at, _ in spoken]
    assert all(after - before <= REMIND_S + LOOK_S for before, after in itertools.pairwise(times))
    assert len(times) == 31 + 2, "not more often; and on the two days after the end"


def test_nothing_is_said_of_a_short_lived_certificate_before_its_renewal_was_due_and_tried():
    own = certificate(3)
    due = own.not_before + 3 * DAY_S * (RENEW_AFTER + SPREAD)
    first, *_ = told(Reminder(own, own.not_before), own.not_before, own.not_after)
    assert first[0] > due + 3600
    assert own.not_after - first[0] > DAY_S / 2, "and somebody has time to see to it"


def test_an_agent_whose_issuer_ends_with_it_is_told_to_have_that_renewed_first():
    authority, hq = Identity(b"a" * 32), Identity(b"h" * 32)
    limits, span = IssuingLimits(400 * DAY_S), {"not_before": START, "not_after": START + 40 * DAY_S}
    above = issue_certificate(authority, subject=hq.public_key, name="hq", may_issue=limits, **span)
    own = read_certificate(issue_certificate(hq, subject=bytes(32), name="branch", issuer=above, **span))
    said = "that of its issuer hq ends then, too: renew that first, and it is renewed by itself"
    assert said in (ends_soon(own, own.not_after - 1) or "")
    earlier = issue_certificate(
        hq, subject=bytes(32), name="b", issuer=above, **span | {"not_after": START + 30 * DAY_S}
    )
    assert "renew that first" not in (ends_soon(read_certificate(earlier), START + 30 * DAY_S - 1) or "")


def test_what_the_start_has_said_is_said_again_a_day_later():
    own = certificate(30)
    since = own.not_after - 2.5 * DAY_S
    assert [at for at, _ in told(Reminder(own, since), since, own.not_after - DAY_S)] == [since + REMIND_S]


def test_a_clock_that_jumps_back_is_told_of_and_does_not_silence_the_rest():
    own = certificate(30)
    reminder = Reminder(own, own.not_after - 10)
    assert reminder.due(7.0) is not None
    assert reminder.due(own.not_after - 9) is not None


def test_a_certificate_that_lasts_is_not_spoken_of():
    forever = certificate(10**9, not_before=0)
    assert told(Reminder(forever, START), START, START + 2 * DAY_S) == []
