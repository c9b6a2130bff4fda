"""docs/RUNBOOKS.md is gone through on real agents, as it stands there, while clients work."""

import contextlib
import json
import re
import shutil

import pytest

from mesh.agent.cli.rights import parse_limits
from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until
from tests.recipes import steps_of
from tests.system.typing_operator import Visitors, noted, see, working

PAGE = (ROOT / "docs" / "RUNBOOKS.md").read_text(encoding="utf-8")
STEPS = steps_of(PAGE)

REPLACED, STOLEN, ISSUER, LOST, BROKEN = (
    "Replace an agent's key",
    "An agent's key was stolen",
    "An issuer was stolen",
    "The authority's key is lost",
    "The authority's key was stolen",
)
UNDISTURBED = (REPLACED, LOST, BROKEN)
"""Where nobody who opens a connection notices anything."""


@pytest.fixture
def operator(request, tmp_path):
    """The mesh of the page: hq2 has let laptop in, and a client of branch has a connection through relay."""
    with working(request, tmp_path, ("laptop", "thief")) as made, Service(echo_until_reset) as echo:
        made.laptop, made.thief = made.later
        made.hq2.certify(may_issue=parse_limits(["all"], 90 * 86_400))
        for agent in (made.hq, made.hq2):
            agent.config["audit"] = {"connections": True}
            agent.offer("web", made.ports[8000])
        made.hq.offer("shell", echo.port)
        made.branch.listen("web", f"{LOOPBACK}:{made.ports[9000]}")
        made.shell = made.branch.listen("shell")
        made.mesh.start()
        made.type("hq2", "mesh invite laptop --use '*' --group staff --dial relay.example.com:4433")
        made.type("laptop", "mesh join TOKEN --dir .")
        made.type("laptop", "sudo systemctl start mesh-agent")
        made.type("laptop", "mesh listen web 127.0.0.1:9002 --save")
        made.type("laptop", "curl -s http://127.0.0.1:9002/")
        made.output = ""
        yield made


def test_each_runbook_comes_to_what_it_says_and_whoever_is_to_work_on_does(operator):
    recipes = {}
    for step in STEPS:
        recipes.setdefault(step.recipe, []).append(step)
    assert tuple(recipes) == (REPLACED, STOLEN, ISSUER, LOST, BROKEN)
    with contextlib.ExitStack() as stack:
        for recipe, steps in recipes.items():
            if recipe == STOLEN:  # hq has its key for good now
                client = stack.enter_context(connect(operator.shell))
            BEFORE.get(recipe, lambda _: None)(operator)
            with Visitors(operator.ports[9000]) as visitors:
                for number, step in enumerate(steps):
                    with noted(step):
                        if "mesh join" in step.text:
                            be_out(operator)
                        follow(operator, step, steps[number - 1])
                    if recipe != REPLACED:
                        client.sendall(b"x")
                        assert read_exactly(client, 1) == b"x", step
            if recipe in UNDISTURBED:
                assert (visitors.failures, visitors.count > 3) == ([], True)
            AFTER.get(recipe, lambda _: None)(operator)


def follow(operator, step, before):
    if step.kind == "text":
        see(operator, step, before)
        operator.output = ""
        return
    operator.do(step)
    if "identity show" in step.text:
        operator.said["OLD"] = re.search(r"[0-9a-f]{32}", operator.output)[0]


def steal(operator):
    """Somebody has the folder of laptop, which is off."""
    operator.type("laptop", "sudo systemctl stop mesh-agent")
    shutil.copytree(operator.laptop.folder, operator.thief.folder, dirs_exist_ok=True)
    operator.type("thief", "sudo systemctl start mesh-agent")
    wait_until(lambda: not fetched(operator).exit_code, "it is served in the name of laptop")


def fetched(operator):
    return operator.run("thief", operator.here("curl -s http://127.0.0.1:9002/", "thief"))


def be_out(operator):
    """The thief is, before the machine comes back."""
    wait_until(lambda: "this agent was revoked on" in operator.thief.process.output, "the thief hears of it")
    assert fetched(operator).exit_code
    operator.thief.kill()


def name_the_stolen(operator):
    operator.said["STOLEN"] = operator.hq2.id


def be_without_the_issuer(operator):
    rows = json.loads(operator.run("branch", "mesh authorities --json").stdout)
    assert [each["issuer"] for row in rows for each in row["signed"]] == [None, "hq"]
    operator.hq2.kill()
    operator.every = [operator.branch, operator.relay, operator.hq, operator.laptop]


def let_a_ghost_in(operator):
    """Whoever has the authority's key lets in whom he likes."""
    home = operator.thief.folder
    shutil.rmtree(home)
    home.mkdir()
    operator.type("thief", "mesh identity new identity.key")
    sign = "mesh certificate sign --authority authority2.key --name thief --public-key KEY --all"
    operator.type("office", f"{sign} --out thief.cert")
    operator.type("office", "scp thief.cert thief:agent/agent.cert")
    operator.edit("thief", GHOST)
    operator.type("thief", "sudo systemctl start mesh-agent")
    wait_until(lambda: "thief" in agents_of(operator), "it is a member")


def be_rid_of_the_ghost(operator):
    wait_until(lambda: "thief" not in agents_of(operator), "it is none any more")
    assert {"branch", "relay", "hq", "laptop"} == set(agents_of(operator))


def have_all_been_written_down(operator):
    """Item by item: who let whom in, renewed and revoked whom, changed what, and was connected to what."""
    be_rid_of_the_ghost(operator)
    wanted = {"branch": (), "hq": ("issued", "renewed"), "hq2": ("invited", "joined")}
    for name, more in wanted.items():
        kinds = {each["kind"] for each in entries_of(operator, name)}
        assert {"started", "configuration" if name != "hq2" else "request", "revoked", *more} < kinds, name
    first, *_ = [each for each in entries_of(operator, "hq2") if each["kind"] == "invited"]
    assert (first["agent"], first["rights"]) == ("laptop", ["use=*", "group=staff"])
    assert first["way"] == "control socket"
    ended = entries_of(operator, "hq2", "--connections") + entries_of(operator, "hq", "--connections")
    assert {"key", "ingress", "duration_s", "to_service_bytes", "to_client_bytes", "ending"} < ended[
        -1
    ].keys()
    assert {each["ingress"].split()[0] for each in ended if each.get("key") == "web"} == {"branch", "laptop"}


def entries_of(operator, name, *more):
    command = " ".join(("mesh audit list --last 10000 --json", *more))
    return [json.loads(line) for line in operator.run(name, command).stdout.splitlines()]


def agents_of(operator):
    return [each["name"] for each in json.loads(operator.run("branch", "mesh agents --json").stdout)]


GHOST = """
agent: {name: thief, data_dir: "."}
trust: {authorities: ["AUTHORITY2"], certificate: agent.cert}
peers: [{address: "relay.example.com:4433"}]
"""
BEFORE = {STOLEN: steal, ISSUER: name_the_stolen, BROKEN: let_a_ghost_in}
AFTER = {ISSUER: be_without_the_issuer, BROKEN: have_all_been_written_down}
