"""What streams begin with, by what others have reached on the same way."""

import pytest

from mesh.connection.stream import INITIAL_WINDOW_BYTES, StreamBudget
from mesh.connection.stream.reached import COUNTS_S, MAX_AGENTS, MOST_BYTES, PART, ReachedWindows
from tests.mesh.connection.stream.harness import INGRESS, MIB, START, World, make_pair, pattern
from tests.mesh.connection.stream.test_stream_bulk import Bottleneck

NOW = 100.0


def test_nothing_is_known_of_an_agent_from_which_no_stream_has_come_nor_for_long():
    reached = ReachedWindows()
    reached.note("a", MIB, NOW)
    assert reached.take("b", NOW) == 0
    assert reached.take("a", NOW + COUNTS_S) == 0
    assert reached.take("a", NOW + COUNTS_S - 0.1) == MIB // PART


def test_all_that_begin_together_get_no_more_than_a_round_trips_bytes():
    reached = ReachedWindows()
    reached.note("a", 2 * MIB, NOW)
    parts = [reached.take("a", NOW) for _ in range(50)]
    assert parts[:3] == [MIB // 2, MIB // 4, MIB // 8]
    assert sum(parts) <= MIB


def test_no_stream_begins_with_more_than_the_most():
    reached = ReachedWindows()
    reached.note("a", 8 * MOST_BYTES, NOW)
    assert reached.take("a", NOW) == MOST_BYTES


def test_what_is_less_than_known_counts_when_that_is_old():
    reached = ReachedWindows()
    reached.note("a", MIB, NOW)
    reached.note("a", MIB // 2, NOW + 1.0)
    assert reached.take("a", NOW + 1.0) == MIB // PART
    reached.note("a", MIB // 2, NOW + COUNTS_S)
    assert reached.take("a", NOW + COUNTS_S) == MIB // 2 // PART


def test_of_many_agents_the_first_is_forgotten():
    reached = ReachedWindows()
    for agent in range(MAX_AGENTS + 1):
        reached.note(agent, MIB, NOW)
    assert reached.take(0, NOW) == 0
    assert reached.take(1, NOW) == reached.take(MAX_AGENTS, NOW) == MIB // PART


def carry(link, size, budget):
    """Seconds for ``size`` bytes from the ingress by a new stream, and the largest credit that it had."""
    world = World(fate=link, pair=make_pair(budget=budget))
    world.ingress.outgoing = pattern(size)
    start, most = world.now, 0

    def is_over():
        nonlocal most
        receiver = world.exit.stream._receiver
        most = max(most, receiver.credit - receiver.taken_bytes)
        return len(world.exit.incoming) == size

    world.run(until=is_over)
    took_s = world.now - start
    for end in world.ends:
        end.stream.release()
    return took_s, most


def test_on_a_long_path_the_next_transfer_takes_fewer_round_trips():
    budget, long = StreamBudget(256 * MIB), {"rate": 100 * MIB, "latency": 0.05}
    first_s, _ = carry(Bottleneck(**long), 16 * MIB, budget)
    alone_s, _ = carry(Bottleneck(**long), MIB, StreamBudget(256 * MIB))
    next_s, _ = carry(Bottleneck(**long), MIB, budget)
    assert next_s < alone_s - 0.19  # of its six round trips of 0.1 s
    assert next_s < first_s
    assert budget.reserved_bytes == 0


@pytest.mark.parametrize("size", [48 * 1024, MIB // 2])
def test_transfers_that_are_through_with_their_part_take_none_of_it_from_the_next(size):
    """Even if they are over before anything is known of the path."""
    budget, long = StreamBudget(256 * MIB), {"rate": 100 * MIB, "latency": 0.05}
    carry(Bottleneck(**long), 16 * MIB, budget)
    took_s = [carry(Bottleneck(**long), size, budget)[0] for _ in range(10)]
    assert max(took_s) < min(took_s) + 0.01
    assert budget.reached.take(INGRESS, START + COUNTS_S) == MOST_BYTES


def test_on_a_short_path_it_begins_as_the_first():
    budget, short = StreamBudget(256 * MIB), {"rate": 100 * MIB, "latency": 0.002}
    carry(Bottleneck(**short), 16 * MIB, budget)
    took_s = [carry(Bottleneck(**short), MIB, each)[0] for each in (budget, StreamBudget(256 * MIB))]
    assert took_s[0] == took_s[1]


def test_a_stream_that_carries_little_is_given_no_more():
    budget = StreamBudget(256 * MIB)
    carry(Bottleneck(100 * MIB, latency=0.05), 16 * MIB, budget)
    _, most = carry(Bottleneck(100 * MIB, latency=0.05), 16 * 1024, budget)
    assert most == INITIAL_WINDOW_BYTES


def test_when_the_path_has_become_thin_its_queue_is_bounded_and_soon_short():
    budget, longest = StreamBudget(256 * MIB), []
    carry(Bottleneck(100 * MIB, latency=0.05), 16 * MIB, budget)
    for _ in range(6):
        thin = Bottleneck(MIB, latency=0.05)
        carry(thin, 3 * MIB, budget)
        longest.append(thin.longest)
    assert max(longest) <= MOST_BYTES
    assert longest[-1] <= 5 * INITIAL_WINDOW_BYTES
