"""``/api/v1/authorities`` and ``renewals``, and the commands that ask them."""

import contextlib
from dataclasses import replace

import msgspec
import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.control.api import ControlApp
from mesh.agent.control.authority_rows import AuthorityRow
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.doctor.check import Level
from mesh.agent.doctor.running import authority_checks
from mesh.agent.enrolment.asking import NotGrantedError
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity, encode_public_key, short_id
from mesh.trust.issuing import IssuingLimits
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.control.test_reading import AUTHORITY, member

NEW, UNUSED, ISSUER = (Identity(bytes([seed]) * 32) for seed in (0x21, 0x22, 0x23))
END = 4_000_000_000


def issued(seed, name):
    """A member whose certificate an issuer of the new authority has signed."""
    span = {"not_before": 0, "not_after": END}
    above = issue_certificate(
        NEW, subject=ISSUER.public_key, name="hq-issuer", may_issue=IssuingLimits(END), **span
    )
    wire = issue_certificate(
        ISSUER, subject=Identity(bytes([seed]) * 32).public_key, name=name, issuer=above, **span
    )
    return msgspec.structs.replace(member(seed, name), certificate=read_certificate(wire))


@pytest.fixture
def asked(tmp_path):
    asked = Asked()
    routes = asked.snapshot.routes
    far, near = issued(0x31, "far"), issued(0x32, "near")
    records = {**routes.records, far.agent_id: far, near.agent_id: near}
    asked.snapshot = msgspec.structs.replace(
        asked.snapshot,
        routes=msgspec.structs.replace(routes, records=records),
        authorities=frozenset(each.public_key for each in (AUTHORITY, NEW, UNUSED)),
    )
    asked.renewals, behind = [], asked.behind()

    def renew(issuer):
        asked.renewals.append(issuer)
        if issuer == "gone":
            raise NotGrantedError("no issuer called gone is in reach")
        return far.certificate

    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(replace(behind, renew=renew), None))
        asked.socket = tmp_path / NAME
        yield asked


def run(asked, *arguments):
    return CliRunner().invoke(main, [*arguments, "--socket", str(asked.socket)])


def test_each_authority_is_told_with_those_that_depend_on_it_by_who_has_signed(asked):
    found = run(asked, "authorities")
    by_key = {
        encode_public_key(AUTHORITY.public_key): [
            "has signed 3 agents; this agent's own certificate is of it",
            "itself: branch, hq, relay",
        ],
        encode_public_key(NEW.public_key): [
            "has signed 2 agents",
            f"by issuer hq-issuer {short_id(ISSUER.id)}: far, near",
        ],
        encode_public_key(UNUSED.public_key): ["has signed nobody"],
    }
    expected = []
    for key, (first, *others) in sorted(by_key.items(), key=lambda each: each[0]):
        expected += [f"{key}  {first}", *(f"  {line}" for line in others)]
    assert sorted(found.stdout.splitlines()) == sorted(expected)


def test_many_agents_are_a_number(asked):
    routes = asked.snapshot.routes
    more = {seed: member(seed, f"agent-{seed}") for seed in range(0x40, 0xA0)}
    records = {**routes.records, **{each.agent_id: each for each in more.values()}}
    asked.snapshot = msgspec.structs.replace(
        asked.snapshot, routes=msgspec.structs.replace(routes, records=records)
    )
    found = run(asked, "authorities").stdout
    assert "has signed 99 agents" in found
    assert "and 83 more" in found


def test_a_renewal_is_told_with_its_end_and_one_that_is_refused_with_the_reason(asked):
    done = run(asked, "renew", "--issuer", "hq-issuer")
    assert (done.exit_code, done.stdout) == (0, "renewed by hq-issuer, until 2096-10-02 07:06 UTC\n")
    refused = run(asked, "renew", "--issuer", "gone")
    assert (refused.exit_code, asked.renewals) == (1, ["hq-issuer", "gone"])
    assert "not renewed: no issuer called gone is in reach" in refused.stderr


def test_a_renewal_that_ends_sooner_says_so_and_why(asked):
    asked.snapshot = msgspec.structs.replace(asked.snapshot, certificate_ends_unix_s=END + 86_400)
    done = run(asked, "renew")
    assert done.stdout == (
        "renewed by hq-issuer, until 2096-10-02 07:06 UTC, sooner than 2096-10-03 07:06 UTC as before: "
        "an issuer grants no more than its own certificate lets it\n"
    )


def test_the_doctor_says_who_keeps_an_authority_from_being_taken_out(asked):
    rows = msgspec.json.decode(run(asked, "authorities", "--json").stdout, type=list[AuthorityRow])
    first, second = authority_checks(rows)
    assert first.level is second.level is Level.NOTE
    told = sorted(each.what.partition(", which ")[2] for each in (first, second))
    assert told == ["has signed 2 agents: far, near", "has signed nobody"]
    assert not list(authority_checks([each for each in rows if each.is_own]))
