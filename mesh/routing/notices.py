"""Lines for people, each said once."""

from collections.abc import Sequence
from typing import Final

from mesh.routing.records import Record
from mesh.trust.identity import short_id

MAX_SAID: Final = 1_024
"""What has been said once is remembered up to this number of lines."""

MAX_DENIED_SAID: Final = 8
"""Keys of one record or page that are named because a certificate does not permit them."""


class Notices:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def say(self, notices: list[str], line: str) -> None:
        """Add ``line`` to ``notices``, unless it has been said."""
        if line in self._said:
            return
        if len(self._said) >= MAX_SAID:
            del self._said[next(iter(self._said))]
        self._said[line] = None
        notices.append(line)

    def say_denied(self, notices: list[str], record: Record, keys: Sequence[str]) -> None:
        """``record``'s agent may not register ``keys``: with thousands of them it does not fill the log."""
        ignored = f"ignored: the certificate of {record.name!r} ({short_id(record.agent_id)}) does not permit"
        for key in keys[:MAX_DENIED_SAID]:
            self.say(notices, f"endpoint {ignored} it to register {key!r}")
        if len(keys) > MAX_DENIED_SAID:
            self.say(notices, f"{len(keys) - MAX_DENIED_SAID:,} more endpoints {ignored} their keys")
