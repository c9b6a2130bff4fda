"""What a running agent says of itself and of the mesh, judged: each thing that is wrong, with its remedy."""

import shlex
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from mesh.agent.cli.times import counted
from mesh.agent.control.authority_rows import AuthorityRow
from mesh.agent.control.happenings import ToldEvent
from mesh.agent.control.mesh_rows import AgentRow, CertificateRow
from mesh.agent.control.own_rows import ListenerRow, PeerRow, Status
from mesh.agent.control.revocation_rows import RevocationRow
from mesh.agent.dashboard.states import CONNECTED, ServiceState
from mesh.agent.doctor.check import About, Check, Level
from mesh.agent.doctor.places import limit_check
from mesh.agent.expiry import DAY_S, Stage, stage_of
from mesh.agent.findings import Severity
from mesh.agent.outcome import Outcome
from mesh.journal import EventKind
from mesh.trust.moments import in_words

CLOCK_APART_S: Final = 5.0
"""Machines that keep the time differ by less, with all that a handshake takes."""

RECENT: Final = timedelta(minutes=10)

MAX_TOLD: Final = 10
"""Of a kind; the rest is a number."""

CLOCK_REMEDY: Final = "see on both machines whether the time is kept: timedatectl"


def agent_checks(status: Status, listeners: Sequence[ListenerRow]) -> Iterator[Check]:
    """What the agent finds wrong itself, and its listeners that refuse clients or have set exits aside."""
    found = [
        Check(
            About.AGENT,
            Level.PROBLEM if each.severity is Severity.PROBLEM else Level.WARNING,
            each.what,
            each.remedy,
        )
        for each in status.findings
    ]
    found += [
        Check(
            About.AGENT,
            Level.WARNING,
            f"listener {listener.key} has set aside {exit_.agent}: {exit_.reason}",
            f"look at its target and log there, and at mesh trace {exit_.agent}",
        )
        for listener in listeners
        for exit_ in listener.set_aside
    ][:MAX_TOLD]
    found += [
        Check(
            About.AGENT,
            Level.WARNING,
            f"listener {each.key} at {each.opened_at} refuses clients: {each.problem}",
            f"see where the way ends: mesh trace {shlex.quote(each.key)}; what there is: mesh services",
        )
        for each in listeners
        if each.state is ServiceState.PARKED
    ][:MAX_TOLD]
    yield from found or [Check(About.AGENT, Level.OK, f"{status.agent.name} is ready")]


def descriptor_checks(status: Status) -> Iterator[Check]:
    """Whether its limit will do; that they run out, the agent says itself."""
    yield limit_check(status.descriptor_limit, "the agent")


def peer_checks(peers: Sequence[PeerRow]) -> Iterator[Check]:
    """Each peer without a link."""
    lost = [each for each in peers if each.state != CONNECTED]
    for each in lost[:MAX_TOLD]:
        name = f"{each.name} at {each.address}" if each.name else each.address
        yield Check(
            About.PEERS,
            Level.WARNING,
            f"{name}: {each.problem or each.state}",
            "if that does not say what to do: see there that the agent runs and accepts at this address; "
            "mesh events --kind link says more",
        )
    if len(lost) > MAX_TOLD:
        yield Check(About.PEERS, Level.WARNING, f"the same is true of {len(lost) - MAX_TOLD:,} more")
    if peers and not lost:
        yield Check(About.PEERS, Level.OK, f"linked with {counted(len(peers), 'peer')}")


def clock_checks(peers: Sequence[PeerRow]) -> Iterator[Check]:
    """Peers whose clocks differ from this machine's; if most do, it is this one that is wrong."""
    known = [(each, each.clock_ahead_s) for each in peers if each.clock_ahead_s is not None]
    apart = [(each, ahead_s) for each, ahead_s in known if abs(ahead_s) > CLOCK_APART_S]
    for each, ahead_s in apart[:MAX_TOLD]:
        how = "ahead of" if ahead_s > 0 else "behind"
        what = f"the clock of {each.name} was {abs(ahead_s):,.0f} s {how} this machine's at the last link"
        yield Check(About.CLOCK, Level.WARNING, what, CLOCK_REMEDY)
    if len(apart) > 1 and len(apart) == len(known):
        yield Check(
            About.CLOCK,
            Level.WARNING,
            "no peer's clock is as this machine's, so this one's may be wrong",
            "set it: timedatectl set-ntp true",
        )
    if known and not apart:
        yield Check(About.CLOCK, Level.OK, f"within {CLOCK_APART_S:g} s of {counted(len(known), 'peer')}")


def certificate_checks(certificates: Sequence[CertificateRow], now_unix_s: float) -> Iterator[Check]:
    """Those of other agents that end soon: of its own this agent warns itself."""
    soon = sorted(
        (each.not_after - now_unix_s, each.name, each.agent_id)
        for each in certificates
        if not each.is_local and stage_of(each.not_before, each.not_after, now_unix_s) is not Stage.FINE
    )
    for left_s, name, agent_id in soon[:MAX_TOLD]:
        what = f"the certificate of {name} {agent_id[:8]} ends in {max(0.0, left_s) / DAY_S:.1f} days"
        remedy = "mesh status there has the command that renews it"
        yield Check(About.CERTIFICATES, Level.WARNING, what, remedy)
    if len(soon) > MAX_TOLD:
        more = f"those of {len(soon) - MAX_TOLD:,} more agents end soon"
        yield Check(About.CERTIFICATES, Level.WARNING, more)


def authority_checks(authorities: Sequence[AuthorityRow]) -> Iterator[Check]:
    """Who depends on each authority that is trusted beside that of the agent's own certificate."""
    others = [each for each in authorities if not each.is_own] if len(authorities) > 1 else []
    for each in others[:MAX_TOLD]:
        names = [name for signed in each.signed for name in signed.names]
        whom = f"{counted(each.agents, 'agent')}: {_some(names)}" if names else "nobody"
        what = f"another authority is trusted, {each.authority}, which has signed {whom}"
        remedy = (
            "once an authority has signed nobody, also none that is away, take it out of trust.authorities "
            "of every agent"
        )
        yield Check(About.CERTIFICATES, Level.NOTE, what, remedy)


def revocation_checks(rows: Sequence[RevocationRow], missing: int) -> Iterator[Check]:
    """Who is revoked; and lists that this agent lacks, of which its peers have ``missing`` newer ones."""
    if missing:
        yield Check(
            About.REVOCATIONS,
            Level.WARNING,
            f"peers say that they have newer revocation lists than this agent, {missing} in all",
            "look at its clock, and at mesh events: it may have refused them",
        )
    if not rows:
        yield Check(About.REVOCATIONS, Level.OK, "nobody is revoked")
        return
    last = max(rows, key=lambda row: row.revoked_at)
    reason = f": {last.reason}" if last.reason else ""
    what = (
        f"{counted(len(rows), 'agent')} revoked, at last {last.agent or '?'} {last.agent_id[:8]} on "
        f"{in_words(int(last.revoked_at.timestamp()))} by the {last.signer_in_words}{reason}"
    )
    yield Check(About.REVOCATIONS, Level.NOTE, what, "mesh revocations has all of them")


def version_checks(agents: Sequence[AgentRow]) -> Iterator[Check]:
    """Which versions of the software the mesh runs."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for each in agents:
        names[each.version or "not told"].append(each.name)
    if len(names) < 2:
        yield Check(About.VERSIONS, Level.OK, f"{next(iter(names), 'none')} everywhere")
        return
    told = "; ".join(f"{version}: {_some(of)}" for version, of in sorted(names.items()))
    what = f"the mesh runs {len(names)} versions: {told}"
    yield Check(About.VERSIONS, Level.NOTE, what, "they work together; bring the older ones up when it suits")


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:MAX_TOLD]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more:,} more" if more else ", ".join(shown)


def event_checks(events: Sequence[ToldEvent], now: datetime) -> Iterator[Check]:
    """What has gone wrong a moment ago; that may be over."""
    recent = [
        each
        for each in events
        if each.level != "info" and each.kind is not EventKind.CONNECTION and now - each.time < RECENT
    ]
    for each in recent[-MAX_TOLD:]:
        what = f"{each.time.astimezone():%H:%M:%S} {each.level}: {each.message}"
        yield Check(About.EVENTS, Level.NOTE, what)
    if len(recent) > MAX_TOLD:
        more = f"and {len(recent) - MAX_TOLD:,} before these"
        yield Check(About.EVENTS, Level.NOTE, more, "mesh events has all of them")
    if not recent:
        minutes = RECENT // timedelta(minutes=1)
        yield Check(About.EVENTS, Level.OK, f"no warning and no error in the last {minutes} minutes")


def plan_checks(outcome: Outcome) -> Iterator[Check]:
    """What the file says and the agent is not: it has been changed since."""
    if outcome.added or outcome.changed or outcome.removed:
        what = "the agent is not as its file says: " + "; ".join(outcome.lines("would be "))
        yield Check(About.CONFIGURATION, Level.NOTE, what, "mesh reload has it be so")
    elif outcome.at_start:
        keys = ", ".join(outcome.at_start)
        remedy = "restart it when it suits"
        yield Check(About.CONFIGURATION, Level.NOTE, f"waits for a restart: {keys}", remedy)
