"""An error that no actor may survive ends its actor and asks for a shutdown."""

import logging

import pytest

from actors.runtime.fatal import FatalError
from actors.runtime.real.loop import LoopDispatcher
from tests.actors.runtime.probe import ENDS, LIMIT_S, Probe, leave, wait_for_end


@pytest.mark.parametrize("end", [name for name in ENDS if "fatal" in name])
def test_a_fatal_error_asks_for_a_shutdown_and_the_dispatcher_goes_on(end: str):
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    bystander = Probe.start(dispatcher)
    act, broken, _ = ENDS[end]
    ref = Probe.start(dispatcher, None, broken)
    act(ref)
    wait_for_end(dispatcher, ref)
    assert [type(error) for error in reported] == [SystemExit]
    assert bystander.ask(lambda _: "alive", timeout=LIMIT_S) == "alive"
    again = Probe.start(dispatcher)
    again.tell(leave)
    wait_for_end(dispatcher, again)
    assert len(reported) == 1
    assert dispatcher.stop(LIMIT_S)


def test_a_fatal_error_in_readiness_is_reported_too():
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    ref = Probe.start(dispatcher)
    ref.tell(lambda probe: probe.socket_turn(leave, None))
    wait_for_end(dispatcher, ref)
    assert [type(error) for error in reported] == [SystemExit]
    assert dispatcher.stop(LIMIT_S)


def test_who_asks_into_a_fatal_error_gets_an_error(dispatcher: LoopDispatcher):
    ref = Probe.start(dispatcher)
    with pytest.raises(FatalError) as caught:
        ref.ask(leave, timeout=LIMIT_S)
    assert isinstance(caught.value.__cause__, SystemExit)
    wait_for_end(dispatcher, ref)


def test_a_fatal_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture):
    def broken(_: BaseException) -> None:
        raise ValueError("broken callback")

    dispatcher = LoopDispatcher(on_fatal=broken)
    dispatcher.start()
    ref = Probe.start(dispatcher)
    with caplog.at_level(logging.ERROR):
        ref.tell(leave)
        wait_for_end(dispatcher, ref)
    assert "broken callback" in caplog.text
    assert dispatcher.stop(LIMIT_S)
