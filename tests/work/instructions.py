"""How many instructions of Python a call takes: a measure of its work that no machine changes."""

import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType


def instructions(call: Callable[[], object]) -> int:
    """Those of ``call`` and of all that it calls; what is done within one, such as a sort, counts as one."""
    return _monitored(call) if sys.version_info >= (3, 12) else _traced(call)


def _monitored(call: Callable[[], object]) -> int:
    # From Python 3.12 on: there a trace function may miss the first instructions that it asks for.
    monitoring, own, count = sys.monitoring, threading.get_ident(), 0
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION

    def executed(_code: CodeType, _offset: int) -> None:
        nonlocal count
        count += threading.get_ident() == own

    monitoring.use_tool_id(tool, __name__)
    monitoring.register_callback(tool, event, executed)
    monitoring.set_events(tool, event)
    try:
        call()
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
    return count


def _traced(call: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., object]:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
