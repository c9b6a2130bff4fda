"""What an agent is configured for and its certificate does not let it, with the command that grants it."""

import shlex
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import Config
from mesh.trust.certificates import Certificate, issuer_of
from mesh.trust.identity import encode_public_key
from mesh.trust.issuing import IssuingLimits

MAX_KEYS_SAID: Final = 8

_AFTERWARDS: Final = (
    "  # then put it in the place of the file at trust.certificate: an agent that runs takes it up by itself"
)
"""A comment to a shell, so that the line's end may be copied as it is."""


class MissingGrants(NamedTuple):
    """Which keys a certificate does not grant, and how to have them granted."""

    what: str
    remedy: str

    def line(self) -> str:
        """Both."""
        return f"{self.what}; {self.remedy}"


def missing_grants(
    config: Config, certificate: Certificate, written: Written = NOTHING_WRITTEN
) -> tuple[MissingGrants, ...]:
    """One that names all keys and the command, or nothing if there is a right for every key."""
    offered, used = _ungranted(config, certificate, written)
    if not offered and not used:
        return ()
    lacks = [f"{verb} {_keys(keys)}" for verb, keys in (("offer", offered), ("use", used)) if keys]
    command = _regranting_command(certificate, offered, used, relay=certificate.may_relay)
    missing = MissingGrants(
        f"the certificate of this agent does not let it {' or '.join(lacks)}",
        f"whoever has the authority's key grants it with: {command}{_AFTERWARDS}",
    )
    return (missing,)


def renewal(certificate: Certificate) -> str:
    """How to get another certificate with the same rights."""
    command = _regranting_command(certificate, (), (), relay=certificate.may_relay)
    issuer = issuer_of(certificate)
    by_itself = ""
    if issuer is not None:
        by_itself = f"it is renewed by itself once {issuer.name} or another issuer answers; "
        if issuer.not_after <= certificate.not_after:
            by_itself = f"that of its issuer {issuer.name} ends then, too: renew that first, and {by_itself}"
    return f"{by_itself}whoever has the authority's key renews it with: {command}{_AFTERWARDS}"


def keys_as_written(config: Config, written: Written) -> dict[str, str]:
    """What the file says for each key that the environment filled in."""
    forward = config.forward
    keys = {f"forward.endpoints[{number}].key": entry.key for number, entry in enumerate(forward.endpoints)}
    keys |= {f"forward.listeners[{number}].key": entry.key for number, entry in enumerate(forward.listeners)}
    return {key: written[place] for place, key in keys.items() if place in written}


def relay_notices(
    config: Config, certificate: Certificate, written: Written = NOTHING_WRITTEN
) -> tuple[str, ...]:
    """One line if others dial this agent and it may not relay, unless nobody seems to want that it does.

    Whoever sets ``agent.relay: false`` where the certificate does not let it relay has chosen so.
    """
    relays = config.agent.relay
    if config.trust is None or not config.accept or relays == certificate.may_relay:
        return ()
    carries_nothing = (
        "this agent accepts links and carries nobody's traffic: "
        "agents that reach each other only through it cannot"
    )
    if not relays:
        return (f"{carries_nothing}; its certificate lets it relay, but agent.relay is false",)
    command = _regranting_command(certificate, *_ungranted(config, certificate, written), relay=True)
    line = (
        f"{carries_nothing}; set agent.relay: false if that is meant; "
        f"else whoever has the authority's key grants it with: {command}"
    )
    return (line,)


def signing_command(
    name: str,
    public_key: bytes,
    *,
    register: Iterable[str],
    use: Iterable[str],
    relay: bool = False,
    manage: bool = False,
    groups: Iterable[str] = (),
    issue: IssuingLimits | None = None,
    out: str = "agent.cert",
) -> str:
    """The command that signs a certificate with these rights, to be copied into a shell."""
    words = ["--authority", "authority.key", "--name", name, "--public-key", encode_public_key(public_key)]
    words += [word for pattern in register for word in ("--register", pattern)]
    words += [word for pattern in use for word in ("--use", pattern)]
    words += [option for option, granted in (("--relay", relay), ("--manage", manage)) if granted]
    words += [word for group in groups for word in ("--group", group)]
    if issue is not None:
        words += [word for right in issue.rights for word in ("--issue", right)]
        words += ["--issue-for", f"{issue.longest_s}s"]
    return shlex.join(("mesh", "certificate", "sign", *words, "--out", out))


def _regranting_command(
    certificate: Certificate, offered: tuple[str, ...], used: tuple[str, ...], *, relay: bool
) -> str:
    """The command for a certificate with the rights of this one, and these keys."""
    return signing_command(
        certificate.name,
        certificate.subject,
        register=(*certificate.may_register, *offered[:MAX_KEYS_SAID]),
        use=(*certificate.may_use, *used[:MAX_KEYS_SAID]),
        relay=relay,
        manage=certificate.may_manage,
        groups=certificate.groups,
        issue=certificate.may_issue,
    )


def _ungranted(
    config: Config, certificate: Certificate, written: Written
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that it is configured to offer, and to use, and may not, as its file has them."""
    said = keys_as_written(config, written)
    offered = _without(certificate.allows_register, (entry.key for entry in config.forward.endpoints))
    used = _without(certificate.allows_use, (entry.key for entry in config.forward.listeners))
    return tuple(said.get(key, key) for key in offered), tuple(said.get(key, key) for key in used)


def _without(is_allowed: Callable[[str], bool], keys: Iterable[str]) -> tuple[str, ...]:
    """Each of ``keys`` once that is not allowed, in their order."""
    return tuple(key for key in dict.fromkeys(keys) if not is_allowed(key))


def _keys(keys: tuple[str, ...]) -> str:
    said = ", ".join(repr(key) for key in keys[:MAX_KEYS_SAID])
    more = len(keys) - MAX_KEYS_SAID
    return f"{said} and {more:,} more" if more > 0 else said
