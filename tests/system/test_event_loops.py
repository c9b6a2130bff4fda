"""Which event loop runs an agent."""

import pytest

from mesh.agent.process import EVENT_LOOP_VARIABLE, EVENT_LOOPS
from mesh.agent.started import EXIT_OK
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.waiting import wait_until


@pytest.mark.parametrize("event_loop", EVENT_LOOPS)
def test_the_environment_chooses_it_and_the_log_says_which(mesh, event_loop):
    agent = mesh.agent("alone")
    agent.event_loop = event_loop
    agent.start()
    line = f" runs on {event_loop}, "  # written once its dashboard answers
    assert len(wait_until(lambda: agent.lines_with(line), "it says what it runs on")) == 1
    assert agent.stop() == EXIT_OK


def test_another_is_an_error_that_names_the_place_and_what_was_expected(mesh):
    agent = mesh.agent("alone").start()
    agent.stop()
    command = python("-m", "mesh.agent", agent.config_file)
    failed = Process(
        command, mesh.folder / "failed.log", cwd=ROOT, environment={EVENT_LOOP_VARIABLE: "gevent"}
    )
    assert failed.wait() not in (EXIT_OK, None)
    assert "MESH_EVENT_LOOP: expected uvloop or asyncio, found 'gevent'" in failed.output
    assert "Traceback" not in failed.output
