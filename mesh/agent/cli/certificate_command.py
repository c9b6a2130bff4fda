"""``mesh certificate``: signing one, and showing what one says."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.passphrases import read_authority, takes_passphrase
from mesh.agent.cli.right_options import takes_rights
from mesh.agent.cli.rights import (
    DAY_S,
    ISSUED_S,
    Rights,
    parse_limits,
    told,
    told_limits,
)
from mesh.agent.cli.standard_streams import say
from mesh.agent.files import PUBLIC_MODE, KeyUse, create_file, read_certificate_file, read_key
from mesh.config.kinds import Context, Duration, Scalar
from mesh.errors import TrustError
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import (
    Certificate,
    TrustStore,
    issue_certificate,
    issuer_of,
    read_certificate,
)
from mesh.trust.extensions import Extension
from mesh.trust.identity import Identity, decode_public_key, display_id, encode_public_key
from mesh.trust.issuing import IssuingLimits

DEFAULT_VALIDITY: Final = "825d"
"""Two years and a quarter, the longest that Apple's systems accept. A lost key should not be good for ever,
and a mesh should not fall apart because a yearly chore was missed."""

EXIT_NOT_VALID: Final = 1
"""Of ``show``, for scripts that ask before a certificate is put in its place."""

_FILE = click.Path(path_type=Path)


class Validity(click.ParamType[int]):
    """A duration in whole seconds, written as in the configuration: ``90d``, ``36h``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds."""
        if isinstance(value, int):
            return value
        kind = Duration(60.0, 36_500 * 86400.0)
        try:
            return int(kind.parse(Scalar(str(value), "str"), Context(Path())))
        except ValueError as error:
            self.fail(f"expected {error}", param, ctx)


class PublicKeyText(click.ParamType[bytes]):
    """A public key in base64."""

    name = "public key"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The 32 bytes."""
        if isinstance(value, bytes):
            return value
        try:
            return decode_public_key(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def certificate() -> None:
    """What an authority says of an agent; without one, an agent gets no link."""


@certificate.command("sign")
@click.option("--authority", "authority_file", type=_FILE, required=True, help="The authority's key file.")
@click.option("--name", required=True, help="Display name of the agent, 1 to 64 characters.")
@click.option("--public-key", type=PublicKeyText(), help="The agent's public key.")
@click.option("--identity", "identity_file", type=_FILE, help="Or the agent's key file, where it is at hand.")
@click.option("--out", type=_FILE, required=True, help="Where to write the certificate.")
@click.option(
    "--valid-for", type=Validity(), default=DEFAULT_VALIDITY, show_default=True, help="From now on."
)
@takes_rights
@click.option("--all", "everything", is_flag=True, help="All four rights above, for a try-out.")
@click.option(
    "--issue",
    "issued",
    multiple=True,
    metavar="RIGHT",
    help="Make it an issuer, which lets others in and may grant them this right: relay, manage, "
    "register=PATTERN, use=PATTERN, group=PATTERN or all. Repeatable.",
)
@click.option(
    "--issue-for",
    type=Validity(),
    default=f"{ISSUED_S // DAY_S}d",
    show_default=True,
    help="For how long at a time an issuer may let others in.",
)
@takes_passphrase
@told_plainly
def sign(
    *,
    authority_file: Path,
    name: str,
    public_key: bytes | None,
    identity_file: Path | None,
    out: Path,
    valid_for: int,
    register: tuple[str, ...],
    use: tuple[str, ...],
    relay: bool,
    manage: bool,
    everything: bool,
    groups: tuple[str, ...],
    issued: tuple[str, ...],
    issue_for: int,
    passphrase_file: Path | None,
) -> None:
    """Sign a certificate for an agent. What is not granted here is denied.

    \b
    mesh certificate sign --authority authority.key --name hq --public-key KEY \\
        --register 'postgres-*' --relay --out agent.cert
    """
    if (public_key is None) == (identity_file is None):
        raise click.UsageError("expected either --public-key or --identity")
    if identity_file is not None:
        public_key = read_key(identity_file, KeyUse.IDENTITY).public_key
    rights = Rights.everything() if everything else Rights(register, use, relay, manage)
    rights = msgspec.structs.replace(rights, groups=groups, issue=_limits(issued, issue_for))
    signed = write_certificate(
        out,
        read_authority(authority_file, passphrase_file),
        public_key or b"",
        name=name,
        valid_for_s=valid_for,
        rights=rights,
    )
    say(_signed(out, signed, rights))


@certificate.command("renew")
@click.argument("file", type=_FILE)
@click.option("--authority", "authority_file", type=_FILE, required=True, help="The authority's key file.")
@click.option(
    "--signed-by", "signer", type=PublicKeyText(), help="Authority of FILE. Default: that of --authority."
)
@click.option("--out", type=_FILE, required=True, help="Where to write the certificate.")
@click.option("--valid-for", type=Validity(), help="From now on. Default: as long as that in FILE in all.")
@click.option("--no-issue", is_flag=True, help="Do not make it an issuer again, if it is one.")
@takes_passphrase
@told_plainly
def renew(
    *,
    file: Path,
    authority_file: Path,
    signer: bytes | None,
    out: Path,
    valid_for: int | None,
    no_issue: bool,
    passphrase_file: Path | None,
) -> None:
    """Sign anew what the certificate in FILE says: for the same key, with the same name and rights.

    The authority may be another one; that which FILE is of is named with --signed-by then, by its public key
    as it stands in trust.authorities: whoever could bring a FILE of his own would have rights of his choice.

    \b
    mesh certificate renew hq.cert --authority authority.key --out hq-2.cert
    mesh certificate renew hq.cert --authority authority2.key --signed-by KEY --out hq-2.cert
    """
    wire = read_certificate_file(file)
    held = read_certificate(wire)
    if held.is_invitation or held.extensions:
        what = "is an invitation" if held.is_invitation else "says what this version of mesh does not know"
        raise Failure(f"{file}: {what}: it cannot be signed anew")
    authority = read_authority(authority_file, passphrase_file)
    _require_signed(file, wire, authority.public_key if signer is None else signer)
    rights = Rights(
        held.may_register,
        held.may_use,
        relay=held.may_relay,
        manage=held.may_manage,
        groups=held.groups,
        issue=None if no_issue else held.may_issue,
    )
    signed = write_certificate(
        out,
        authority,
        held.subject,
        name=held.name,
        valid_for_s=held.not_after - held.not_before if valid_for is None else valid_for,
        rights=rights,
    )
    say(_signed(out, signed, rights))


def _require_signed(file: Path, wire: bytes, authority: bytes) -> None:
    """See that what a certificate says is what this authority, or an issuer of it, has granted.

    Raises:
        Failure: it is not.
    """
    found = read_certificate(wire).authority
    if found != authority:
        raise Failure(
            f"{file}: is of the authority {encode_public_key(found)}, and not of "
            f"{encode_public_key(authority)}; if your agents trust that one (trust.authorities), name it "
            "with --signed-by"
        )
    try:
        TrustStore([authority]).known(wire)
    except TrustError as error:
        raise Failure(f"{file}: {error}") from None


def _signed(out: Path, signed: Certificate, rights: Rights) -> str:
    until = _time(signed.not_after)
    return (
        f"{out}: for {signed.name}, agent {display_id(signed.agent_id)}, until {until}\n"
        f"{told(signed.name, rights)}"
    )


def _limits(issued: tuple[str, ...], longest_s: int) -> IssuingLimits | None:
    if not issued:
        return None
    try:
        return parse_limits(issued, longest_s)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--issue") from None


@certificate.command("show")
@click.argument("file", type=_FILE)
@click.option("--authority", "authorities", type=PublicKeyText(), multiple=True, help="Judge by this key.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@told_plainly
def show(file: Path, authorities: tuple[bytes, ...], *, as_json: bool) -> None:
    """Show what the certificate in FILE says, and whether it is valid now.

    Without --authority it is judged by the authority that it names itself. The exit status is 0 if it is
    valid, 1 if it is not, and 2 if FILE has no certificate.

    \b
    mesh certificate show agent.cert
    """
    wire = read_certificate_file(file)
    shown = read_certificate(wire)
    now = time.time()
    verdict, status = "valid", 0
    try:
        TrustStore(authorities or (shown.authority,)).admit(wire, now)
    except TrustError as error:
        verdict, status = f"not valid: {error}", EXIT_NOT_VALID
    if as_json:
        say(json.dumps(_facts(shown) | {"verdict": verdict}, indent=2))
    else:
        say(_rows(shown, verdict, now))
    sys.exit(status)


def _rows(shown: Certificate, verdict: str, now_unix_s: float) -> str:
    left_days = max(0.0, (shown.not_after - now_unix_s) / DAY_S)
    issuer = issuer_of(shown)
    rows = {
        "name": shown.name,
        "agent ID": display_id(shown.agent_id),
        "public key": encode_public_key(shown.subject),
        "valid from": _time(shown.not_before),
        "valid until": f"{_time(shown.not_after)} ({left_days:.1f} days left)",
        "may register": ", ".join(shown.may_register) or "nothing",
        "may use": ", ".join(shown.may_use) or "nothing",
        "may relay": "yes" if shown.may_relay else "no",
        "may manage": "yes" if shown.may_manage else "no",
        "groups": ", ".join(shown.groups) or "none",
        "may issue": "no" if shown.may_issue is None else told_limits(shown.may_issue),
        **({"invitation": "to ask its issuer for a certificate"} if shown.is_invitation else {}),
        "issuer": "the authority" if issuer is None else _issuer(issuer),
        "authority": encode_public_key(shown.authority),
        **({"extensions": ", ".join(map(_extension, shown.extensions))} if shown.extensions else {}),
        "verdict": verdict,
    }
    return "\n".join(f"{label + ':':<14}{text}" for label, text in rows.items())


def _issuer(issuer: Certificate) -> str:
    return f"{issuer.name}, agent {display_id(issuer.agent_id)}, until {_time(issuer.not_after)}"


def _extension(extension: Extension) -> str:
    return f"{extension.name} (critical)" if extension.critical else extension.name


def write_certificate(
    out: Path,
    authority: Identity,
    subject: bytes,
    *,
    name: str,
    valid_for_s: int,
    rights: Rights,
) -> Certificate:
    """Sign a certificate that is valid from now on, and write it to ``out``.

    Raises:
        AgentFileError: the file exists already or cannot be written.
        Failure: the certificate cannot be issued; the text says why.
    """
    now = int(time.time())
    try:
        wire = issue_certificate(
            authority,
            subject=subject,
            name=name,
            not_before=now,
            not_after=now + valid_for_s,
            may_register=rights.register,
            may_use=rights.use,
            may_relay=rights.relay,
            may_manage=rights.manage,
            groups=rights.groups,
            may_issue=rights.issue,
        )
    except ValueError as error:
        raise Failure(str(error)) from None
    remedy = "; choose another name, or move the old one away first"
    create_file(out, certificate_to_text(wire), PUBLIC_MODE, remedy=remedy)
    return read_certificate(wire)


def _facts(shown: Certificate) -> dict[str, object]:
    issuer, limits = issuer_of(shown), shown.may_issue
    return {
        "name": shown.name,
        "agent_id": display_id(shown.agent_id),
        "public_key": encode_public_key(shown.subject),
        "not_before": _rfc3339(shown.not_before),
        "not_after": _rfc3339(shown.not_after),
        "may_register": shown.may_register,
        "may_use": shown.may_use,
        "may_relay": shown.may_relay,
        "may_manage": shown.may_manage,
        "groups": shown.groups,
        "may_issue": limits and {"for_s": limits.longest_s, "rights": limits.rights},
        "is_invitation": shown.is_invitation,
        "issuer": issuer and {"name": issuer.name, "agent_id": display_id(issuer.agent_id)},
        "authority": encode_public_key(shown.authority),
        "extensions": [{"name": each.name, "critical": each.critical} for each in shown.extensions],
    }


def _time(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S UTC}"


def _rfc3339(unix_s: int) -> str:
    """For programs; ``datetime.fromisoformat`` and JSON Schema's ``date-time`` take it."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
