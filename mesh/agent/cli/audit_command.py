"""``mesh audit``: who changed what, as an agent has written it down, and whether that is whole."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.agent.audit.chain import Head
from mesh.agent.audit.entries import Entry
from mesh.agent.audit.reading import TrailReader
from mesh.agent.audit.trail_files import CHANGES, CONNECTIONS, DIRECTORY, TRAILS
from mesh.agent.audit.verifying import NO_HEAD, Checked, checked
from mesh.agent.cli.asking import EXIT_FAILED
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.following import rounds, until_interrupted
from mesh.agent.cli.standard_streams import say
from mesh.agent.finding import control_socket
from mesh.auditing import AuditKind
from mesh.escaping import escaped

EVERY_S: Final = 1.0

_NOTED: Final = re.compile(
    rf"(?P<trail>{'|'.join(TRAILS)}):(?P<number>[0-9]{{1,15}}):(?P<hash>[0-9a-f]{{64}})"
)


@click.group()
def audit() -> None:
    """Who had an agent change what, and who was connected to what, as it has written it down."""


def _finds_files(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--dir", "directory", type=click.Path(path_type=Path), help="The files, such as a copy."
        ),
        click.option("--socket", type=click.Path(path_type=Path), help="The agent's control socket."),
        click.option(
            "--config", "-c", type=click.Path(path_type=Path), help="The agent's configuration file."
        ),
    ):
        command = option(command)
    return command


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
@_finds_files
@told_plainly
def list_entries(
    *,
    follow: bool,
    last: int,
    connections: bool,
    kinds: tuple[str, ...],
    as_json: bool,
    config: Path | None,
    socket: Path | None,
    directory: Path | None,
) -> None:
    """Show the last entries, the newest last. The agent need not run.

    \b
    mesh audit list --follow
    mesh audit list --kind configuration --json
    mesh audit list --connections
    """
    place = _directory(config, socket, directory)
    reader = TrailReader(place, CONNECTIONS if connections else CHANGES)
    with until_interrupted(), _told(place):
        _show(reader.last(last), kinds, as_json=as_json)
        for _ in rounds(EVERY_S, again=follow):
            _show(reader.further(), kinds, as_json=as_json)


@audit.command("verify")
@click.option(
    "--head",
    "noted",
    metavar="TRAIL:NUMBER:HASH",
    multiple=True,
    help="A head that was noted, which must be part of it; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_finds_files
@told_plainly
def verify(
    *,
    noted: tuple[str, ...],
    as_json: bool,
    config: Path | None,
    socket: Path | None,
    directory: Path | None,
) -> None:
    """See whether the entries are whole: none changed, none missing in between. Also of a copy (--dir).

    The chain alone does not show that its end was cut off, that the oldest files are gone, or that all of it
    was made anew by somebody who could write the files. A head that was noted elsewhere does: the agent has
    it in its log once an hour and when it ends, and mesh status --json has it.

    \b
    mesh audit verify
    mesh audit verify --dir copy/ --head changes:1042:9f86d081...
    """
    found = _verified(_directory(config, socket, directory), _heads(noted))
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        say("\n".join(map(_verdict, found)))
    if any(each.problem for each in found):
        raise SystemExit(EXIT_FAILED)


def _verified(directory: Path, heads: dict[str, Head]) -> list[Checked]:
    with _told(directory):
        found = [checked(directory, trail, heads.get(trail, NO_HEAD)) for trail in TRAILS]
    if not any(each.files for each in found) and not heads:
        raise Failure(f"{directory}: there is no audit log here")
    return found


def _verdict(found: Checked) -> str:
    if found.problem:
        return f"{found.trail}: BROKEN: {found.problem}"
    if not found.entries:
        return f"{found.trail}: nothing has been written down"
    files = f"{found.files} {'file' if found.files == 1 else 'files'}"
    return (
        f"{found.trail}: whole: entries {found.first} to {found.head.number} in {files}, "
        f"since {escaped(found.since)}; head {found.trail}:{found.head}"
    )


def _heads(noted: tuple[str, ...]) -> dict[str, Head]:
    found = {}
    for text in noted:
        match = _NOTED.fullmatch(text)
        if match is None:
            raise Failure(
                f"--head: expected TRAIL:NUMBER:HASH, the trail one of {', '.join(TRAILS)} and the hash "
                f"64 hexadecimal digits, found {text!r}"
            )
        found[match["trail"]] = Head(int(match["number"]), match["hash"])
    return found


def _directory(config: Path | None, socket: Path | None, directory: Path | None) -> Path:
    """Where the files are."""
    return control_socket(config, socket).parent / DIRECTORY if directory is None else directory


def _show(entries: Iterable[Entry], kinds: tuple[str, ...], *, as_json: bool) -> None:
    for entry in entries:
        if kinds and entry.kind not in kinds:
            continue
        say(entry.json().decode() if as_json else entry.line())


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or directory
        raise Failure(f"{place}: cannot be read: {(error.strerror or str(error)).lower()}") from None
