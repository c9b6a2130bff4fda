"""``mesh audit``: who changed what, as an agent has written it down, and whether that is whole."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlencode

import click
import msgspec

from mesh.agent.audit.entries import Entry
from mesh.agent.audit.reading import END, MAX_PAGE_ENTRIES, cursor_of, newer, older
from mesh.agent.audit.trail_files import CHANGES, CONNECTIONS, DIRECTORY, TRAILS
from mesh.agent.audit.verifying import NO_HEAD, Checked, checked, noted_heads
from mesh.agent.cli import completing
from mesh.agent.cli.asking import ALL, EXIT_FAILED, Agent, agent_meant, asking_agent
from mesh.agent.cli.everywhere import ask_all
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.following import rounds, until_interrupted
from mesh.agent.cli.standard_streams import json_text, say
from mesh.agent.control.audit_routes import AuditEntries, shown
from mesh.agent.control.client import AgentClient
from mesh.agent.control.requests import AUDIT, AUDIT_CHECKS
from mesh.agent.finding import control_socket
from mesh.auditing import AuditKind
from mesh.escaping import escaped

EVERY_S: Final = 1.0

ANSWER_S: Final = 60.0
"""Of another agent: it may have much to check."""


@click.group()
def audit() -> None:
    """Who had an agent change what, and who was connected to what, as it has written it down."""


class _Trails(Protocol):
    """The audit log of an agent, here or elsewhere."""

    def older(self, trail: str, before: str | None, count: int) -> AuditEntries:
        """The last entries before a place, or of all."""
        ...

    def newer(self, trail: str, after: str, count: int) -> AuditEntries:
        """The first entries after a place."""
        ...

    def checked(self, noted: Sequence[str]) -> Sequence[Checked]:
        """What the trails turn out to be.

        Raises:
            Failure: there are none, or a head is none.
        """
        ...


class _Here:
    """Implements :class:`_Trails` by files on this machine; their agent need not run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def older(self, trail: str, before: str | None, count: int) -> AuditEntries:
        """The last entries before a place, or of all."""
        with self._told():
            return shown(older(self._directory, trail, cursor_of(before) if before else END, count))

    def newer(self, trail: str, after: str, count: int) -> AuditEntries:
        """The first entries after a place."""
        with self._told():
            return shown(newer(self._directory, trail, cursor_of(after), count))

    def checked(self, noted: Sequence[str]) -> Sequence[Checked]:
        """What the trails turn out to be."""
        try:
            heads = noted_heads(noted)
        except ValueError as error:
            raise Failure(f"--head: {error}") from None
        with self._told():
            found = [checked(self._directory, trail, heads.get(trail, NO_HEAD)) for trail in TRAILS]
        if not any(each.files for each in found) and not heads:
            raise Failure(f"{self._directory}: there is no audit log here")
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or self._directory
            raise Failure(f"{place}: cannot be read: {(error.strerror or str(error)).lower()}") from None


class _There:
    """Implements :class:`_Trails` by asking another agent, which says it of its own."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    def older(self, trail: str, before: str | None, count: int) -> AuditEntries:
        """The last entries before a place, or of all."""
        return self._page(trail, count, {} if before is None else {"before": before})

    def newer(self, trail: str, after: str, count: int) -> AuditEntries:
        """The first entries after a place."""
        return self._page(trail, count, {"after": after})

    def checked(self, noted: Sequence[str]) -> Sequence[Checked]:
        """What the trails turn out to be."""
        query = urlencode([("head", each) for each in noted])
        return self._client.get(f"{AUDIT_CHECKS}?{query}" if query else AUDIT_CHECKS, tuple[Checked, ...])

    def _page(self, trail: str, count: int, place: dict[str, str]) -> AuditEntries:
        query = urlencode({"trail": trail, "limit": min(count, MAX_PAGE_ENTRIES), **place})
        return self._client.get(f"{AUDIT}?{query}", AuditEntries)


def _finds_trails(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find an audit log; its first arguments are that, and what prints."""

    @click.option(
        "--at",
        metavar="AGENT",
        shell_complete=completing.agents,
        help=f"Of another agent of the mesh, by its name or ID, or {ALL}.",
    )
    @click.option("--dir", "directory", type=click.Path(path_type=Path), help="The files, such as a copy.")
    @click.option("--socket", type=click.Path(path_type=Path), help="The agent's control socket.")
    @click.option("--config", "-c", type=click.Path(path_type=Path), help="The agent's configuration file.")
    @functools.wraps(command)
    @told_plainly
    def wrapper(
        *,
        at: str | None,
        directory: Path | None,
        socket: Path | None,
        config: Path | None,
        **arguments: object,
    ) -> None:
        at = agent_meant(at, asks_all=True)
        if at is None:
            place = control_socket(config, socket).parent / DIRECTORY if directory is None else directory
            command(_Here(place), say, **arguments)
            return
        if directory is not None:
            raise click.UsageError("--dir is of files on this machine, and --at of another agent: name one")
        with asking_agent():
            client = AgentClient(control_socket(config, socket), ANSWER_S, at=None if at == ALL else at)
            if at != ALL:
                command(_There(client), say, **arguments)
                return
            if arguments.get("follow"):
                raise click.UsageError("--follow is of one agent: name it")
            sys.exit(ask_all(client, lambda each: _gather(each, command, arguments), as_json=False))

    return wrapper


def _gather(agent: Agent, command: Callable[..., None], arguments: Mapping[str, object]) -> None:
    """Have one of many agents tell what the command prints."""
    lines: list[str] = []
    try:
        command(_There(agent.client), lines.append, **arguments)
    finally:
        agent.tell(lines, lambda: "\n".join(lines))


@audit.command("list")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes from now on, until Ctrl-C.")
@click.option("--last", type=click.IntRange(0), default=50, help="How many (50).")
@click.option("--connections", is_flag=True, help="Those that have ended, instead of changes.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in AuditKind]),
    help="Of this kind only, of the last ones; may be repeated.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print each entry as a JSON object on a line of its own."
)
@_finds_trails
def list_entries(
    trails: _Trails,
    say: Callable[[str], None],
    *,
    follow: bool,
    last: int,
    connections: bool,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the last entries, the newest last. The agent need not run, unless it is another one (--at).

    \b
    mesh audit list --follow
    mesh audit list --kind configuration --json
    mesh audit list --connections
    mesh --at all audit list --connections
    """
    trail = CONNECTIONS if connections else CHANGES
    with until_interrupted():
        found, after = _last(trails, trail, last)
        _show(found, kinds, say, as_json=as_json)
        for _ in rounds(EVERY_S, again=True) if follow else ():
            while (page := trails.newer(trail, after, MAX_PAGE_ENTRIES)).after != after:
                _show(page.entries, kinds, say, as_json=as_json)
                after = page.after


@audit.command("verify")
@click.option(
    "--head",
    "noted",
    metavar="TRAIL:NUMBER:HASH",
    multiple=True,
    help="A head that was noted, which must be part of it; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_finds_trails
def verify(trails: _Trails, say: Callable[[str], None], *, noted: tuple[str, ...], as_json: bool) -> None:
    """See whether the entries are whole: none changed, none missing in between. Also of a copy (--dir).

    The chain alone does not show that its end was cut off, that the oldest files are gone, or that all of it
    was made anew by somebody who could write the files. A head that was noted elsewhere does: the agent has
    it in its log once an hour and when it ends, and mesh status --json has it.

    \b
    mesh audit verify
    mesh audit verify --dir copy/ --head changes:1042:9f86d081...
    mesh --at hq audit verify
    """
    found = trails.checked(noted)
    if as_json:
        say(json_text(msgspec.json.format(msgspec.json.encode(found), indent=2)))
    else:
        say("\n".join(map(_verdict, found)))
    if any(each.problem for each in found):
        raise SystemExit(EXIT_FAILED)


def _last(trails: _Trails, trail: str, count: int) -> tuple[list[Entry], str]:
    """The last entries, the oldest first, and where those begin that are newer."""
    page = trails.older(trail, None, count)
    found, after = list(page.entries), page.after
    while len(found) < count and page.before is not None and page.entries:  # an empty one is the last
        page = trails.older(trail, page.before, count - len(found))
        found[:0] = page.entries
    return found, after


def _verdict(found: Checked) -> str:
    """For people; another agent may have chosen all of it."""
    if found.problem:
        return escaped(f"{found.trail}: BROKEN: {found.problem}")
    if not found.entries:
        return escaped(f"{found.trail}: nothing has been written down")
    files = f"{found.files} {'file' if found.files == 1 else 'files'}"
    return escaped(
        f"{found.trail}: whole: entries {found.first} to {found.head.number} in {files}, "
        f"since {found.since}; head {found.trail}:{found.head}"
    )


def _show(
    entries: Iterable[Entry], kinds: tuple[str, ...], say: Callable[[str], None], *, as_json: bool
) -> None:
    for entry in entries:
        if kinds and entry.kind not in kinds:
            continue
        say(json_text(entry.json()) if as_json else entry.line())
