"""Marks log lines that others can cause at will: clients, targets, peers, strangers.

Such a line is written a few times a minute for each place; the rest is counted and summed up in one line with
the last of them as an example, and written singly at the debug level.
``mesh/agent/log_repetitions.py`` does that.

An alarm (``mesh/alarms.py``) is such a line too, with places of its own: neither other lines, nor alarms of
another kind or about another member, use up what it may be written.
"""

from typing import Final

from mesh.alarms import AlarmKind

MARK: Final = "sampled_for"
"""Attribute of a marked record: its place."""

ALARM_MARK: Final = "alarm_kind"
"""Attribute of an alarm: its kind."""


def sampled(place: str) -> dict[str, str]:
    """``extra`` of such a line: ``log.info("...", extra=sampled(key))``.

    Args:
        place: what is counted on its own, such as a routing key or a peer; best not what others make up anew
            each time, like a port: there is room for few.
    """
    return {MARK: place}


def alarming(kind: AlarmKind, member: str) -> dict[str, str]:
    """``extra`` of an alarm.

    Args:
        kind: what happened.
        member: by way of whom, as :func:`mesh.trust.naming.named` says it; one that holds a certificate.
    """
    return {MARK: member, ALARM_MARK: kind.value}
