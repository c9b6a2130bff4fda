"""Marks log lines that others can cause at will: clients, targets, peers, strangers.

Such a line is written a few times a minute for each place; the rest is counted and summed up in one line with
the last of them as an example, and written singly at the debug level.
``mesh/agent/log_repetitions.py`` does that.
"""

from typing import Final

MARK: Final = "sampled_for"
"""Attribute of a marked record: its place."""


def sampled(place: str) -> dict[str, str]:
    """``extra`` of such a line: ``log.info("...", extra=sampled(key))``.

    Args:
        place: what is counted on its own, such as a routing key or a peer; best not what others make up anew
            each time, like a port: there is room for few.
    """
    return {MARK: place}
