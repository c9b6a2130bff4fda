"""What an agent lacks the right for, and the command that grants it."""

import shlex
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from mesh.addresses import TcpAddress
from mesh.agent.cli import main
from mesh.agent.files import read_certificate_file
from mesh.agent.grants import MAX_KEYS_SAID, missing_grants, relay_notices
from mesh.config.schema import (
    AcceptSection,
    AgentSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    TrustSection,
)
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity
from mesh.trust.issuing import IssuingLimits

ADDRESS = TcpAddress("localhost", 1)


def config_of(endpoints=(), listeners=()):
    return Config(
        forward=ForwardSection(
            endpoints=tuple(EndpointSection(key=key, target=ADDRESS) for key in endpoints),
            listeners=tuple(ListenerSection(key=key, address=ADDRESS) for key in listeners),
        )
    )


def certificate(**rights):
    wire = issue_certificate(
        Identity(bytes(32)),
        subject=Identity(b"i" * 32).public_key,
        name="my hq",
        not_before=0,
        not_after=1,
        **rights,
    )
    return read_certificate(wire)


def test_an_agent_with_the_rights_lacks_nothing():
    granted = certificate(may_register=("web-*",), may_use=("db",))
    assert missing_grants(config_of(["web-1"], ["db"]), granted) == ()
    assert missing_grants(config_of(), certificate()) == ()


def test_the_command_grants_what_is_missing_and_keeps_the_rest(tmp_path, monkeypatch):
    config = config_of(["web-1", "it;s"], ["db", "db", "*x"])
    limits = IssuingLimits(3600, ("a:b",), ("*",), may_relay=True, groups=("x?",))
    granted = certificate(may_register=("web-*",), may_relay=True, groups=("staff", "x"), may_issue=limits)
    (missing,) = missing_grants(config, granted)
    line = missing.line()
    assert "does not let it offer 'it;s' or use 'db', '*x'; whoever has" in line
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["authority", "new", "authority.key"]).exit_code == 0
    assert line.endswith("an agent that runs takes it up by itself")
    words = shlex.split(line.partition("grants it with: ")[2], comments=True)
    result = CliRunner().invoke(main, words[1:])
    assert (words[0], result.exit_code) == ("mesh", 0), result.output
    signed = read_certificate(read_certificate_file(tmp_path / "agent.cert"))
    assert signed.subject == granted.subject
    assert (signed.name, signed.may_relay, signed.may_manage) == ("my hq", True, False)
    assert signed.may_register == ("web-*", "it;s")
    assert (signed.groups, signed.may_issue) == (("staff", "x"), limits)
    assert missing_grants(config, signed) == ()


def test_many_keys_are_one_line():
    (missing,) = missing_grants(config_of([f"k{number}" for number in range(10_000)]), certificate())
    line = missing.line()
    assert f"'k{MAX_KEYS_SAID - 1}' and {10_000 - MAX_KEYS_SAID:,} more;" in line
    assert len(line) < 1000


def accepting(*, relay=True, endpoints=()):
    return msgspec.structs.replace(
        config_of(endpoints),
        agent=AgentSection(relay=relay),
        accept=(AcceptSection(address=ADDRESS),),
        trust=TrustSection(authorities=(bytes(32),), certificate=Path("agent.cert")),
    )


def test_an_agent_that_others_dial_and_that_may_not_relay_says_how_that_is_granted():
    config = accepting(endpoints=["web"])
    (line,) = relay_notices(config, certificate(may_use=("db",)))
    assert "carries nobody's traffic: agents that reach each other only through it cannot; " in line
    assert " --register web --use db --relay --out " in line
    (line,) = relay_notices(accepting(relay=False), certificate(may_relay=True))
    assert line.endswith("its certificate lets it relay, but agent.relay is false")


@pytest.mark.parametrize(
    ("config", "may_relay"),
    [
        (accepting(), True),
        (accepting(relay=False), False),
        (msgspec.structs.replace(accepting(), accept=()), False),
        (msgspec.structs.replace(accepting(), trust=None), False),
    ],
)
def test_nothing_is_said_where_nobody_misses_a_relay(config, may_relay):
    assert relay_notices(config, certificate(may_relay=may_relay)) == ()
