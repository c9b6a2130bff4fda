"""``mesh init``: keys, certificates and configurations for a whole mesh, all but what only its user knows."""

import re
import shlex
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.addresses import is_ipv4
from mesh.agent.cli.certificate_command import DEFAULT_VALIDITY, Validity, write_certificate
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.key_commands import PUBLIC_SUFFIX, make_authority, make_key
from mesh.agent.cli.passphrases import new_passphrase, takes_passphrase
from mesh.agent.cli.rights import Rights, parse_rights, told
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.starter_config import CERTIFICATE_FILE, CONFIG_FILE, FILL_IN, AgentPlan, starter_config
from mesh.agent.files import IDENTITY_FILE, PUBLIC_MODE, KeyUse, create_file, is_there, make_directory
from mesh.config.address_kinds import Dial
from mesh.config.kinds import Context, Scalar
from mesh.trust.identity import encode_public_key

AUTHORITY_FILE: Final = "authority.key"
_AUTHORITY_FILES: Final = (AUTHORITY_FILE, f"authority{PUBLIC_SUFFIX}")
PEER_PORT: Final = 4433
HTTP_PORT: Final = 8080

_USUAL_RELAYS: Final = ("relay", "hub")
"""Agents with these names are dialed where neither --relay nor the rights say who is."""

_AGENT_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""Fit for a directory and for a host name."""


class Relay(msgspec.Struct, frozen=True):
    """An agent that the others dial."""

    name: str
    address: str
    """Where they dial it."""
    is_guess: bool
    """Whether the user must put the real address there."""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--agents",
    required=True,
    metavar="NAME[:RIGHT]...,...",
    help="Names of the agents, and what each may: relay (carry others' traffic), register=PATTERN "
    "(offer keys), use=PATTERN (open connections to keys), manage (other agents), or all: "
    "these four, for a try-out. Beside these issue (let others in) and group=NAME.",
)
@click.option(
    "--relay",
    "relays",
    multiple=True,
    metavar="NAME[=HOST:PORT]",
    help="An agent that the others dial, and where they reach it. Repeatable. "
    "It gives no right. Default: the agents with the right relay, else the one named "
    f"{' or '.join(_USUAL_RELAYS)}, else the first.",
)
@click.option(
    "--valid-for", type=Validity(), default=DEFAULT_VALIDITY, show_default=True, help="Of the certificates."
)
@click.option(
    "--passphrase", "is_locked", is_flag=True, help="Lock the authority's key with a passphrase, asked for."
)
@takes_passphrase
@click.option(
    "--local", is_flag=True, help="To try it on one machine: loopback addresses, a port for each agent."
)
@told_plainly
def init(
    directory: Path,
    *,
    agents: str,
    relays: tuple[str, ...],
    valid_for: int,
    is_locked: bool,
    passphrase_file: Path | None,
    local: bool,
) -> None:
    """Make a whole mesh in DIRECTORY: an authority, and for each agent a directory to copy to its machine.

    \b
    mesh init my-mesh --agents 'branch:use=*,relay:relay,hq:register=postgres-*' \\
        --relay relay=relay.example.com:4433

    An agent may do what its rights say, and nothing else. Quote the list: it has stars.

    With --local all agents run on this machine, and nothing needs to be copied.

    Nothing that exists is overwritten.
    """
    rights = _agents(agents)
    names = tuple(rights)
    plans = _plans(names, _relays(rights, relays, local=local), local=local)
    for path in (directory / name for name in (*_AUTHORITY_FILES, *names)):
        if is_there(path):
            raise Failure(
                f"{path}: exists already and is not overwritten; to add an agent to a mesh, "
                "see: mesh invite --help, or by hand mesh identity new --help, mesh certificate sign --help"
            )
    locked = is_locked or passphrase_file is not None
    passphrase = new_passphrase(passphrase_file) if locked else ""
    existed = is_there(directory)
    try:
        until = _write(directory, plans, rights, valid_for, passphrase)
    except BaseException:
        _remove(directory, names, keep_directory=existed)
        raise
    say(_next_steps(directory, plans, rights, until, local=local))


def _agents(text: str) -> dict[str, Rights]:
    """The agents by name, with their rights, in the order of ``text``."""
    found: dict[str, Rights] = {}
    for part in text.split(","):
        name, given, rights = (piece.strip() for piece in part.partition(":"))
        if not _AGENT_NAME.fullmatch(name) or name.lower() in _AUTHORITY_FILES:
            raise click.BadParameter(
                f"expected names of 1 to 63 letters, digits, dots, dashes or underscores, found {name!r}",
                param_hint="--agents",
            )
        if name.lower() in {other.lower() for other in found}:
            raise click.BadParameter(
                "expected each name once, with its rights as in a:relay:use=*", param_hint="--agents"
            )
        try:
            found[name] = parse_rights(rights) if given else Rights()
        except ValueError as error:
            raise click.BadParameter(f"{name}: {error}", param_hint="--agents") from None
    return found


def _relays(rights: dict[str, Rights], texts: tuple[str, ...], *, local: bool) -> tuple[Relay, ...]:
    names = tuple(rights)
    if not texts:
        texts = _usual_relays(rights)
    relays: dict[str, Relay] = {}
    for index, text in enumerate(texts):
        name, given, address = text.partition("=")
        if name not in names or name in relays:
            expected = f"expected one of {', '.join(names)}, once, found {name!r}"
            raise click.BadParameter(expected, param_hint="--relay")
        if given:
            try:
                address = str(Dial().parse(Scalar(address, "str"), Context(Path())))
            except ValueError as error:
                raise click.BadParameter(f"{text}: {error}", param_hint="--relay") from None
            relays[name] = Relay(name, address, is_guess=False)
        elif local:
            relays[name] = Relay(name, f"127.0.0.1:{PEER_PORT + index}", is_guess=False)
        else:
            # The bare name is right where names are resolved, as among containers; elsewhere it is a hint.
            relays[name] = Relay(name, f"{name}:{PEER_PORT}", is_guess=True)
    return tuple(relays.values())


def _usual_relays(rights: dict[str, Rights]) -> tuple[str, ...]:
    """Who is dialed if nothing says so: who may relay, unless that is everybody."""
    if len(rights) == 1:
        return ()
    may_relay = [name for name in rights if rights[name].relay]
    if 0 < len(may_relay) < len(rights):
        return tuple(may_relay)
    usual = tuple(name for name in rights if name.lower() in _USUAL_RELAYS)
    return (usual or tuple(rights))[:1]


def _plans(names: tuple[str, ...], relays: tuple[Relay, ...], *, local: bool) -> tuple[AgentPlan, ...]:
    by_name = {relay.name: relay for relay in relays}
    order = [relay.name for relay in relays]
    plans = []
    for index, name in enumerate(names):
        # A relay dials those before it: one link between any two.
        dialed = relays[: order.index(name)] if name in by_name else relays
        accept = None
        if name in by_name:
            address = by_name[name].address
            accept = address if local else _accept(address)
        plans.append(
            AgentPlan(
                name=name,
                accept=accept,
                peers=tuple(relay.address for relay in dialed),
                guessed_peers=tuple(relay.address for relay in dialed if relay.is_guess),
                http=f"127.0.0.1:{HTTP_PORT + index if local else HTTP_PORT}",
            )
        )
    return tuple(plans)


def _write(
    directory: Path,
    plans: tuple[AgentPlan, ...],
    rights: dict[str, Rights],
    valid_for_s: int,
    passphrase: str,
) -> int:
    """Write everything; the Unix second at which the certificates expire."""
    make_directory(directory)
    authority = make_authority(directory / AUTHORITY_FILE, passphrase)
    until = 0
    for plan in plans:
        home = directory / plan.name
        make_directory(home)
        identity = make_key(home / IDENTITY_FILE, KeyUse.IDENTITY)
        certificate = write_certificate(
            home / CERTIFICATE_FILE,
            authority,
            identity.public_key,
            name=plan.name,
            valid_for_s=valid_for_s,
            rights=rights[plan.name],
        )
        until = certificate.not_after
        text = starter_config(plan, (encode_public_key(authority.public_key),), until)
        create_file(home / CONFIG_FILE, text, PUBLIC_MODE)
    return until


def _remove(directory: Path, names: tuple[str, ...], *, keep_directory: bool) -> None:
    """Take back a half-made mesh; that none of this was there before has been checked."""
    for name in names:
        shutil.rmtree(directory / name, ignore_errors=True)
    for file in _AUTHORITY_FILES:
        with suppress(OSError):
            (directory / file).unlink()
    if not keep_directory:
        with suppress(OSError):
            directory.rmdir()


def _to_fill_in(directory: Path, plan: AgentPlan) -> list[str]:
    """The lines that wait for the user, each with its file and number."""
    path = directory / plan.name / CONFIG_FILE
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        f"{path}:{number}: {line.partition('#')[0].strip(' -')}"
        for number, line in enumerate(lines, 1)
        if FILL_IN in line
    ]


def _accept(dialed: str) -> str:
    """Where a relay accepts links that others dial at ``dialed``: at every interface, by the same IP."""
    host, _, port = dialed.rpartition(":")
    if host.startswith("["):
        return f"[::]:{port}"
    return f"0.0.0.0:{port}" if is_ipv4(host) else f":{port}"


def _next_steps(
    directory: Path, plans: tuple[AgentPlan, ...], rights: dict[str, Rights], until: int, *, local: bool
) -> str:
    width = max(len(AUTHORITY_FILE), *(len(plan.name) + 1 for plan in plans))
    lines = [f"Made a mesh of {len(plans)} agent{'s' if len(plans) > 1 else ''} in {directory}:", ""]
    lines.append(f"  {AUTHORITY_FILE:<{width}}  signs certificates; keep it secret and offline")
    for plan in plans:
        roles = [f"accepts links on {plan.accept}"] if plan.accept else []
        roles += [f"dials {', '.join(plan.peers)}"] if plan.peers else []
        lines.append(f"  {plan.name + '/':<{width}}  {' and '.join(roles) or 'by itself'}")
    lines += ["", "Who may what:", "", *(f"  {told(name, granted)}" for name, granted in rights.items())]
    lines += _doubts(plans, rights)
    unfinished = [place for plan in plans if plan.guessed_peers for place in _to_fill_in(directory, plan)]
    steps = []
    if unfinished:
        steps.append(
            f"Where it says {FILL_IN}, put the address at which the relay can be reached:"
            + "".join(f"\n       {place}" for place in unfinished)
        )
    files = {plan.name: shlex.quote(str(directory / plan.name / CONFIG_FILE)) for plan in plans}
    steps += _start_here(files) if local else _start_elsewhere(plans)
    steps += _use(rights, files if local else {})
    if local:
        pages = "".join(f"\n       {plan.name}: http://{plan.http}/" for plan in plans)
        steps.append(f"See what is connected to what:{pages}")
    lines += ["", "Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
    lines += ["", f"The certificates are valid until {datetime.fromtimestamp(until, UTC):%Y-%m-%d}."]
    return "\n".join(lines)


def _doubts(plans: tuple[AgentPlan, ...], rights: dict[str, Rights]) -> list[str]:
    """What the rights leave a mesh without, for who left it out by mistake."""
    doubts = []
    if not any(granted.register for granted in rights.values()):
        doubts.append("Nobody may offer a key: grant it as in NAME:register=PATTERN.")
    if not any(granted.use for granted in rights.values()):
        doubts.append("Nobody may use a key: grant it as in NAME:use=PATTERN.")
    dialed = [plan.name for plan in plans if plan.accept]
    if len(plans) > len(dialed) + 1 and not any(rights[name].relay for name in dialed):
        doubts.append(
            "None that the others dial may carry traffic, so they reach only those that they have a link to: "
            f"grant it as in {dialed[0]}:relay."
        )
    return ["", *(f"  {doubt}" for doubt in doubts)] if doubts else []


def _start_here(files: dict[str, str]) -> list[str]:
    starts = "".join(f"\n       mesh agent {file}" for file in files.values())
    return [f"Start each agent in a terminal of its own:{starts}"]


def _start_elsewhere(plans: tuple[AgentPlan, ...]) -> list[str]:
    ports = [f"{plan.accept.rpartition(':')[2]} of {plan.name}" for plan in plans if plan.accept]
    opened = (
        f"Let the other machines reach TCP port {', '.join(ports)}: in its firewall, or its security group"
    )
    start = f"Copy each agent's directory to its machine and start it there: mesh agent {CONFIG_FILE}"
    return [opened, start] if ports else [start]


def _use(rights: dict[str, Rights], files: dict[str, str]) -> list[str]:
    """A service, without an editor and with one; ``files`` are those of agents on this machine."""
    names = tuple(rights)
    near = next((name for name in names if rights[name].register), names[-1])
    far = next((name for name in names if rights[name].use and name != near), names[0])
    pattern = next(iter(rights[near].register), "*")
    key = shlex.quote("my-api" if pattern == "*" else pattern.replace("*", "main").replace("?", "1"))

    def at(name: str, command: str) -> str:
        place = f"--config {files[name]}" if files else f"  # at {name}"
        return f"\n       mesh {command} {place}"

    offered = at(near, f"expose {key} localhost:PORT --save")
    wanted = at(far, f"listen {key} 127.0.0.1:PORT --save")
    editing = f"Or write both under forward: in {CONFIG_FILE}, and let mesh check read it."
    return [
        f"Offer a service, and open a local port for it elsewhere:{offered}{wanted}\n     {editing}",
        f"See how it goes:{at(far, 'status')}{at(far, 'test')}",
    ]
