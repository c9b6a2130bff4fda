"""Calls wait for who takes them."""

from mesh.agent.held_calls import HeldCalls


def test_calls_are_held_until_there_is_who_takes_them_and_come_in_their_order():
    calls: HeldCalls[str, int] = HeldCalls()
    taken = []
    calls("a", 1)
    calls("b", 2)
    assert taken == []
    calls.hand_to(lambda name, number: taken.append((name, number)))
    assert taken == [("a", 1), ("b", 2)]
    calls("c", 3)
    assert taken == [("a", 1), ("b", 2), ("c", 3)]


def test_calls_are_handed_over_once():
    calls: HeldCalls[str] = HeldCalls()
    first, second = [], []
    calls("a")
    calls.hand_to(first.append)
    calls.hand_to(second.append)
    calls("b")
    assert (first, second) == (["a"], ["b"])
