"""Whoever has a token that was made for another, or wants more than it says, at real agents."""

import subprocess

import pytest

from mesh.agent.files import IDENTITY_FILE, KeyUse, write_key
from mesh.remote.join_token import token_from_text
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.identity import Identity
from mesh.trust.issuing import IssuingLimits
from scripts.lab.clients import connect, read_exactly
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

DAY_S = 86_400


class Company:
    """Relay and hq, which is an issuer and offers a service."""

    def __init__(self, mesh, service):
        self.mesh = mesh
        self.relay, self.hq = mesh.agent("relay"), mesh.agent("hq")
        limits = IssuingLimits(DAY_S, ("db-*",), ("svc", "web-*"), groups=("staff",))
        self.hq.certify(may_issue=limits)
        self.hq.dial(self.relay)
        self.hq.offer("svc", service.port)
        mesh.start()

    def invite(self, *options):
        return self.hq.ask("invite", *options)

    def token(self, *options):
        invited = self.invite(*options)
        assert invited.returncode == 0, invited.stderr
        return invited.stdout.strip()

    def refused(self):
        return self.hq.stats()["enrolments_refused_total"]


def mesh_command(*arguments):
    command = [str(part) for part in python("-m", "mesh.agent.entry", *arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def company(mesh):
    with Service(echo_until_reset) as service:
        yield Company(mesh, service)


def served(port):
    with connect(port) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"


def test_a_token_lets_one_agent_in_and_nobody_else_whoever_has_it(company, tmp_path):
    mesh, hq = company.mesh, company.hq
    port = mesh.ports.reserve()
    token = company.token("laptop", "--use", "svc", "--group", "staff")
    home = tmp_path / "laptop"
    joined = mesh_command("join", token, "--dir", home)
    assert joined.returncode == 0, joined.stderr
    listener = f'  listeners:\n    - {{key: svc, address: "127.0.0.1:{port}"}}\n'
    config = home / "config.yaml"
    config.write_text(config.read_text().replace("  listeners:\n", listener))
    laptop = Process(python("-m", "mesh.agent", config), tmp_path / "laptop.log", cwd=ROOT)
    try:
        wait_until(lambda: "listener svc open" in laptop.output, "the new agent has found the service", 60.0)
        served(port)

        # The same token again, at another machine: refused, told, counted; the first agent notices nothing.
        with connect(port) as held:
            again = mesh_command("join", token, "--dir", tmp_path / "again")
            assert again.returncode == 2
            assert "the invitation has been used already, by the agent " in again.stderr
            assert again.stderr.count("\n") == 1
            assert not (tmp_path / "again").exists()
            assert company.refused() == 1
            hq.wait_for_lines_with("no certificate for laptop")
            held.sendall(b"hello")
            assert read_exactly(held, 5) == b"hello"

        # Whoever starts an agent as the invitation gets a link, and nothing through it.
        thief = as_the_invitation(
            mesh, token_from_text(company.token("phone", "--use", "svc")), company.relay
        )
        thief.start()
        wait_until(lambda: thief.stats()["agents"] >= 3, "the thief sees hq")
        pinged = thief.ask("ping", hq.id)
        assert pinged.returncode == 4, pinged.stdout
        assert "refused: a certificate" in pinged.stdout
        steered = thief.ask("--at", hq.id, "status")
        assert steered.returncode == 4, steered.stderr
        served(port)
    finally:
        laptop.kill()


def as_the_invitation(mesh, token, relay):
    """An agent that runs with the key and the certificate of an invitation."""
    agent = mesh.agent("thief")
    agent.dial(relay)
    agent.identity = Identity(token.seed)
    (agent.folder / IDENTITY_FILE).unlink()
    write_key(agent.folder / IDENTITY_FILE, KeyUse.IDENTITY, token.seed)
    (agent.folder / "agent.cert").write_text(certificate_to_text(token.certificate))
    return agent


def test_nobody_is_invited_to_more_than_the_issuer_may_grant(company):
    for options, why in (
        (("x", "--use", "*"), "may not: to use '*'"),
        (("x", "--for", "2d"), "may grant 86,400 s"),
        (("hq",), "the mesh has an agent hq already"),
        (("a b",), "expected a name of 1 to 63"),
    ):
        refused = company.invite(*options)
        assert refused.returncode in (1, 2), options
        assert why in refused.stderr, refused.stderr
        assert "meshjoin_" not in refused.stdout
    by_another = company.relay.ask("invite", "x")
    assert "relay is no issuer" in by_another.stderr
    through_the_mesh = company.relay.ask("--at", "hq", "invite", "x")
    assert through_the_mesh.returncode == 4
