"""What an agent shows others and what it judges them by, out of its configuration and files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from mesh.agent.files import (
    IDENTITY_FILE,
    AgentFileError,
    KeyMode,
    KeyUse,
    is_there,
    make_directory,
    read_certificate_file,
    read_key,
    require_safe_directory,
    write_key,
)
from mesh.agent.grants import (
    MAX_KEYS_SAID,
    keys_as_written,
    missing_grants,
    relay_notices,
    renewal,
    signing_command,
)
from mesh.agent.mixups import key_mixups
from mesh.agent.own_revocation import revocation_finding
from mesh.agent.revocation_file import kept_revocations
from mesh.agent.validity import early, ends_soon, two_times
from mesh.agent.web_certificate import REMEDY, WebCertificates, web_warning
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import AgentSection, Config
from mesh.errors import ExpiredError, NotYetValidError, TrustError
from mesh.trust.certificates import (
    MAX_UNIX_S,
    Certificate,
    TrustStore,
    issue_certificate,
    read_certificate,
)
from mesh.trust.credentials import Credentials
from mesh.trust.identity import SEED_BYTES, Identity, display_id
from mesh.trust.revocations import Revoked

Result = TypeVar("Result")

_CERTIFICATE_PLACE: Final = "trust.certificate"
_KEY_PLACE: Final = "agent.data_dir"
"""Where the configuration names these files: every complaint about one starts with it."""

_NAME_PLACE: Final = "agent.name"

_GROUP_REMEDY: Final = (
    "; or, if its group is to read it (as with Kubernetes' fsGroup), "
    "mode 0440 or 0640 and agent.key_mode: group"
)


class CertificateEarlyError(AgentFileError):
    """The certificate's validity has not begun by this machine's clock; nothing else is wrong with it."""


class FileCheck(msgspec.Struct, frozen=True):
    """What was found in the files of a configuration; each entry is a line."""

    problems: tuple[str, ...]
    notices: tuple[str, ...]


def open_credentials(
    config: Config,
    *,
    now_unix_s: float,
    random_bytes: Callable[[int], bytes],
    written: Written = NOTHING_WRITTEN,
) -> Credentials:
    """All that ``config`` needs of keys and certificates; makes the identity key on first start.

    An agent without ``trust`` has no mesh. It gets a certificate from an authority that exists in its own
    process only, so that one rule holds for all agents. Without a ``data_dir`` its key is not kept either.

    Args:
        config: validated.
        now_unix_s: for the validity of the certificate.
        random_bytes: fit for keys.
        written: what errors say in the place of values that came from the environment.

    Raises:
        CertificateEarlyError: the certificate does not admit this agent yet.
        AgentFileError: a file is missing or unfit, or the certificate does not admit this agent.
    """
    try:
        return _opened(config, now_unix_s, random_bytes, written)
    except AgentFileError as error:
        raise type(error)(_as_written(str(error), config, written)) from None


def _opened(
    config: Config, now_unix_s: float, random_bytes: Callable[[int], bytes], written: Written
) -> Credentials:
    trust = config.trust
    if trust is None:
        directory = config.agent.data_dir
        identity = (
            Identity(random_bytes(SEED_BYTES))
            if directory is None
            else _identity(config.agent, directory, random_bytes)
        )
        return _alone(config, identity, Identity(random_bytes(SEED_BYTES)))
    directory, path = _data_dir(config), _plain(trust.certificate)
    if not is_there(path):
        identity = _identity(config.agent, directory, random_bytes)
        raise AgentFileError(_missing_certificate(config, path, identity, written))
    wire = _certificate_bytes(path)
    identity = _matching_identity(config.agent, directory, wire, path)
    for problem in _own_peers(config, identity):
        raise AgentFileError(problem)
    store = TrustStore(trust.authorities)
    certificate = _admitted(store, wire, path, now_unix_s)
    with _named_in(_KEY_PLACE):
        # An agent that was revoked itself runs and says so, though nobody lets it in.
        return Credentials(identity, wire, certificate, store.revoking(kept_revocations(directory, store)))


def renewed_credentials(
    config: Config,
    running: Credentials,
    *,
    now_unix_s: float,
    random_bytes: Callable[[int], bytes],
    written: Written = NOTHING_WRITTEN,
) -> Credentials:
    """What an agent that runs with ``running`` is to show others from now on; the same where nothing differs.

    Args:
        config: validated; what it says of the identity is what the agent was started with.
        running: what it shows now.
        now_unix_s: for the validity of the certificate.
        random_bytes: fit for keys.
        written: what errors say in the place of values that came from the environment.

    Raises:
        AgentFileError: as :func:`open_credentials`, or the key is not that of ``running``.
    """
    if config.trust is None:
        if running.certificate.name == config.agent.name:
            return running
        return _alone(config, running.identity, Identity(random_bytes(SEED_BYTES)))
    path = _plain(config.trust.certificate)
    if not is_there(path):  # no first start, whatever is gone: no key is made
        problem = _missing_certificate(config, path, running.identity, written)
        raise AgentFileError(_as_written(problem, config, written))
    found = open_credentials(config, now_unix_s=now_unix_s, random_bytes=random_bytes, written=written)
    if found.identity.public_key != running.identity.public_key:
        raise AgentFileError(
            f"{_KEY_PLACE}: the identity key is another one than this agent runs with, "
            f"which is that of {display_id(running.identity.id)}; it takes effect at the next start"
        )
    if found.trust.authorities == running.trust.authorities:
        found = msgspec.structs.replace(found, trust=running.trust)
    is_same = found.wire == running.wire and found.trust is running.trust
    return running if is_same else found


def check_files(config: Config, *, now_unix_s: float, written: Written = NOTHING_WRITTEN) -> FileCheck:
    """What :func:`open_credentials` would refuse, all at once, and what it would warn of; writes nothing."""
    problems: list[str] = []
    trust, data_dir = config.trust, config.agent.data_dir
    key_file = _plain(data_dir) / IDENTITY_FILE if data_dir is not None else None
    certificate, revoked = None, None
    if trust is not None:
        path = _plain(trust.certificate)
        wire = _collect(problems, lambda: _certificate_bytes(path))
        if wire is not None:
            store = TrustStore(trust.authorities)
            certificate = _collect(problems, lambda: _admitted_or_early(store, wire, path, now_unix_s))
            identity = _collect(
                problems, lambda: _matching_identity(config.agent, _data_dir(config), wire, path)
            )
            if certificate is not None and data_dir is not None:
                revoked = _collect(problems, lambda: _revocation(certificate, _data_dir(config), store))
            if identity is not None:
                problems += _own_peers(config, identity)
                problems += key_mixups(config, read_certificate(wire), identity.public_key)
            key_file = None
    if key_file is not None and is_there(key_file):
        _collect(problems, lambda: _own_key(config.agent, key_file))
    told = tuple(_as_written(problem, config, written) for problem in problems)
    web = web_warning(WebCertificates().of(config.http), now_unix_s)
    of_web = (f"{web}; {REMEDY}",) if web else ()
    if certificate is None:
        return FileCheck(told, of_web)
    not_yet = early(certificate, now_unix_s)
    wait = () if not_yet is None else (f"{not_yet}; an agent that is started now waits until it is right",)
    cut = (revocation_finding(certificate, revoked).text,) if revoked else ()
    return FileCheck(told, (*wait, *cut, *notices(config, certificate, now_unix_s, written), *of_web))


def notices(
    config: Config, certificate: Certificate, now_unix_s: float, written: Written = NOTHING_WRITTEN
) -> tuple[str, ...]:
    """What deserves a warning at start though nothing is wrong yet."""
    ending = ends_soon(certificate, now_unix_s)
    found = [] if ending is None else [ending]
    if certificate.name != config.agent.name:
        found.append(
            f"agent.name is {written.get(_NAME_PLACE, config.agent.name)!r}, "
            f"but the mesh shows the certificate's name, {certificate.name!r}"
        )
    lacking = [missing.line() for missing in missing_grants(config, certificate, written)]
    return (*found, *lacking, *relay_notices(config, certificate, written))


def _revocation(certificate: Certificate, directory: Path, store: TrustStore) -> Revoked | None:
    return store.revoking(kept_revocations(directory, store)).revocation(certificate)


def _identity(agent: AgentSection, directory: Path, random_bytes: Callable[[int], bytes]) -> Identity:
    path = directory / IDENTITY_FILE
    if not is_there(path):
        with _named_in(_KEY_PLACE):
            make_directory(directory)
            require_safe_directory(directory, KeyMode(agent.key_mode))
            try:
                write_key(path, KeyUse.IDENTITY, random_bytes(SEED_BYTES))
            except AgentFileError:
                # Another process of this agent may have been first; its key is as good.
                if not is_there(path):
                    raise
    return _own_key(agent, path)


def _own_key(agent: AgentSection, path: Path) -> Identity:
    mode = KeyMode(agent.key_mode)
    with _named_in(_KEY_PLACE):
        require_safe_directory(path.parent, mode)
        return read_key(path, KeyUse.IDENTITY, mode, remedy=_GROUP_REMEDY if mode is KeyMode.OWNER else "")


def _certificate_bytes(path: Path) -> bytes:
    with _named_in(_CERTIFICATE_PLACE):
        return read_certificate_file(path)


def _alone(config: Config, identity: Identity, authority: Identity) -> Credentials:
    wire = issue_certificate(
        authority,
        subject=identity.public_key,
        name=config.agent.name,
        not_before=0,  # for ever: the clock may be wrong now, and be put right by decades
        not_after=MAX_UNIX_S,
        may_register=("*",),
        may_use=("*",),
    )
    return Credentials(identity, wire, read_certificate(wire), TrustStore([authority.public_key]))


def _matching_identity(agent: AgentSection, directory: Path, wire: bytes, certificate_path: Path) -> Identity:
    """The agent's key, if it is the one the certificate is for."""
    path = directory / IDENTITY_FILE
    certificate = read_certificate(wire)
    owner = display_id(certificate.agent_id)
    if not is_there(path):
        raise AgentFileError(
            f"{_KEY_PLACE}: {path}: is missing; "
            f"{certificate_path} is for agent {owner}, whose key belongs there"
        )
    identity = _own_key(agent, path)
    if identity.public_key != certificate.subject:
        raise AgentFileError(
            f"{_CERTIFICATE_PLACE}: {certificate_path}: is for agent {owner}, "
            f"but {path} is the key of {display_id(identity.id)}"
        )
    return identity


def _admitted(store: TrustStore, wire: bytes, path: Path, now_unix_s: float) -> Certificate:
    try:
        return store.admit(wire, now_unix_s)
    except NotYetValidError:
        times = two_times(read_certificate(wire), now_unix_s)
        raise CertificateEarlyError(f"{_CERTIFICATE_PLACE}: {path}: is not valid yet: {times}") from None
    except ExpiredError as error:
        remedy = renewal(read_certificate(wire))
        raise AgentFileError(f"{_CERTIFICATE_PLACE}: {path}: {error}; {remedy}") from None
    except TrustError as error:
        raise AgentFileError(f"{_CERTIFICATE_PLACE}: {path}: {error}") from None


def _admitted_or_early(store: TrustStore, wire: bytes, path: Path, now_unix_s: float) -> Certificate:
    """As :func:`_admitted`, but an agent would wait for a certificate that is early: that is no problem."""
    try:
        return _admitted(store, wire, path, now_unix_s)
    except CertificateEarlyError:
        return read_certificate(wire)


def _own_peers(config: Config, identity: Identity) -> tuple[str, ...]:
    """Each peer that is to be this very agent: at that address it would never find it."""
    return tuple(
        f"peers[{number}].id: found this agent's own ID; "
        "expected the ID of the agent at that address, which `mesh certificate show` tells there"
        for number, peer in enumerate(config.peers)
        if peer.id == identity.id
    )


def _missing_certificate(config: Config, path: Path, identity: Identity, written: Written) -> str:
    said, forward = keys_as_written(config, written), config.forward
    command = signing_command(
        written.get(_NAME_PLACE, config.agent.name),
        identity.public_key,
        register=dict.fromkeys(said.get(entry.key, entry.key) for entry in forward.endpoints[:MAX_KEYS_SAID]),
        use=dict.fromkeys(said.get(entry.key, entry.key) for entry in forward.listeners[:MAX_KEYS_SAID]),
        out="agent.cert" if _CERTIFICATE_PLACE in written else path.name,
    )
    return (
        f"{_CERTIFICATE_PLACE}: {path}: is missing; whoever has the authority's key makes it with: {command}"
    )


def _data_dir(config: Config) -> Path:
    if config.agent.data_dir is None:
        raise AgentFileError(
            f"{_KEY_PLACE}: is missing; an agent with a certificate needs a place for its key"
        )
    return _plain(config.agent.data_dir)


def _plain(path: Path) -> Path:
    """The same place without ``..``, as far as links allow to say it so."""
    if ".." not in path.parts:
        return path
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle: using the path will say so
        return path


def _as_written(text: str, config: Config, written: Written) -> str:
    """``text`` with the configuration's own words for paths that came from the environment."""
    paths = {
        _CERTIFICATE_PLACE: config.trust.certificate if config.trust is not None else None,
        _KEY_PLACE: config.agent.data_dir,
    }
    for place, path in paths.items():
        if path is not None and place in written and path.name:
            text = text.replace(str(_plain(path)), written[place]).replace(str(path), written[place])
    return text


@contextmanager
def _named_in(place: str) -> Iterator[None]:
    """Begin what is said of a file with the place of the configuration that names it."""
    try:
        yield
    except AgentFileError as error:
        raise AgentFileError(f"{place}: {error}") from None


def _collect(problems: list[str], step: Callable[[], Result]) -> Result | None:
    try:
        return step()
    except AgentFileError as problem:
        problems.append(str(problem))
        return None
