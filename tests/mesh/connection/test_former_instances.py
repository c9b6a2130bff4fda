from mesh.connection.former_instances import MAX_FORMER, MAX_INGRESSES, FormerInstances
from mesh.connection.replay_window import ReplayWindow
from mesh.trust.identity import AgentId, Instance

ALICE = AgentId(b"alice".ljust(16))


def instance(number: int) -> Instance:
    return Instance(number.to_bytes(16, "big"))


def window(highest: int) -> ReplayWindow:
    made = ReplayWindow()
    made.mark(highest)
    return made


def test_the_highest_number_of_each_instance_is_remembered():
    former = FormerInstances()
    former.add(ALICE, instance(1), window(7))
    former.add(ALICE, instance(2), window(3))
    former.add(ALICE, instance(1), window(5))
    former.add(ALICE, instance(3), ReplayWindow())
    assert [former.used_up_to(ALICE, instance(number)) for number in range(1, 5)] == [7, 3, -1, -1]


def test_memory_is_bounded_and_the_oldest_goes_first():
    former = FormerInstances()
    for number in range(MAX_FORMER + 1):
        former.add(ALICE, instance(number), window(number))
    assert former.used_up_to(ALICE, instance(0)) == -1
    assert former.used_up_to(ALICE, instance(1)) == 1
    for number in range(MAX_INGRESSES):
        former.add(AgentId(number.to_bytes(16, "big")), instance(0), window(1))
    assert former.used_up_to(ALICE, instance(1)) == -1
    assert former.used_up_to(AgentId(bytes(16)), instance(0)) == 1


def test_a_window_goes_on_above_what_was_used():
    for used_up_to in (0, 5, 63, 64, 1_000, 2**40):
        again = ReplayWindow(used_up_to=used_up_to)
        assert again.highest == used_up_to
        assert not any(again.fresh(number) for number in range(max(0, used_up_to - 2_000), used_up_to + 1))
        again.mark(used_up_to + 3)
        assert [again.fresh(used_up_to + step) for step in (1, 2, 3, 4)] == [True, True, False, True]
