"""Sharing one call: who waits for whom, and for how long."""

import threading
from collections.abc import Callable, Iterator

import pytest

from mesh.agent.dashboard.single_flight import Answer, SingleFlight
from mesh.agent.dashboard.status import NoAnswer, StatusUnavailable

PATIENT_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Fetch:
    """Counts its calls; each waits for ``go_on`` and then does what ``behaviour`` does with its number."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.behaviour: Callable[[int], str] = lambda call: f"answer {call}"

    def __call__(self) -> str:
        self.calls += 1
        call = self.calls
        self.entered.release()
        self.go_on.wait()
        return self.behaviour(call)


@pytest.fixture
def fetch() -> Iterator[Fetch]:
    fetch = Fetch()
    yield fetch
    fetch.go_on.set()


def in_threads(count: int, ask: Callable[[], str]) -> tuple[list[threading.Thread], list[str]]:
    answers: list[str] = []

    def run() -> None:
        try:
            answers.append(ask())
        except StatusUnavailable as error:
            answers.append(f"unavailable: {error}")

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_one_after_another_each_gets_a_fresh_answer(fetch: Fetch):
    flight = SingleFlight("flight", fetch)
    assert [flight.get(), flight.get(), flight.get()] == ["answer 1", "answer 2", "answer 3"]
    flight.close()


def test_all_who_ask_while_a_call_runs_share_it(fetch: Fetch):
    fetch.go_on.clear()
    joined = threading.Semaphore(0)

    def clock() -> float:  # read once by everyone who joins, under the lock
        joined.release()
        return 0.0

    flight = SingleFlight("flight", fetch, deadline_s=PATIENT_S, clock=clock)
    threads, answers = in_threads(20, flight.get)
    for _ in range(20):
        joined.acquire()
    fetch.go_on.set()
    for thread in threads:
        thread.join()
    assert answers == ["answer 1"] * 20
    assert fetch.calls == 1
    flight.close()


def test_after_a_change_nobody_gets_what_was_asked_before_it(fetch: Fetch):
    flight = SingleFlight("flight", fetch, fresh_s=10.0, deadline_s=PATIENT_S, clock=lambda: 0.0)
    assert [flight.fresh(), flight.fresh()] == ["answer 1", "answer 1"]
    flight.outdate()
    assert flight.stamp().at is None
    fetch.go_on.clear()
    before, early = in_threads(1, flight.fresh)
    for _ in range(2):
        fetch.entered.acquire()
    flight.outdate()  # while the second call runs, which may have looked already
    after, late = in_threads(3, lambda: flight.latest().value)
    fetch.go_on.set()
    for thread in (*before, *after):
        thread.join()
    assert early == ["answer 2"]
    assert late == ["answer 3"] * 3
    assert flight.fresh() == "answer 3"
    flight.close()


def test_a_call_that_had_not_begun_before_a_change_answers_after_it(fetch: Fetch):
    fetch.go_on.clear()
    joined = threading.Semaphore(0)

    def clock() -> float:
        joined.release()
        return 0.0

    flight = SingleFlight("flight", fetch, deadline_s=PATIENT_S, clock=clock)
    threads, _ = in_threads(1, flight.get)
    fetch.entered.acquire()
    joined.acquire()
    for _ in range(5):
        flight.outdate()
        more, _ = in_threads(1, flight.get)
        joined.acquire()
        threads += more
    fetch.go_on.set()
    for thread in threads:
        thread.join()
    assert fetch.calls == 2
    flight.close()


def test_a_call_that_hangs_costs_its_waiters_the_deadline_and_later_ones_nothing(fetch: Fetch):
    fetch.go_on.clear()
    clock = Clock()
    flight = SingleFlight("flight", fetch, deadline_s=0.01, clock=clock)
    with pytest.raises(StatusUnavailable, match=r"no answer within 0\.01 s"):
        flight.get()
    clock.now += PATIENT_S
    for _ in range(100):
        with pytest.raises(StatusUnavailable, match="no answer"):
            flight.get()
    assert fetch.calls == 1
    flight.close()


def test_after_a_hanging_call_ends_the_next_question_is_asked_anew(fetch: Fetch):
    fetch.go_on.clear()
    clock = Clock()
    flight = SingleFlight("flight", fetch, deadline_s=0.01, clock=clock)
    with pytest.raises(StatusUnavailable):
        flight.get()
    fetch.go_on.set()
    ask_until(flight, "answer 2")
    flight.close()


def ask_until(flight: SingleFlight[str], expected: str) -> None:
    for _ in range(100_000):
        try:
            if flight.get() == expected:
                return
        except StatusUnavailable:
            continue
    raise AssertionError(f"never heard {expected!r}")


def test_a_failure_is_repeated_for_a_while_and_then_asked_again(fetch: Fetch):
    def fail_first(call: int) -> str:
        if call == 1:
            raise StatusUnavailable("gone")
        return f"answer {call}"

    fetch.behaviour = fail_first
    clock = Clock()
    flight = SingleFlight("flight", fetch, hold_off_s=0.5, clock=clock)
    for _ in range(3):
        with pytest.raises(StatusUnavailable, match="gone"):
            flight.get()
    assert fetch.calls == 1
    clock.now += 0.49
    with pytest.raises(StatusUnavailable, match="gone"):
        flight.get()
    clock.now += 0.01
    assert flight.get() == "answer 2"
    assert flight.get() == "answer 3"
    flight.close()


def test_an_unexpected_error_is_logged_and_told_without_details(
    fetch: Fetch, caplog: pytest.LogCaptureFixture
):
    def broken(call: int) -> str:
        raise ZeroDivisionError("detail")

    fetch.behaviour = broken
    flight = SingleFlight("the-flight", fetch)
    with pytest.raises(StatusUnavailable, match="internal error") as raised:
        flight.get()
    assert "detail" not in str(raised.value).replace("details", "")
    assert "the-flight failed" in caplog.text
    assert "ZeroDivisionError: detail" in caplog.text
    flight.close()


def test_after_close_nothing_is_asked_and_the_thread_ends(fetch: Fetch):
    before = set(threading.enumerate())
    flight = SingleFlight("flight", fetch)
    flight.get()
    (thread,) = set(threading.enumerate()) - before
    flight.close()
    flight.close()
    thread.join(PATIENT_S)
    assert not thread.is_alive()
    with pytest.raises(StatusUnavailable, match="shutting down"):
        flight.get()
    assert fetch.calls == 1


def test_a_flight_that_nobody_uses_has_no_thread(fetch: Fetch):
    before = set(threading.enumerate())
    flight = SingleFlight("flight", fetch)
    assert set(threading.enumerate()) <= before  # those of an earlier test may have ended
    flight.close()


def late(call: int) -> str:
    raise NoAnswer("busy")


def test_the_last_answer_stands_in_for_one_that_is_late_until_it_is_too_old(fetch: Fetch):
    clock = Clock()
    flight = SingleFlight(
        "flight",
        fetch,
        deadline_s=PATIENT_S,
        keep_s=10.0,
        fresh_s=0.0,
        clock=clock,
        unix_clock=lambda: 1e9 + clock.now,
    )
    assert flight.latest() == Answer("answer 1", 0.0, 1e9 + 100.0)
    fetch.behaviour = late
    for age_s in (0.0, 0.5, 3.0, 10.0):
        clock.now = 100.0 + age_s
        assert flight.latest() == Answer("answer 1", age_s, 1e9 + 100.0)
    clock.now += 1.0
    with pytest.raises(NoAnswer, match="the agent has not answered for 11 s"):
        flight.latest()
    fetch.behaviour = lambda call: "fresh"
    clock.now += 1.0
    assert flight.latest() == Answer("fresh", 0.0, 1e9 + clock.now)
    flight.close()


def test_without_an_answer_before_a_late_one_is_none(fetch: Fetch):
    fetch.behaviour = late
    flight = SingleFlight("flight", fetch, deadline_s=PATIENT_S)
    with pytest.raises(NoAnswer, match="busy"):
        flight.latest()
    flight.close()


@pytest.mark.parametrize("failure", [StatusUnavailable("gone"), ZeroDivisionError("a bug")])
def test_a_failure_other_than_lateness_ends_what_an_answer_stands_for(fetch: Fetch, failure: Exception):
    clock = Clock()
    flight = SingleFlight("flight", fetch, deadline_s=PATIENT_S, hold_off_s=0.5, fresh_s=0.0, clock=clock)
    flight.latest()

    def fail(call: int) -> str:
        raise failure

    fetch.behaviour = fail
    with pytest.raises(StatusUnavailable):
        flight.latest()
    fetch.behaviour = late
    clock.now += 0.5
    with pytest.raises(NoAnswer):
        flight.latest()
    flight.close()
    with pytest.raises(StatusUnavailable, match="shutting down"):
        flight.latest()


@pytest.mark.parametrize(("pause_s", "calls"), [(0.02, 4), (0.25, 4), (0.001, 1), (0.0025, 1)])
def test_whoever_asks_without_pause_causes_four_calls_a_second_and_a_crowd_one(
    fetch: Fetch, pause_s: float, calls: int
):
    clock = Clock()
    flight = SingleFlight("flight", fetch, deadline_s=PATIENT_S, clock=clock)
    for number in range(round(1.0 / pause_s)):
        clock.now = number * pause_s
        flight.latest()
    assert fetch.calls == calls
    flight.close()
    with pytest.raises(StatusUnavailable, match="shutting down"):
        flight.latest()
