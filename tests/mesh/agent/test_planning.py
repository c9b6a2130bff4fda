"""What another configuration would do, given as a text."""

import pytest

from mesh.agent.config_source import ConfigSource
from mesh.agent.outcome import Verdict
from mesh.agent.planning import planned
from mesh.agent.saved_services import read_service
from mesh.config.loading import parse_config
from mesh.trust.identity import Identity, encode_public_key

RUNNING = """
agent: {name: hq}
trust: {authorities: [AUTHORITY], certificate: agent.cert}
peers: [{address: "relay:4433"}]
forward:
  endpoints: [{key: web, target: "localhost:80"}]
""".replace("AUTHORITY", encode_public_key(Identity(b"a" * 32).public_key))


@pytest.fixture
def running(tmp_path):
    return parse_config(RUNNING.encode(), file="x", directory=tmp_path, environment={}, host_name="hq")


@pytest.fixture
def plan(running, tmp_path):
    source = ConfigSource(tmp_path / "config.yaml", {})

    def plan(text, beside=()):
        return planned(lambda: source.saying(text).config, lambda: beside, running)

    return plan


def test_what_would_change_is_named_whatever_part_it_is_of(plan):
    assert plan(RUNNING).lines().__next__() == "nothing is different"
    text = RUNNING.replace("relay", "other").replace("80", "81")
    text += "accept: [{address: '127.0.0.1:4434'}]\nlimits: {pending_opens: 9}\nlogging: {level: error}\n"
    text += "http: {}\n"
    outcome = plan(text.replace("name: hq", "name: hq, data_dir: data"))
    assert outcome.verdict is Verdict.DONE
    assert outcome.added == ("acceptor 127.0.0.1:4434", "peer other:4433")
    assert outcome.removed == ("peer relay:4433",)
    assert outcome.changed == ("endpoint web", "http", "limits.pending_opens", "logging.level")
    assert outcome.at_start == ("agent.data_dir",)


def test_every_mistake_is_told_with_its_line_and_field(plan):
    outcome = plan("peers: [{address: nowhere}]\nforward:\n  listeners: [{key: a}]\n")
    assert outcome.verdict is Verdict.REFUSED
    assert [each.partition(": found")[0] for each in outcome.problems] == [
        "config:1: peers[0].address",
        "config:1: trust",
        "config:3: forward.listeners[0].address",
    ]


def test_what_is_beside_the_file_counts(plan):
    beside = read_service("endpoints", {"key": "web", "target": "localhost:82"})
    assert "this agent offers web already" in plan(RUNNING, (beside,)).problems[0]


def test_nothing_of_the_environment_is_filled_in(plan, monkeypatch):
    monkeypatch.setenv("MESH_TEST_SECRET", "hunter2")
    (problem,) = plan(RUNNING.replace("name: hq", "name: '${MESH_TEST_SECRET}'")).problems
    assert "MESH_TEST_SECRET" in problem
    assert "hunter2" not in problem
