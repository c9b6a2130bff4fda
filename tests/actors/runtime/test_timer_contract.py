"""What actors may rely on of timers, held against the real loops and the simulation alike."""

import pytest

from tests.actors.runtime.socket_contract import Do, Program, Side


def test_no_timer_fires_before_its_time(near: Side):
    # One after the other, so that they begin anywhere within a millisecond: a loop may count in whole ones.
    delays_s = [number / 10_000 for number in range(1, 60)]
    early_by_s: list[float] = []

    def arm_next(program: Program) -> None:
        if delays_s:
            delay_s = delays_s.pop()
            due_at = program.now() + delay_s
            program.schedule(delay_s, Do(lambda program: fire(program, due_at)))
        else:
            program.heard.put("done")

    def fire(program: Program, due_at: float) -> None:
        early_by_s.append(max(0.0, due_at - program.now()))
        arm_next(program)

    near.do(arm_next)
    assert near.hear() == "done"
    assert early_by_s == [0.0] * 59


@pytest.mark.parametrize("delay_s", [0.0, -1.0])
def test_a_timer_without_delay_or_of_the_past_fires(near: Side, delay_s: float):
    near.do(lambda program: program.schedule(delay_s, "due"))
    assert near.hear() == "due"
