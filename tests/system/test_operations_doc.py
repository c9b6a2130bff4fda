"""docs/OPERATIONS.md is run on real agents, from its first recipe to its last, as it stands there."""

import re

import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.config.schema import AgentSection
from scripts.lab.clients import connect, is_reset
from scripts.lab.processes import ROOT
from scripts.lab.waiting import wait_until
from tests.recipes import steps_of
from tests.system.typing_operator import Visitors, noted, see, working

PAGE = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
STEPS = steps_of(PAGE)

PROBED = "Restart an agent of a pair"
HELD = "See who is connected, and close a connection"
NOT_THERE_YET = ("laptop", "late")


@pytest.fixture
def operator(request, tmp_path):
    with working(request, tmp_path, NOT_THERE_YET) as made:
        made.mesh.start()
        yield made


def test_the_recipes_do_what_the_page_says(operator):
    for number, step in enumerate(STEPS):
        with noted(step):
            follow(operator, step, STEPS[number - 1])


def follow(operator, step, before):
    """Do what a block says, and look whether it comes to what it should."""
    if step.kind == "text":
        see(operator, step, before)
        operator.output = ""
    elif step.recipe == PROBED:
        with Visitors(operator.ports[9000]) as visitors:
            operator.do(step)
        assert (visitors.failures, visitors.count > 10) == ([], True)
    elif step.recipe == HELD:
        with connect(operator.ports[9000]) as client:
            wait_until(lambda: is_connected(operator), "the client is connected")
            operator.do(step)
            assert is_reset(client, 5)
    else:
        operator.do(step)


def is_connected(operator):
    return "web" in operator.run("branch", "mesh connections").stdout


def test_the_unit_gives_an_agent_the_time_to_drain():
    (unit,) = (step.text for step in STEPS if step.kind == "ini")
    stop_s = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert stop_s > AgentSection().drain_timeout_s
    for command in re.findall(r"^Exec\w+=\S+/mesh (\w+)", unit, re.MULTILINE):
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_every_recipe_is_run():
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert titles == list(dict.fromkeys(step.recipe for step in STEPS))
    assert {PROBED, HELD} < set(titles)
