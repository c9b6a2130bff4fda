"""``mesh join``: on a new machine, become an agent of a mesh by the token of ``mesh invite``."""

import logging
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.init_command import HTTP_PORT
from mesh.agent.cli.rights import Rights, told
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.starter_config import CERTIFICATE_FILE, CONFIG_FILE, AgentPlan, starter_config
from mesh.agent.control.invitation_routes import Name
from mesh.agent.files import (
    IDENTITY_FILE,
    PUBLIC_MODE,
    KeyUse,
    create_file,
    is_there,
    make_directory,
    write_key,
)
from mesh.escaping import escaped
from mesh.remote.join_token import token_from_text
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import Certificate, read_certificate
from mesh.trust.identity import SEED_BYTES, Identity, display_id, encode_public_key

MAX_STDIN_CHARACTERS: Final = 65_536
HTTP_PORTS_TRIED: Final = 20
STDIN: Final = "-"


@click.command()
@click.argument("token")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="Where to write; default: the agent's name."
)
@click.option("--start", is_flag=True, help="Start the agent when it has joined.")
@told_plainly
def join(token: str, directory: Path | None, *, start: bool) -> None:
    """Join a mesh by the TOKEN that mesh invite has printed at one of its issuers; - reads standard input.

    It makes the agent's key, which never leaves this machine, fetches its certificate, and writes both with
    a configuration into a directory that is not there yet, or is empty.

    \b
    mesh join TOKEN --start
    mesh join - --dir /etc/mesh < token.txt
    """
    from mesh.agent.enrolment.joining import NotJoinedError, enrolled, judged  # noqa: PLC0415 -- event loops, for this alone

    text = sys.stdin.read(MAX_STDIN_CHARACTERS) if token == STDIN else token
    try:
        invitation = judged(token_from_text(text), time.time())
    except (ValueError, NotJoinedError) as error:
        raise Failure(str(error)) from None
    name = _required_name(invitation.certificate.name)
    home = Path(name) if directory is None else directory
    _require_empty(home)
    existed = is_there(home)
    try:
        seed = secrets.token_bytes(SEED_BYTES)
        make_directory(home)
        write_key(home / IDENTITY_FILE, KeyUse.IDENTITY, seed)
        with _unlogged():
            wire = enrolled(invitation, Identity(seed))
        certificate = read_certificate(wire)
        create_file(home / CERTIFICATE_FILE, certificate_to_text(wire), PUBLIC_MODE)
        plan = AgentPlan(
            name=name,
            accept=None,
            peers=invitation.token.addresses,
            guessed_peers=(),
            http=f"127.0.0.1:{_http_port()}",
        )
        authorities = tuple(map(encode_public_key, invitation.token.authorities))
        create_file(home / CONFIG_FILE, starter_config(plan, authorities, certificate.not_after), PUBLIC_MODE)
    except BaseException as error:
        _take_back(home, keep_directory=existed)
        if isinstance(error, NotJoinedError):
            raise Failure(str(error)) from None
        raise
    say(_joined(home, certificate, start=start))
    if start:
        sys.stdout.flush()
        os.execv(sys.executable, (sys.executable, "-m", "mesh.agent", str(home / CONFIG_FILE)))  # noqa: S606


@contextmanager
def _unlogged() -> Iterator[None]:
    """Nothing is logged: what matters of it is in the error."""
    logger, handler = logging.getLogger("mesh"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _required_name(name: str) -> str:
    """``name``, which whoever made the token has chosen, if it is fit for a directory here and for YAML."""
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise Failure(
            f"the token is of no use: it is for an agent {escaped(name)!r}, which mesh invite never makes"
        ) from None


def _require_empty(home: Path) -> None:
    if not is_there(home):
        return
    if not home.is_dir():
        raise Failure(f"{home}: is no directory; name another with --dir")
    try:
        found = next(home.iterdir(), None)
    except OSError as error:
        raise Failure(f"{home}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    if found is not None:
        raise Failure(f"{home}: the directory is not empty; name another with --dir")


def _take_back(home: Path, *, keep_directory: bool) -> None:
    """Leave nothing of an agent that has not joined; that none of this was there has been checked."""
    for name in (IDENTITY_FILE, CERTIFICATE_FILE, CONFIG_FILE):
        with suppress(OSError):
            (home / name).unlink()
    if not keep_directory:
        with suppress(OSError):
            home.rmdir()


def _http_port() -> int:
    """The usual port, or the next one that nobody has on this machine."""
    for port in range(HTTP_PORT, HTTP_PORT + HTTP_PORTS_TRIED):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                tried.bind(("127.0.0.1", port))
                return port
    return HTTP_PORT


def _joined(home: Path, certificate: Certificate, *, start: bool) -> str:
    """What has been made, and what to do next."""
    rights = Rights(
        certificate.may_register,
        certificate.may_use,
        certificate.may_relay,
        certificate.may_manage,
        certificate.groups,
    )
    until = f"{datetime.fromtimestamp(certificate.not_after, UTC):%Y-%m-%d %H:%M UTC}"
    lines = [
        f"Joined as {certificate.name}, agent {display_id(certificate.agent_id)}, in {home.resolve()}.",
        told(certificate.name, rights),
        f"Its certificate is valid until {until}.",
    ]
    config = shlex.quote(str(home / CONFIG_FILE))
    lines += [] if start else ["", f"Start it: mesh agent {config}"]
    return "\n".join(lines)
