"""``mesh doctor``: everything about an agent that can be looked at, with what to do about what is wrong."""

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.agent.cli import completing
from mesh.agent.cli.asking import EXIT_FAILED, Agent, agent_meant
from mesh.agent.cli.failure import told_plainly
from mesh.agent.cli.times import counted
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.authority_rows import AuthorityRow
from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused
from mesh.agent.control.happenings import ToldEvents
from mesh.agent.control.mesh_rows import AgentRow, CertificateRow
from mesh.agent.control.own_rows import ListenerRow, PeerRow, Status
from mesh.agent.control.requests import (
    AGENTS,
    AUTHORITIES,
    CERTIFICATES,
    EVENTS,
    LISTENERS,
    PEERS,
    PLANS,
    REVOCATIONS,
    STATUS,
    PlanRequest,
)
from mesh.agent.control.revocation_rows import RevocationRow
from mesh.agent.doctor import places, running
from mesh.agent.doctor.check import WRONG, About, Check, Level, in_order
from mesh.agent.doctor.clock import kernel_clock_checks
from mesh.agent.doctor.files import Files
from mesh.agent.files import is_there
from mesh.agent.finding import CONTROL_NAME, DEFAULT_CONFIG, control_socket, named_socket, socket_beside
from mesh.agent.outcome import Outcome
from mesh.escaping import escaped

ANSWER_S: Final = 10.0
"""For each answer of the agent."""

LAST_EVENTS: Final = 500


class Diagnosis(msgspec.Struct, frozen=True):
    """What ``mesh doctor --json`` prints."""

    running: bool
    """Whether the agent has answered."""
    problems: int
    warnings: int
    checks: tuple[Check, ...]


@click.command()
@click.option(
    "--at",
    metavar="AGENT",
    shell_complete=completing.agents,
    help="Look at another agent of the mesh, by its name or ID: at what can be asked of it.",
)
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The agent's configuration file.")
@click.option("--socket", type=click.Path(path_type=Path), help="The agent's control socket.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@told_plainly
def doctor(*, at: str | None, config: Path | None, socket: Path | None, as_json: bool) -> None:
    """Look at everything about an agent: configuration, certificates, permissions, ports, clock, mesh.

    Each thing that is wrong comes with what to do about it. It looks at what it can if the agent does not
    run, and then opens its ports for a moment and connects to its peers. With --socket it has no
    configuration file to look at unless --config names one, too.

    The exit status is 0 if nothing is wrong, and 1 if there is a problem or a warning.

    \b
    mesh doctor
    mesh doctor --config hq.yaml --json
    mesh doctor --at hq
    """
    at = agent_meant(at)
    found: list[Check] = []
    if at is not None:
        client = AgentClient(control_socket(config, socket), ANSWER_S, at=at)
        heard = _ask(client, found, Level.PROBLEM)
    else:
        heard = _look_here(config, socket, found)
    checks = tuple(in_order(found))
    problems, warnings = (
        sum(each.level is level for each in checks) for level in (Level.PROBLEM, Level.WARNING)
    )
    diagnosis = Diagnosis(heard, problems, warnings, checks)
    Agent(AgentClient(Path()), as_json=as_json).tell(diagnosis, lambda: "\n".join(_lines(diagnosis)))
    if any(each.level in WRONG for each in checks):
        sys.exit(EXIT_FAILED)


def _look_here(config: Path | None, socket: Path | None, found: list[Check]) -> bool:
    """Add what there is on this machine, and what the agent says; whether it has answered."""
    files, socket = None, named_socket(config, socket)
    if socket is None or config is not None:
        path = Path(DEFAULT_CONFIG) if config is None else config
        if config is not None or path.exists():
            files = Files(path, time.time())
            found += files.checks
    place = _socket(files, config, socket)
    heard = False
    if place is None:
        remedy = "put right what is wrong with its configuration, or name its control socket: --socket"
        found.append(Check(About.AGENT, Level.NOTE, "nothing says where it can be asked", remedy))
    else:
        absence = Level.NOTE
        if files is None:  # then nothing has been looked at
            absence = Level.PROBLEM
        elif is_there(place):  # it has been killed, is stuck, or is not this user's to ask
            absence = Level.WARNING
        heard = _ask(AgentClient(place, ANSWER_S), found, absence)
    if not heard and files is not None and files.config is not None:
        found += places.port_checks(files.config)
        found += places.peer_checks(files.config)
        found += places.descriptor_checks()
    found += kernel_clock_checks()
    return heard


def _socket(files: Files | None, config: Path | None, socket: Path | None) -> Path | None:
    """Where the agent is asked; ``None`` if its configuration does not say."""
    if files is None or socket is not None:
        return control_socket(config, socket)
    if files.config is None:
        return socket_beside(files.path)
    data_dir = files.config.agent.data_dir
    return None if data_dir is None else data_dir / CONTROL_NAME


def _ask(client: AgentClient, found: list[Check], absence: Level) -> bool:
    """Add what the agent says, or that it is absent; whether it has answered."""
    agent = Agent(client, as_json=False)
    try:
        found += _told_by(agent, found)
    except NotRunning as absent:
        found.append(Check(About.AGENT, absence, str(absent)))
        return False
    except (NotUnderstood, Refused) as strange:
        found.append(Check(About.AGENT, Level.PROBLEM, str(strange)))
    return True


def _told_by(agent: Agent, known: Sequence[Check]) -> list[Check]:
    status = agent.client.get(STATUS, Status)
    peers = all_rows(agent, PEERS, PeerRow)
    members = all_rows(agent, AGENTS, AgentRow)
    events = agent.client.get(f"{EVENTS}?last={LAST_EVENTS}&limit={LAST_EVENTS}", ToldEvents).events
    lines = {each.what for each in known}
    return [
        *(
            each
            for each in running.agent_checks(status, all_rows(agent, LISTENERS, ListenerRow))
            if each.what not in lines and f"{each.what}; {each.remedy}" not in lines
        ),
        *running.descriptor_checks(status),
        *running.peer_checks(peers),
        *running.clock_checks(peers),
        *running.certificate_checks(all_rows(agent, CERTIFICATES, CertificateRow), time.time()),
        *running.authority_checks(all_rows(agent, AUTHORITIES, AuthorityRow)),
        *running.revocation_checks(
            all_rows(agent, REVOCATIONS, RevocationRow), status.revocation_lists_missing
        ),
        *running.version_checks(members),
        *running.event_checks(events, datetime.now(UTC)),
        *_plan(agent),
    ]


def _plan(agent: Agent) -> Iterator[Check]:
    try:
        yield from running.plan_checks(agent.client.post(f"{PLANS}?dry_run=true", Outcome, PlanRequest(None)))
    except Refused as refused:
        for line in refused.problems or (str(refused),):
            yield Check(About.CONFIGURATION, Level.PROBLEM, line)


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    for each in diagnosis.checks:
        yield f"{each.level.value:<8} {each.about.value:<14} {escaped(each.what)}"
        if each.remedy:
            yield f"{'':<23} do: {escaped(each.remedy)}"
    wrong = [
        counted(count, noun)
        for count, noun in ((diagnosis.problems, "problem"), (diagnosis.warnings, "warning"))
        if count
    ]
    yield " and ".join(wrong) if wrong else "nothing is wrong"
