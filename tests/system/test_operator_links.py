"""What the operator of an agent sees of its links and endpoints when something is not as it should be."""

import contextlib
import json
import shutil
import socket
from http.client import HTTPConnection

from actors.connections.endpoint import WITHDRAWN
from actors.links.dialer import HANDSHAKE_HINT_S, SILENT
from mesh.agent.files import IDENTITY_FILE
from mesh.agent.link_problems import ALL_LOST, NO_LINK
from mesh.routing.counterparts import NO_LISTENER
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until


def ready(agent):
    status, body = agent.get("/ready")
    return status, body.decode()


def ready_json(agent):
    """``/ready`` as a program asks for it."""
    with contextlib.closing(HTTPConnection(LOOPBACK, agent.http_port, timeout=5)) as connection:
        connection.request("GET", "/ready", headers={"Accept": "application/json"})
        return json.loads(connection.getresponse().read())


def test_an_agent_that_is_linked_with_none_of_its_peers_is_not_ready_and_says_why(mesh):
    relay = mesh.agent("relay").accept()
    branch = mesh.agent("branch").dial(relay)
    branch.start()
    address = f"{LOOPBACK}:{relay.accept_port}"
    status, body = wait_until(lambda: "refused" in ready(branch)[1] and ready(branch), "it says why")
    assert status == 503
    assert body.startswith(f"not ready\n{NO_LINK}: {address}: ")
    told = ready_json(branch)
    (line,), (finding,) = told["problems"], told["findings"]
    assert body.splitlines()[1].startswith(f"{line} (since ")
    assert (finding["severity"], finding["what"]) == ("problem", line)
    relay.start()
    wait_until(lambda: ready(relay)[0] == 200, "one without peers is ready")
    wait_until(lambda: ready(branch) == (200, "ready\n"), "it has a link")
    relay.stop()
    status, body = wait_until(
        lambda: "the last link ended" in ready(branch)[1] and ready(branch), "it is lost"
    )
    assert status == 503
    assert f"{address}: relay: " in body
    shown = next(peer for peer in branch.dashboard()["peers"] if peer["address"] == address)
    assert (shown["display_name"], shown["id"]) == ("relay", relay.id)


def test_an_agent_that_only_accepts_tells_a_peer_that_left_from_one_that_is_lost(mesh):
    hub = mesh.agent("hub").accept()
    branch, other = mesh.agent("branch").dial(hub), mesh.agent("other").dial(hub)
    hub.start()
    assert ready(hub) == (200, "ready\n"), "nobody has come yet"
    branch.start()
    branch.wait_for_peers(hub)
    branch.stop()
    wait_until(lambda: [peer["state"] for peer in hub.dashboard()["peers"]] == ["left"], "it has left")
    assert ready(hub)[0] == 200
    other.start()
    other.wait_for_peers(hub)
    other.kill()
    status, body = wait_until(lambda: "lost" in ready(hub)[1] and ready(hub), "it is lost")
    assert status == 503
    assert f"{ALL_LOST}: other at " in body
    assert {(peer["display_name"], peer["state"]) for peer in hub.dashboard()["peers"]} == {
        ("branch", "left"),
        ("other", "lost"),
    }
    result = hub.ask("status")
    assert "hub" in result.stdout
    assert "not ready" in result.stdout
    other.start()
    wait_until(lambda: ready(hub)[0] == 200, "it is linked again")


def test_of_two_agents_with_one_key_the_one_that_is_only_refused_is_not_ready(mesh):
    relay = mesh.agent("relay").accept()
    branch = mesh.agent("branch").dial(relay)
    copy = mesh.agent("copy").dial(relay)
    for name in (IDENTITY_FILE, "agent.cert"):
        shutil.copy(branch.folder / name, copy.folder / name)
    relay.start()
    branch.start()
    branch.wait_for_peers(relay)
    copy.start()
    status, body = wait_until(lambda: "duplicate" in ready(copy)[1] and ready(copy), "it says why")
    assert status == 503
    assert "refused by relay: duplicate identity: another running agent has this identity key" in body
    status, body = wait_until(lambda: "warning" in ready(branch)[1] and ready(branch), "the first is warned")
    assert status == 200
    assert "another running agent has this agent's identity key" in body
    (warning,) = branch.dashboard()["warnings"]
    assert body.splitlines()[1] == f"warning: {warning}"


def test_a_port_that_takes_connections_and_never_answers_is_told_of_soon(mesh):
    with socket.create_server((LOOPBACK, 0)) as hole:
        branch = mesh.agent("branch")
        branch.config["peers"] = [{"address": f"{LOOPBACK}:{hole.getsockname()[1]}"}]
        branch.start()
        wait_until(lambda: SILENT in ready(branch)[1], "it says so", 3 * HANDSHAKE_HINT_S)
        (peer,) = branch.dashboard()["peers"]
        assert SILENT in peer["problem"]
        assert len(branch.wait_for_lines_with(SILENT)) == 1


def test_an_endpoint_that_is_withdrawn_is_shown_on_its_own_page(mesh):
    alone = mesh.agent("alone")
    port = alone.ports.reserve()
    alone.offer("db", port)
    alone.config["forward"]["endpoints"][0]["health_check"] = {"interval": "200ms", "timeout": "200ms"}
    alone.start()

    def withheld():
        return [entry["reason"] for entry in alone.dashboard()["unmatched_endpoints"]]

    down = f"{WITHDRAWN}: {LOOPBACK}:{port}: Connection refused"
    wait_until(lambda: withheld() == [down], "it is shown")
    with socket.create_server((LOOPBACK, port)):
        wait_until(lambda: withheld() == [NO_LISTENER], "it is offered")
