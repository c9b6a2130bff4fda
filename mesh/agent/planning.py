"""What another configuration would have a running agent do."""

from collections.abc import Callable, Iterable

from mesh.agent.files import AgentFileError
from mesh.agent.outcome import Outcome
from mesh.config import ConfigError
from mesh.config.difference import difference
from mesh.config.extra import Extra, merged_or_clashes
from mesh.config.schema import Config


def planned(read: Callable[[], Config], beside: Callable[[], Iterable[Extra]], running: Config) -> Outcome:
    """What a reload would do.

    Args:
        read: the configuration that is thought of; may fail as a file does.
        beside: services that are not in it; may fail likewise.
        running: what the agent runs with.
    """
    try:
        desired, clashes = merged_or_clashes(read(), beside())
    except (ConfigError, AgentFileError) as error:
        return Outcome.refused(str(error).splitlines())
    return Outcome.of(difference(running, desired), clashes)
