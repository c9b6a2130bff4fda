"""``mesh authority`` and ``mesh identity``: making keys, and showing their public half."""

import secrets
from pathlib import Path
from typing import Final

import click

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.passphrases import new_passphrase, read_authority, takes_passphrase
from mesh.agent.cli.standard_streams import say
from mesh.agent.files import PUBLIC_MODE, KeyMode, KeyUse, create_file, is_there, read_key, write_key
from mesh.trust.identity import SEED_BYTES, Identity, display_id, encode_public_key

PUBLIC_SUFFIX: Final = ".pub"

_FILE = click.Path(path_type=Path)


@click.group()
def authority() -> None:
    """The key that signs certificates: keep it secret and offline."""


@authority.command("new")
@click.argument("file", type=_FILE)
@click.option(
    "--passphrase", "is_locked", is_flag=True, help="Lock it with a passphrase, which is asked for."
)
@takes_passphrase
@told_plainly
def new_authority(file: Path, *, is_locked: bool, passphrase_file: Path | None) -> None:
    """Make an authority's key in FILE, and its public key beside it with the suffix .pub.

    \b
    mesh authority new authority.key --passphrase
    """
    public_file = _public_file(file)
    if is_there(public_file):
        raise Failure(f"{public_file}: exists already and is not overwritten")
    locked = is_locked or passphrase_file is not None
    made = make_authority(file, new_passphrase(passphrase_file) if locked else "")
    say(
        f"{file}: the authority's key; keep it secret and offline\n"
        f"{public_file}: its public key, for trust.authorities:\n"
        f"{encode_public_key(made.public_key)}"
    )


@authority.command("show")
@click.argument("file", type=_FILE)
@takes_passphrase
@told_plainly
def show_authority(file: Path, *, passphrase_file: Path | None) -> None:
    """Print the public key of the authority's key in FILE, for trust.authorities.

    \b
    mesh authority show authority.key
    """
    say(encode_public_key(read_authority(file, passphrase_file).public_key))


@click.group()
def identity() -> None:
    """The key that an agent is; it never leaves its machine."""


@identity.command("new")
@click.argument("file", type=_FILE)
@told_plainly
def new_identity(file: Path) -> None:
    """Make an agent's key in FILE, which is to become identity.key in its agent.data_dir.

    An agent makes this key itself on first start; make it beforehand to sign its certificate beforehand.

    \b
    mesh identity new identity.key
    """
    _show(make_key(file, KeyUse.IDENTITY))


@identity.command("show")
@click.argument("file", type=_FILE)
@click.option(
    "--key-mode",
    type=click.Choice([mode.value for mode in KeyMode]),
    default=KeyMode.OWNER.value,
    show_default=True,
    help="Who may read the file: agent.key_mode of its agent.",
)
@told_plainly
def show_identity(file: Path, key_mode: str) -> None:
    """Print the public key and the ID of the agent's key in FILE.

    \b
    mesh identity show identity.key
    """
    _show(read_key(file, KeyUse.IDENTITY, KeyMode(key_mode)))


def make_authority(file: Path, passphrase: str = "") -> Identity:
    """Write a new authority's key to ``file`` and its public key beside it.

    Args:
        file: where.
        passphrase: locks it; empty does not.

    Raises:
        AgentFileError: one of the files exists already, or cannot be written; then there is neither.
        Failure: the file has a name that its public key gets.
    """
    public_file = _public_file(file)
    made = make_key(file, KeyUse.AUTHORITY, passphrase)
    try:
        create_file(public_file, f"{encode_public_key(made.public_key)}\n", PUBLIC_MODE)
    except BaseException:
        file.unlink()  # made a moment ago; with one of the two, a second attempt would be refused
        raise
    return made


def make_key(file: Path, use: KeyUse, passphrase: str = "") -> Identity:
    """Write a new random key to ``file``.

    Raises:
        AgentFileError: the file exists already, or cannot be written.
    """
    seed = secrets.token_bytes(SEED_BYTES)
    write_key(file, use, seed, passphrase=passphrase)
    return Identity(seed)


def _public_file(file: Path) -> Path:
    if not file.name or file.suffix == PUBLIC_SUFFIX:
        raise Failure(f"{file}: expected the name of a file that does not end in {PUBLIC_SUFFIX}")
    return file.with_suffix(PUBLIC_SUFFIX)


def _show(shown: Identity) -> None:
    say(f"public key: {encode_public_key(shown.public_key)}\nagent ID:   {display_id(shown.id)}")
