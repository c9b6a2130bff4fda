"""Which requests are let in, by the name they ask for."""

from typing import Any

import pytest

from tests.mesh.agent.dashboard.clients import MakeApp, client_of


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("192.0.2.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST.", 200),
        ("branch.localhost:1", 200),
        ("mesh.internal", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evil-localhost", 403),
        ("[evil]:80", 403),
        ("", 403),
    ],
)
def test_a_host_name_that_could_be_rebound_is_refused(make_app: MakeApp, source: Any, host: str, status: int):
    client = client_of(make_app(allowed_hosts=["Mesh.Internal"]))
    answer = client.simulate_get("/api/dashboard", headers={"Host": host})
    assert answer.status_code == status
    assert source.calls == (status == 200)
    if status == 403:
        assert "Host" in answer.json["error"]


def test_without_the_guard_any_host_name_is_welcome(make_app: MakeApp):
    client = client_of(make_app(guard_hosts=False))
    assert client.simulate_get("/health", headers={"Host": "agent.example"}).status_code == 200
