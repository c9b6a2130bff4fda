"""Policies change while everything fails: nothing forbidden is carried, and what is allowed works."""

from pathlib import Path
from unittest import mock

import pytest
import yaml

from actors.connections.remote_certificates import RemoteCertificates
from actors.messages.peer_link import CloseLink
from mesh.link.frames import Frame, FrameType
from scripts.simulation.policies.knowledge import earliest
from scripts.simulation.policies.law import Grant, Known, Law, Listing
from scripts.simulation.policies.watch import serves
from scripts.simulation.real_runner import run_real
from scripts.simulation.runner import Order, run, run_order
from scripts.simulation.scenario import ScenarioError
from tests.actors.links.link_company import OWN, PEER, LinkScene
from tests.examples import seeds
from tests.frame_sizes import smallest_body

SCENARIO = Path(__file__).resolve().parents[2] / "config" / "scenarios" / "policies.yaml"


@pytest.fixture
def scene():
    scene = LinkScene()
    yield scene
    scene.world.stop()


@pytest.mark.parametrize("seed", seeds(1))
def test_nothing_forbidden_is_carried_and_what_is_allowed_works(seed):
    outcome = run_order(Order(str(SCENARIO), seed))
    again = f"python scripts/simulate.py {SCENARIO} --seed {seed}"
    assert not outcome.broken, "\n".join([outcome.broken, *outcome.story, again])


@pytest.mark.interpreted
def test_an_exit_that_judges_no_open_connection_anew_is_found_out():
    with mock.patch.object(RemoteCertificates, "_tell_rights"):
        broken = [run(Order(str(SCENARIO), seed)).broken for seed in range(2)]
    assert any("nothing forbidden is carried" in each for each in broken)


def test_other_keys_and_real_processes_are_refused(tmp_path):
    with pytest.raises(ScenarioError, match="policies change in simulated runs only"):
        run_real(Order(str(SCENARIO), 1))
    document = yaml.safe_load(SCENARIO.read_text())
    document["services"][0]["key"] = "another"
    (file := tmp_path / "policies.yaml").write_text(yaml.safe_dump(document))
    assert "nothing is known of the keys ['another']" in run(Order(str(file), 1)).broken


def test_a_link_that_waits_for_nothing_but_its_end_serves_nobody(scene):
    peer = scene.admitted(may_relay=False)
    assert serves(scene.link)
    scene.tell(CloseLink("revoked"))  # its peer has not closed yet, as over a way that is cut
    assert scene.is_alive
    assert not serves(scene.link)
    peer.send_frames(Frame(FrameType.DATA, False, PEER.id, OWN.id, 1, 0, smallest_body(FrameType.DATA)))
    scene.run(0.1)
    assert scene.table.heard == []


# -- the law -------------------------------------------------------------------------------------------------


def grant(agent, **says):
    values = {"use": ("*",), "register": ("*",), "groups": (), "relays": True, "authority": "a", "issuer": ""}
    return Grant(agent=agent, name=agent, ends_at=100.0, **values | says)


@pytest.fixture
def law():
    return Law(
        {name: grant(name) for name in ("in", "out", "issuer")},
        {"in": "1" * 32, "out": "2" * 32},
        ("issuer",),
    )


def test_what_an_agent_may_still_hold_is_not_held_against_it(law):
    law.grants["in"].append(grant("in", use=("other-*",)))
    assert not law.exit_forbids("out", "in", "logs", 0.0)
    law.known["out"].grants["in"] = 1
    assert law.exit_forbids("out", "in", "logs", 0.0)
    assert not law.ingress_forbids("in", "out", "logs", 0.0)


@pytest.mark.parametrize(("entry", "forbids"), [("in", False), ("1" * 32, False), ("group:dba", True)])
def test_lists_name_agents_ids_and_groups(law, entry, forbids):
    law.allowed["logs", "out"] = frozenset({entry})
    assert law.exit_forbids("out", "in", "logs", 0.0) is forbids
    law.grants["in"] = [grant("in", groups=("dba",))]
    assert not law.exit_forbids("out", "in", "logs", 0.0)


@pytest.mark.parametrize("revoked", ["in", "issuer"])
def test_a_list_revokes_agents_and_what_they_have_issued(law, revoked):
    law.grants["in"] = [grant("in", issuer="issuer")]
    law.lists["a"] = [Listing("a", frozenset()), Listing("a", frozenset({revoked}))]
    assert law.may_refuse("out", law.newest("in"), 0.0)
    assert not law.refuses("out", "in", 0.0)
    law.known["out"] = Known(lists={"a": 1})
    assert law.refuses("out", "in", 0.0)


def test_an_issuer_revokes_what_it_has_issued_and_nothing_else(law):
    law.lists["issuer"], law.known["out"] = [Listing("a", frozenset({"in"}))], Known(lists={"issuer": 0})
    assert not law.refuses("out", "in", 0.0)
    law.grants["in"] = [grant("in", issuer="issuer")]
    assert law.refuses("out", "in", 0.0)


def test_a_clock_that_was_set_is_certain_of_an_end_only_once_all_its_times_are(law):
    law.clocks["out"] = (0.0, 60.0)
    newest = law.newest("in")
    assert [law.may_refuse("out", newest, now) for now in (39.0, 40.0)] == [False, True]
    assert [law.refuses("out", "in", now) for now in (99.0, 100.0)] == [False, True]


def test_news_takes_the_way_whose_parts_were_there_first():
    links = {"a": {"b": 5.0, "c": 1.0}, "c": {"b": 2.0}}
    nodes = {"a": 0.0, "b": 0.0, "c": 0.0}
    assert earliest({"a": 0.5}, nodes, links) == {"a": 0.5, "c": 1.0, "b": 2.0}
    assert earliest({"a": 0.5}, nodes | {"c": 9.0}, links) == {"a": 0.5, "b": 5.0, "c": 9.0}
