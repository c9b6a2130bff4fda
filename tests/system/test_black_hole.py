"""A path that loses packets of full size without a word: in network namespaces, with the kernel's own TCP."""

import socket

import pytest

from scripts.lab.clients import digest_until_end, read_all, send_random
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service
from scripts.lab.waiting import wait_until
from tests.system.namespaces import Line, needs_namespaces

BYTES = 2_000_000
PATIENCE_S = 25.0
"""Less than ``connections.reroute_timeout``, after which a connection is given up."""
MTU_BYTES = 1300
PEER_PORT, CLIENT_PORT = 4433, 6001


def upload(client):
    _, digest = digest_until_end(client)
    client.sendall(digest.encode())
    client.shutdown(socket.SHUT_WR)


def download(client):
    client.sendall(send_random(client, BYTES).encode())
    client.shutdown(socket.SHUT_WR)


def transfer(direction):
    """One bulk transfer as a client on ``near``; whether what arrived is what was sent."""
    with socket.create_connection((LOOPBACK, CLIENT_PORT), timeout=PATIENCE_S) as client:
        client.settimeout(PATIENCE_S)
        if direction == "upload":
            digest = send_random(client, BYTES)
            client.shutdown(socket.SHUT_WR)
            return read_all(client).decode() == digest
        return len(read_all(client)) == BYTES + 64


@needs_namespaces
@pytest.mark.parametrize(
    ("direction", "losing"), [("upload", ["far"]), ("download", ["near"]), ("download", ["near", "far"])]
)
def test_bulk_gets_through_in_smaller_packets_and_the_link_stays_and_people_are_told(mesh, direction, losing):
    near, far = mesh.agent("near"), mesh.agent("far")
    with Line() as line:
        service = line.on("far", Service, upload if direction == "upload" else download)
        far.config["accept"] = [{"address": f"0.0.0.0:{PEER_PORT}"}]
        far.offer("bulk", service.port)
        near.config["peers"] = [{"address": f"{line.addresses['far']}:{PEER_PORT}"}]
        near.listen("bulk", f"{LOOPBACK}:{CLIENT_PORT}")
        for agent in (far, near):
            agent.start(prefix=line.command(agent.name), wait=False)
        wait_until(lambda: line.on("near", near.routes, "bulk"), "near has a route")
        line.lose_larger_than(MTU_BYTES, *losing)
        assert line.on("near", transfer, direction)
        said = "packets of full size seem to get lost"
        (told,) = near.wait_for_lines_with(said)
        assert "check the MTU" in told
        (peer,) = line.on("near", near.dashboard)["peers"]
        assert peer["state"] == "connected"
        assert said in peer["problem"]
        assert line.on("near", near.get, "/ready")[0] == 200
        ended = len(near.lines_with("link down"))
        assert ended <= 2
        assert line.on("near", transfer, direction)
        assert len(near.lines_with("link down")) == ended, "the link does not flap"
        for agent in (near, far):
            assert agent.stop() == 0
        service.close()
