"""From a file to a validated configuration, or to its problems, as many as are worth telling at once."""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Final, NamedTuple, TypeAlias, get_args, get_origin

import msgspec

from mesh.config.document import MAX_FILE_BYTES, parse_document
from mesh.config.kinds import MAX_NAME_CHARACTERS, Context
from mesh.config.problems import ConfigError, Problem, TooManyProblems
from mesh.config.rules import check_rules
from mesh.config.schema import Config
from mesh.config.walk import Walk

_UNFIT_FOR_FILES: Final = re.compile(r"[^A-Za-z0-9._-]")
_LAST_RESORT_NAME: Final = "agent"


Written: TypeAlias = Mapping[str, str]
"""What stands in the file for each value that the environment has filled in, by the value's path."""


NOTHING_WRITTEN: Final[Written] = MappingProxyType({})
"""For a configuration in which nothing came from the environment."""


class Loaded(NamedTuple):
    """A configuration, and what its file says."""

    config: Config
    written: Written


def load_config(path: Path, *, environment: Mapping[str, str], host_name: str) -> Config:
    """The configuration of :func:`load`, for whoever tells nobody of its values."""
    return load(path, environment=environment, host_name=host_name).config


def load(path: Path, *, environment: Mapping[str, str], host_name: str) -> Loaded:
    """Read and validate a configuration file.

    Args:
        path: of the file; relative paths in it are relative to its directory.
        environment: for ``${NAME}`` and ``~/``.
        host_name: the agent's name where the file has none.

    Raises:
        ConfigError: the file cannot be read, or there is something wrong in it; has its problems.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise ConfigError([Problem(str(path), 0, "", "a directory", "a configuration file")]) from None
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise ConfigError([Problem(str(path), 0, "", found, "a configuration file")]) from None
    return parse(data, file=str(path), directory=path.parent, environment=environment, host_name=host_name)


def parse_config(
    data: bytes, *, file: str, directory: Path, environment: Mapping[str, str], host_name: str
) -> Config:
    """The configuration of :func:`parse`, for whoever tells nobody of its values."""
    return parse(data, file=file, directory=directory, environment=environment, host_name=host_name).config


def parse(
    data: bytes, *, file: str, directory: Path, environment: Mapping[str, str], host_name: str
) -> Loaded:
    """Validate a configuration file that has been read; the arguments are those of :func:`load`.

    Raises:
        ConfigError: there is something wrong in it; has its problems.
    """
    document = parse_document(data, file)
    walk = Walk(
        file=file,
        context=Context(directory.absolute(), environment.get("HOME")),
        environment=environment,
        schema=schema_keys(),
    )
    try:
        config = walk.document(document, Config)
        check_rules(walk)
    except TooManyProblems:
        raise ConfigError(walk.problems, are_more=True) from None
    if config is None or walk.problems:
        raise ConfigError(walk.problems)
    written = {path: found.written for path, found in walk.values.items() if found.written}
    completed = _completed(config, directory.absolute(), host_name)
    if "agent.name" in written and config.agent.data_dir is None and completed.agent.data_dir is not None:
        # The directory has the name's value as its own name.
        written["agent.data_dir"] = str(completed.agent.data_dir.with_name(written["agent.name"]))
    return Loaded(completed, written)


@functools.cache
def schema_keys() -> tuple[str, ...]:
    """Every key of the schema by its path, lists marked by ``[]``: ``forward.endpoints[].target``."""
    return tuple(_keys_of(Config, ""))


def _completed(config: Config, directory: Path, host_name: str) -> Config:
    fits = host_name.isprintable() and host_name == host_name.strip()
    name = config.agent.name or (host_name[:MAX_NAME_CHARACTERS] if fits else "") or _LAST_RESORT_NAME
    data_dir = config.agent.data_dir
    if data_dir is None and config.trust is not None:
        # A certificate is for one key, so that key must outlive the process.
        data_dir = directory / "data" / (_UNFIT_FOR_FILES.sub("_", name).strip(".") or _LAST_RESORT_NAME)
    agent = msgspec.structs.replace(config.agent, name=name, data_dir=data_dir)
    return msgspec.structs.replace(config, agent=agent)


def _keys_of(struct: type[msgspec.Struct], prefix: str) -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        annotation, path = field.type, f"{prefix}{field.encode_name}"
        if isinstance(annotation, UnionType) or type(None) in get_args(annotation):
            (annotation,) = (part for part in get_args(annotation) if part is not type(None))
        if get_origin(annotation) is tuple:
            annotation, path = get_args(annotation)[0], f"{path}[]"
        yield path
        if get_origin(annotation) is not Annotated:
            yield from _keys_of(_struct(annotation), f"{path}.")


def _struct(annotation: object) -> type[msgspec.Struct]:
    if not (isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)):
        raise TypeError(f"{annotation!r} is neither annotated with a kind nor a section")
    return annotation
