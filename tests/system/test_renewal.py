"""Certificates and authorities that change while agents run, with real files and processes."""

import pytest

from mesh.agent.files import read_certificate_file
from mesh.trust.certificates import issuer_of, read_certificate
from mesh.trust.identity import Identity, encode_public_key
from mesh.trust.issuing import IssuingLimits
from scripts.lab.clients import connect, is_reset, read_exactly, refuses
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

NEW = Identity(b"the authority that comes after".ljust(32))


@pytest.fixture
def pair(mesh):
    """Agents branch and hq with one link; hq offers an echo as "a"."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        branch.wait_for_route("a")
        yield branch, hq, port


def trust(agent, *authorities):
    agent.config["trust"]["authorities"] = [encode_public_key(each.public_key) for each in authorities]
    return agent.reload()


def linked(agent):
    return [peer["display_name"] for peer in agent.dashboard()["peers"]]


def echoes(client):
    client.sendall(b"x")
    return read_exactly(client, 1) == b"x"


def test_an_agent_renews_its_certificate_through_an_issuer_and_its_connections_stay(mesh):
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    limits = IssuingLimits(3600, ("*",), ("*",), may_relay=True)
    hq.certify(may_issue=limits)
    branch.certify(not_before=-100, not_after=50)  # two thirds are over
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        branch.wait_for_route("a")
        with connect(port) as client:
            assert echoes(client)
            branch.wait_for_lines_with("certificate and authorities have been read again")
            assert hq.wait_for_lines_with("has renewed its certificate here, for 150 s")
            assert echoes(client)
        found = read_certificate(read_certificate_file(branch.folder / "agent.cert"))
        assert (issuer_of(found).subject, found.subject) == (
            hq.identity.public_key,
            branch.identity.public_key,
        )
        assert (found.may_use, found.may_register, found.may_relay) == (("*",), ("*",), True)
        assert linked(branch) == ["hq"]
        assert hq.stats()["enrolments_total"] == 1


def test_a_renewed_certificate_is_taken_up_unasked_and_a_damaged_one_is_told_once(pair):
    branch, hq, port = pair
    with connect(port) as client:
        assert echoes(client)
        good = (hq.folder / "agent.cert").read_text()
        (hq.folder / "agent.cert").write_text(good[:200])
        hq.wait_for_lines_with("this agent goes on with the certificate that it has")
        hq.wait_for_lines_with("the certificate is cut off")
        warned = hq.ask("status").stdout
        assert "the certificate is cut off" in warned
        told = hq.reload()
        assert "the certificate is cut off" in told
        assert "done as far as it could be" in told
        hq.certify(not_after=1_000_000)
        hq.wait_for_lines_with("certificate and authorities have been read again")
        assert hq.process.output.count("this agent goes on with") == 1
        assert echoes(client)
        hq.certify(not_after=2_000_000)
        assert "changed certificate" in hq.reload()
        assert "nothing is different" in hq.reload()
        assert echoes(client)
    assert "link down" not in branch.process.output + hq.process.output


def test_authorities_change_one_after_the_other_and_nobody_is_cut_off_but_whoever_is_not_trusted(pair):
    branch, hq, port = pair
    with connect(port) as client:
        for agent in pair[:2]:
            assert "changed trust.authorities" in trust(agent, branch.authority, NEW)
        for agent, other in ((branch, hq), (hq, branch)):
            agent.name += "-renewed"
            agent.certify(NEW)
            wait_until(lambda: linked(other) == [agent.name], "the other end of its link knows")  # noqa: B023
        assert echoes(client)
        assert "changed trust.authorities" in trust(branch, NEW)
        assert "changed trust.authorities" in trust(hq, NEW)
        assert echoes(client)
    assert "link down" not in branch.process.output + hq.process.output
    refused = trust(hq, branch.authority)  # which is not the one of its own certificate any more
    assert "refused: the agent goes on as it was" in refused
    assert "does not trust" in refused


def test_whoever_is_not_trusted_any_more_is_out_within_a_second_and_both_sides_say_why(pair):
    branch, hq, port = pair
    with connect(port) as client:
        assert echoes(client)
        trust(hq, branch.authority, NEW)
        hq.certify(NEW)
        trust(branch, branch.authority, NEW)
        hq.wait_for_lines_with("certificate and authorities have been read again: hq, valid until")
        trust(hq, NEW)
        hq.wait_for_lines_with("closing the link to branch")
        hq.wait_for_lines_with("connections with it: 1, reset")
        branch.wait_for_lines_with("link lost: the peer closed it: the certificate of 'branch'")
        assert is_reset(client, 5.0)  # branch has heard of it, and does not wait until its probes fail
    wait_until(lambda: refuses(port), "the service is gone for branch")
    assert "branch" not in hq.ask("services").stdout
