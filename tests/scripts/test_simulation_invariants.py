"""What the simulator's invariants accept and what they refuse, on talks made up for it."""

from collections import Counter
from types import SimpleNamespace

import pytest

from scripts.simulation.conversation import Conversation, Heard, Manner, Pace, Terms
from scripts.simulation.invariants import InvariantError, as_expected
from scripts.simulation.real_agent import RealAgent
from scripts.simulation.real_watch import AgentWatch
from scripts.simulation.scenario import Expectation


def talks(*heard, records=None, silent=(), crashed_at=(), met=()):
    """Clients that heard so, numbered from 0."""
    terms = (Terms(number, up=0, down=1, manner=Manner.AT_ONCE) for number in range(len(heard)))
    conversations = [Conversation(one, Pace(), said) for one, said in zip(terms, heard, strict=True)]
    log = SimpleNamespace(crashes=[])
    return SimpleNamespace(
        conversations=conversations,
        records=records or {},
        silent=list(silent),
        met=Counter(met),
        crashed_at=list(crashed_at),
        log=log,
    )


RESET = {"error": 104, "finished_at": 2.0}


def test_a_client_that_no_service_met_is_a_fault():
    with pytest.raises(InvariantError, match="none served"):
        as_expected(talks(Heard(**RESET)), Expectation.SERVED)


def test_a_killed_service_takes_along_those_it_had_not_heard():
    as_expected(talks(Heard(**RESET), silent=[Heard()]), Expectation.SERVED)
    with pytest.raises(InvariantError, match="1 died with a service"):
        as_expected(talks(Heard(**RESET), Heard(**RESET), silent=[Heard()]), Expectation.SERVED)


def test_a_connection_that_the_service_saw_ending_was_not_taken_along():
    with pytest.raises(InvariantError, match="0 died with a service"):
        as_expected(talks(Heard(**RESET), silent=[Heard(**RESET)]), Expectation.SERVED)


def test_a_killed_exit_takes_along_those_it_had_not_brought_anything_of():
    as_expected(talks(Heard(**RESET), silent=[Heard(**RESET)], crashed_at=[1.99]), Expectation.SERVED)
    with pytest.raises(InvariantError, match="0 died with a service"):
        as_expected(talks(Heard(**RESET), silent=[Heard(**RESET)], crashed_at=[1.8, 2.1]), Expectation.SERVED)


def test_a_refused_client_is_not_excused_by_a_killed_service():
    refused = Heard(refused=111, finished_at=2.0)
    with pytest.raises(InvariantError, match="none served"):
        as_expected(talks(refused, silent=[Heard()]), Expectation.SERVED)


def test_a_client_that_left_or_was_met_is_served():
    as_expected(talks(Heard(left=True), Heard(**RESET), records={1: Heard()}), Expectation.SERVED)


def test_bytes_of_a_client_reach_one_target():
    as_expected(talks(Heard(left=True), Heard(left=True), met=[0, 1]), Expectation.WHOLE)
    with pytest.raises(InvariantError, match=r"bytes of clients \[1\] came by more than one connection"):
        as_expected(talks(Heard(left=True), Heard(left=True), met=[0, 1, 1]), Expectation.WHOLE)


class Process:
    """An agent's process that ends and logs as it is told."""

    def __init__(self):
        self.status = None
        self.said = []

    def new_lines(self):
        said, self.said = self.said, []
        return said


@pytest.fixture
def process():
    return Process()


@pytest.fixture
def watch(process):
    watch = AgentWatch({"hq": process})
    watch.started("hq")
    watch.look()
    return watch


@pytest.mark.parametrize("status", [0, 1, -9])
def test_an_agent_that_ends_unasked_is_found(watch, process, status):
    process.status = status
    with pytest.raises(InvariantError, match=f"agents run: hq has ended with status {status}"):
        watch.look()


def test_an_agent_that_was_killed_may_be_gone(watch, process):
    watch.killed("hq")
    process.status = -9
    watch.look()
    process.status = None
    watch.started("hq")
    watch.look()


@pytest.mark.parametrize(
    ("status", "is_fine"), [(None, True), (0, True), (-15, True), (1, False), (-9, False)]
)
def test_an_agent_that_leaves_does_so_in_order(watch, process, status, is_fine):
    watch.leaves("hq")
    process.status = status
    if is_fine:
        watch.look()
    else:
        with pytest.raises(InvariantError, match="agents end in order: hq left with status"):
            watch.look()


@pytest.mark.parametrize("line", ["Unhandled exception in Listener(a)", "Traceback (most recent call last):"])
def test_a_crash_in_a_log_is_found(watch, process, line):
    process.said = ["listener my-api open", line]
    with pytest.raises(InvariantError, match="no actor crashes: hq logged: "):
        watch.look()
    watch.look()


def test_a_log_is_read_line_by_line(tmp_path):
    agent = RealAgent("hq", tmp_path, {}, 80)
    assert agent.new_lines() == []
    with agent.log.open("a") as log:
        for written, read in (("\none\ntw", ["", "one"]), ("", []), ("o\n", ["two"])):
            log.write(written)
            log.flush()
            assert agent.new_lines() == read
