"""Lines of mesh status that take some reading."""

from datetime import timedelta

from msgspec.structs import replace

from mesh.agent.cli.status_command import leads_to
from mesh.agent.control.own_rows import AsideRow, ExitRow
from tests.mesh.agent.doctor.test_running import LISTENER, NOW

NEAR, FAR = "a" * 32, "b" * 32
EXITS = (ExitRow(NEAR, "near", None, 2), ExitRow(FAR, "far", None, 3))


def aside(agent_id, name):
    return AsideRow(agent_id, name, "refused", NOW - timedelta(seconds=60), NOW + timedelta(seconds=10))


def line(*set_aside):
    return "; ".join(leads_to(replace(LISTENER, exits=EXITS, set_aside=set_aside), NOW))


def test_a_listener_leads_to_an_exit_that_is_not_set_aside_as_long_as_there_is_one():
    failed = "set aside for 60 s, tried again in 10 s: refused"
    assert line() == "near, 2 hops and 1 more"
    assert line(aside(NEAR, "near")) == f"far, 3 hops; near {failed}"
    assert line(aside(FAR, "far")) == f"near, 2 hops; far {failed}"
    both = line(aside(NEAR, "near"), aside(FAR, "far"))
    assert both == f"near, 2 hops and 1 more; near {failed}; far {failed}"
