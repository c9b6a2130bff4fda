"""``services.yaml`` in the data directory: services that were saved while the agent ran.

It has the form of a configuration's ``forward:``, so an editor and ``mesh check`` can read it, too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Final

import msgspec
import yaml

from mesh.agent.files import PRIVATE_MODE, AgentFileError, replace_file
from mesh.config import ConfigError
from mesh.config.document import MAX_FILE_BYTES
from mesh.config.extra import Extra
from mesh.config.loading import parse_config
from mesh.config.schema import EndpointSection, ListenerSection

NAME: Final = "services.yaml"

_SURROGATES: Final = re.compile(r"\\\\|\\u(d[89ab]..)\\u(d[c-f]..)")
"""A pair, as JSON escapes it; or a backslash, which escapes nothing that follows."""

HEADING: Final = "# Saved by mesh listen and mesh expose; mesh unlisten and mesh unexpose take entries out.\n"


def read_saved(data_dir: Path) -> tuple[Extra, ...]:
    """What has been saved; nothing if there is no file.

    Raises:
        ConfigError: there is something wrong in it; has its problems.
        AgentFileError: it cannot be read.
    """
    path = data_dir / NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    # Nothing of the environment: a service that was saved is the same wherever the agent is started from.
    forward = parse_config(data, file=str(path), directory=data_dir, environment={}, host_name="").forward
    return (*forward.endpoints, *forward.listeners)


def read_services(forward: Mapping[str, object]) -> tuple[Extra, ...]:
    """Services that somebody asks for together.

    Args:
        forward: as a configuration file has it under that name.

    Raises:
        ConfigError: there is something wrong in it; has its problems.
    """
    data = _yaml({"forward": forward})
    read = parse_config(data, file="forward", directory=Path("/"), environment={}, host_name="").forward
    return (*read.endpoints, *read.listeners)


def _yaml(document: Mapping[str, object]) -> bytes:
    """JSON, which is YAML, too, but for characters beyond U+FFFF: YAML knows no surrogates."""
    text = json.dumps(document)
    return _SURROGATES.sub(lambda found: found[0] if found[1] is None else _in_yaml(found[0]), text).encode()


def _in_yaml(pair: str) -> str:
    code = ord(json.loads('"' + pair + '"'))
    return f"\\U{code:08x}"


def read_service(kind: str, entry: Mapping[str, object]) -> Extra:
    """One entry that somebody asks for.

    Args:
        kind: ``endpoints`` or ``listeners``.
        entry: as a configuration file has it.

    Raises:
        ConfigError: there is something wrong in it; has its problems.
    """
    (service,) = read_services({kind: [entry]})
    return service


def read_place(address: str) -> str:
    """Where a listener is whose address somebody writes like this; what is no address stays as it is."""
    try:
        service = read_service("listeners", {"key": "any", "address": address})
    except ConfigError:
        return address
    return str(service.address) if isinstance(service, ListenerSection) else address


def write_saved(data_dir: Path, services: Sequence[Extra]) -> None:
    """Have the file say this, or what it said before; also after a power cut.

    Raises:
        AgentFileError: it cannot be written.
    """
    replace_file(data_dir / NAME, _text(services), PRIVATE_MODE)


def _text(services: Sequence[Extra]) -> str:
    forward: dict[str, list[object]] = {"endpoints": [], "listeners": []}
    for service in services:
        name = "endpoints" if isinstance(service, EndpointSection) else "listeners"
        forward[name].append(written(service))
    # In one line each, however long: what is in quotes is not read over several.
    return HEADING + yaml.safe_dump({"forward": forward}, sort_keys=False, allow_unicode=True, width=inf)


def written(service: Extra) -> dict[str, object]:
    """An entry as a configuration file has it; keys with their defaults are left out."""
    entry: dict[str, object] = {}
    for field in msgspec.structs.fields(type(service)):
        value = getattr(service, field.name)
        if field.required or value != field.default:
            entry[field.encode_name] = list(value) if isinstance(value, tuple) else _plain(value)
    return entry


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str) else str(value)
