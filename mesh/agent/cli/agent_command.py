"""``mesh agent`` and ``mesh check``; ``python -m mesh.agent`` is the first of them."""

import sys
import time
from pathlib import Path

import click

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.shortages import shortages_told
from mesh.agent.cli.standard_streams import say
from mesh.agent.config_source import ConfigSource
from mesh.agent.credentials import check_files
from mesh.agent.dashboard.tls import TlsFiles
from mesh.agent.importing import importing
from mesh.agent.logs import logging_to
from mesh.agent.mixups import config_notices
from mesh.agent.offers import offer_problems
from mesh.agent.standard_descriptors import complete_standard_streams
from mesh.config import Loaded
from mesh.config.schema import LOG_FORMATS, LOG_LEVELS

_CONFIG = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("config", type=_CONFIG)
@click.option("--check", "check_only", is_flag=True, help="Only validate the configuration and its files.")
@click.option("--log-format", type=click.Choice(LOG_FORMATS), help="Overrides logging.format.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help="Overrides logging.level.")
@told_plainly
def agent(config: Path, *, check_only: bool, log_format: str | None, log_level: str | None) -> None:
    """Run the agent that the file CONFIG describes, until SIGTERM or SIGINT; SIGHUP reads the file anew.

    The exit status is 0 after a clean shutdown, 1 after a crash, and 2 where the configuration or one of its
    files is wrong.

    \b
    mesh agent config.yaml
    mesh agent config.yaml --log-level debug
    """
    complete_standard_streams()
    overrides = {"format": log_format, "level": log_level}
    source = ConfigSource(config, {key: value for key, value in overrides.items() if value is not None})
    loaded = source.read()
    if check_only:
        _report_check(config, loaded)
        return
    with shortages_told():
        # Not above: checking a configuration needs neither event loops nor the HTTP server.
        with importing():
            from mesh.agent.process import run  # noqa: PLC0415

        with logging_to(loaded.config.logging) as output:
            status = run(source, loaded, output)
    sys.exit(status)


@click.command()
@click.argument("config", type=_CONFIG)
@told_plainly
def check(config: Path) -> None:
    """Validate the file CONFIG, and the key and certificate it names, without starting anything.

    \b
    mesh check config.yaml
    """
    _report_check(config, ConfigSource(config, {}).read())


def _report_check(path: Path, loaded: Loaded) -> None:
    config, written = loaded
    result = check_files(config, now_unix_s=time.time(), written=written)
    for notice in result.notices:
        click.echo(f"{path}: warning: {notice}", err=True)
    problems = (*result.problems, *(f"{path}: {problem}" for problem in offer_problems(config)))
    if config.http is not None and config.http.tls is not None:
        TlsFiles(config.http.tls)
    if problems:
        raise Failure("\n".join(problems))
    for notice in config_notices(config, written):
        click.echo(f"{path}: warning: {notice}", err=True)
    counts = (
        (len(config.forward.endpoints), "endpoint"),
        (len(config.forward.listeners), "listener"),
        (len(config.peers), "peer"),
    )
    parts = ", ".join(f"{count} {noun if count == 1 else noun + 's'}" for count, noun in counts)
    say(f"{path}: ok: agent {written.get('agent.name', config.agent.name)} with {parts}")
