"""Whoever says much waits for the others; nothing is lost and each is heard in its order."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.fair_queue import FairQueue

SENDERS = "abc"


def drained(queue: FairQueue[str, str]) -> list[str]:
    found = []
    while queue:
        found.append(queue.take()[0])
    return found


def test_senders_take_turns():
    queue: FairQueue[str, str] = FairQueue()
    for number in range(4):
        queue.push("a", f"a{number}", 1)
    queue.push("b", "b0", 1)
    queue.push("c", "c0", 1)
    queue.push("b", "b1", 1)
    assert drained(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_what_is_urgent_passes_all_but_what_its_own_sender_has_said():
    queue: FairQueue[str, str] = FairQueue()
    queue.push("a", "a0", 1)
    queue.push("b", "b0", 1)
    queue.push_first("c", "c0", 1)
    queue.push_first("b", "b1", 1)
    assert drained(queue) == ["c0", "a0", "b0", "b1"]


def test_what_is_left_of_an_item_comes_first_in_its_senders_next_turn():
    queue: FairQueue[str, str] = FairQueue()
    queue.push("a", "a0", 5)
    queue.push("a", "a1", 1)
    queue.push("b", "b0", 1)
    assert queue.take() == ("a0", 5)
    queue.put_back("a", "rest", 3)
    assert queue.byte_count == 5
    assert drained(queue) == ["b0", "rest", "a1"]
    assert queue.byte_count == 0


def test_the_sender_of_whom_most_waits_is_found():
    queue: FairQueue[str, str] = FairQueue()
    queue.push("a", "a0", 5)
    queue.push("b", "b0", 3)
    queue.push("b", "b1", 3)
    assert [queue.take_of_most()[0] for _ in range(3)] == ["b0", "a0", "b1"]


@given(st.lists(st.tuples(st.sampled_from(SENDERS), st.sampled_from("+!-m"), st.integers(1, 9))))
def test_each_sender_is_heard_in_its_order_and_sizes_add_up(steps):
    queue: FairQueue[str, tuple[str, int]] = FairQueue()
    said = {sender: [] for sender in SENDERS}
    heard = {sender: [] for sender in SENDERS}
    for number, (sender, what, size) in enumerate(steps):
        if what in "+!":
            push = queue.push if what == "+" else queue.push_first
            push(sender, (sender, number), size)
            said[sender].append((number, size))
        elif queue:
            (who, which), taken = queue.take() if what == "-" else queue.take_of_most()
            heard[who].append((which, taken))
        waits = {one: said[one][len(heard[one]) :] for one in SENDERS}
        assert queue.byte_count == sum(size for each in waits.values() for _, size in each)
        assert bool(queue) == any(waits.values())
    assert all(heard[one] == said[one][: len(heard[one])] for one in SENDERS)
