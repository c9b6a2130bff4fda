"""``mesh connect``: standard input and output as a connection to a key. It imports little: each ssh waits."""

import os
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

from mesh.addresses import MAX_UNIX_PATH_BYTES
from mesh.agent.argument_text import not_text
from mesh.agent.finding import control_socket
from mesh.agent.pumping import CutError, Witness, pump
from mesh.agent.standard_descriptors import complete_standard_streams
from mesh.errors import MeshError
from mesh.escaping import escaped
from mesh.socks.client import ANSWER_BYTES, MEANINGS, REPLY_BYTES, WITNESSED_GREETING, code_of, request
from mesh.socks.names import ANY_AGENT, host_of
from mesh.socks.numbers import Reply
from mesh.socks.place import NAME

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_RUNNING: Final = 3
EXIT_NOT_PERMITTED: Final = 4


def _keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from mesh.agent.cli.completing import offered_keys  # noqa: PLC0415 -- only for a shell that completes

    return offered_keys(context, parameter, incomplete)


def _named(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """The agent that is meant; one without a name, as of a variable that is not set, is not just any."""
    del context, parameter
    if value == "":
        raise click.UsageError("--agent is empty: name an agent, or leave it out for the nearest")
    return value or ANY_AGENT


@click.command()
@click.argument("key", shell_complete=_keys)
@click.option(
    "--agent", callback=_named, help="The agent whose offer is meant, by name or ID; else the nearest."
)
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The agent's configuration file.")
@click.option("--socket", "place", type=click.Path(path_type=Path), help="The agent's control socket.")
def connect(key: str, agent: str, config: Path | None, place: Path | None) -> None:
    """Carry standard input and output to the service KEY, or KEY.AGENT, until both ends have finished.

    It exits with 0 when the connection has ended in order, 1 if there was none or it was cut off, 3 if no
    agent runs here, and 4 if it is not permitted.

    \b
    ssh -o ProxyCommand='mesh connect ssh-hq' hq
    mesh connect backup --agent hq < request > answer
    """
    complete_standard_streams()
    try:
        data_dir = control_socket(config, place).parent
        wanted = request(host_of(key, agent))
    except UnicodeEncodeError:
        _end(not_text((key, agent)), EXIT_USAGE)
    except (MeshError, ValueError) as error:
        _end(str(error), EXIT_USAGE)
    connected = _connected(data_dir / NAME)
    code, witness = _ask(connected, wanted)
    if code is not Reply.SUCCEEDED:
        why = MEANINGS.get(code, f"the agent answers with code {code}")
        status = EXIT_NOT_PERMITTED if code is Reply.NOT_ALLOWED else EXIT_FAILED
        _end(f"{escaped(key)}: {why}", status)
    try:
        pump(connected, witness)
    except CutError as cut:
        _end(f"{escaped(key)}: {cut}", EXIT_FAILED)
    except KeyboardInterrupt:
        os._exit(EXIT_FAILED)
    os._exit(0)  # a thread may wait for a terminal, and nothing is left to be written


def _connected(path: Path) -> socket.socket:
    length = len(os.fsencode(path))
    if length > MAX_UNIX_PATH_BYTES:
        _end(
            f"{path}: a unix socket's path has at most {MAX_UNIX_PATH_BYTES} bytes, and this one {length}: "
            "give the agent a shorter agent.data_dir",
            EXIT_USAGE,
        )
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(str(path))
    except OSError as error:
        _end(f"no agent answers at {path}: {(error.strerror or str(error)).lower()}", EXIT_NOT_RUNNING)
    return connected


def _ask(connected: socket.socket, wanted: bytes) -> tuple[Reply, Witness]:
    """Ask at once for all, so that one round trip does: the answers come one after the other."""
    try:
        connected.sendall(WITNESSED_GREETING + wanted)
        answers, pipes = _exactly(connected, ANSWER_BYTES + REPLY_BYTES)
        return code_of(answers[ANSWER_BYTES:]), Witness(*pipes)
    except (OSError, ValueError) as error:
        _end(f"the agent does not answer: {error}", EXIT_FAILED)


def _exactly(connected: socket.socket, byte_count: int) -> tuple[bytes, list[int]]:
    """So many bytes, and the descriptors that have come with them."""
    received, descriptors = b"", list[int]()
    while len(received) < byte_count:
        data, came, _, _ = socket.recv_fds(connected, byte_count - len(received), 1)
        if not data:
            raise ValueError("it has closed the socket")
        received += data
        descriptors += came
    return received, descriptors


def _end(text: str, status: int) -> NoReturn:
    click.echo(f"mesh connect: {text}", err=True)
    sys.stderr.flush()
    os._exit(status)
