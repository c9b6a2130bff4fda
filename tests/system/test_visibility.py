"""``visibility: granted`` with real agents: whoever may not use a service finds no word of it anywhere."""

from http import HTTPStatus

import pytest

from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

KEY, SHOWN = "payroll", "weather"
ASKED = (
    "/",
    "/api/dashboard",
    "/api/v1/agents",
    "/api/v1/services",
    "/api/v1/routes",
    "/api/v1/events",
    "/metrics",
)


def told(agent):
    """All that an agent tells a person, and what it has logged."""
    answers = [agent.get(path) for path in ASKED]
    assert all(status == HTTPStatus.OK for status, _ in answers)
    return [*(body.decode() for _, body in answers), agent.log.read_text()]


@pytest.fixture
def company(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    relay.certify(may_use=(f"{SHOWN}*",))
    with Service(echo_until_reset) as service:
        hq.offer(SHOWN, service.port)
        mesh.start()
        yield branch, relay, hq, service.port


def test_a_service_that_is_not_for_all_serves_those_that_it_is_for_and_is_not_named_to_others(company):
    branch, relay, hq, target = company
    entry = f"{LOOPBACK}:{target}"
    assert hq.ask("expose", KEY, entry, "--visibility", "granted", "--save").returncode == 0
    listened = branch.ask("listen", KEY, "--visibility", "granted", "--save")
    branch.wait_for_route(KEY)
    with connect(int(listened.stdout)) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    (route,) = branch.routes(KEY, hq)
    assert route["hop_count"] == 2
    assert "granted" in hq.get("/api/v1/endpoints")[1].decode()
    wait_until(lambda: any(SHOWN in answer for answer in told(relay)), "the relay tells what it may")
    assert not [answer for answer in told(relay) if KEY in answer]
    unknown = [relay.ask("who-can", key) for key in (KEY, "no-such-key")]
    assert "which nobody offers" in unknown[0].stdout
    assert unknown[0].stdout == unknown[1].stdout.replace("no-such-key", KEY)
