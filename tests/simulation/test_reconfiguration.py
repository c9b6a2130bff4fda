"""Configurations that change while agents run: what each change is, and that a fault would be seen."""

from pathlib import Path

import msgspec
import pytest

from actors.messages import endpoint as endpoint_messages
from actors.root.services import Services
from actors.runtime import supervisor_messages
from mesh.addresses import TcpAddress
from mesh.config.difference import difference
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
)
from mesh.link.link import Link
from scripts.simulation.changes import Change, Surroundings, changed
from scripts.simulation.real_runner import run_real
from scripts.simulation.runner import Order, run
from scripts.simulation.scenario import CHANGES, ScenarioError

SCENARIOS = Path(__file__).resolve().parents[2] / "config" / "scenarios"
SCENARIO = str(SCENARIOS / "reconfiguration.yaml")
FIRST_SEEDS = range(20)
KEY = "my-api"
CONFIG = Config(
    accept=(AcceptSection(address=TcpAddress("", 4433)),),
    peers=(PeerSection(address=TcpAddress("relay", 4433)),),
    forward=ForwardSection(
        endpoints=(EndpointSection(key=KEY, target=TcpAddress("service", 80)),),
        listeners=(ListenerSection(key=KEY, address=TcpAddress("", 5432)),),
    ),
)
AROUND = Surroundings(["branch", "hq"], 4433, lambda key: TcpAddress(f"other.{key}", 80))
ALL = [Change(number, kind, KEY) for number, kind in enumerate(sorted(CHANGES))]


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.kind)
def test_each_change_is_one(change):
    assert not difference(CONFIG, changed(CONFIG, [change], AROUND)).is_empty


def test_what_is_taken_back_leaves_the_others():
    for change in ALL:
        others = [each for each in ALL if each is not change]
        assert changed(CONFIG, reversed(others), AROUND) == changed(CONFIG, others, AROUND)
    assert changed(CONFIG, [], AROUND) == CONFIG


def test_configurations_change_in_simulated_runs_only():
    with pytest.raises(ScenarioError, match="in simulated runs only"):
        run_real(Order(SCENARIO, 1))


def test_a_service_that_stays_would_be_seen(monkeypatch):
    removal = Services.removal

    def kept(name, section, reply_to):
        if not isinstance(section, ListenerSection):
            return removal(name, section, reply_to)
        return supervisor_messages.RemoveChild("no such service", reply_to, None)

    monkeypatch.setattr(Services, "removal", staticmethod(kept))
    assert run(Order(SCENARIO, 1)).broken


def test_a_change_that_is_not_made_would_be_seen(monkeypatch):
    change = Services.change

    def forgotten(self, name, section, reply_to):
        command = change(self, name, section, reply_to)
        if isinstance(section, EndpointSection):
            kept = msgspec.structs.replace(section, target=TcpAddress("nowhere", 80))
            return msgspec.structs.replace(command, command=endpoint_messages.ChangeEndpoint(kept))
        return command

    monkeypatch.setattr(Services, "change", forgotten)
    assert run(Order(SCENARIO, 1)).broken


@pytest.mark.interpreted
def test_a_link_that_is_closed_before_there_is_another_would_be_seen(monkeypatch):
    monkeypatch.setattr(Link, "retire", Link.close)
    chain = str(SCENARIOS / "reconfiguration_chain.yaml")
    assert any(run(Order(chain, seed)).broken for seed in FIRST_SEEDS)
