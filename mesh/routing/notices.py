"""Lines for people, each said once, and counted by kind and member: ``mesh/alarms.py`` says why."""

from collections.abc import Sequence
from typing import Final

import msgspec

from mesh.alarms import MAX_MEMBERS, THIS_AGENT, AlarmBook, AlarmKind
from mesh.routing.records import Record
from mesh.trust.identity import short_id
from mesh.trust.naming import named

OWN_KEY_REMEDY: Final = "stop one of the two, or give it a key and a certificate of its own"
"""What to do if two running agents have one identity."""

MAX_SAID: Final = 32
"""What has been said once is remembered up to this number of lines, for each kind and member; of the members
whose last alarm is the longest ago it is forgotten, beyond ``MAX_MEMBERS``."""

MAX_DENIED_SAID: Final = 8
"""Keys of one record or page that are named because a certificate does not permit them."""


class Notice(msgspec.Struct, frozen=True):
    """A line that has not been said."""

    kind: AlarmKind
    member: str
    """By way of whom it came about, as logs name it."""
    line: str


class Notices:
    """Remembers what has been said.

    Args:
        book: counts all of it, said or not.
    """

    def __init__(self, book: AlarmBook) -> None:
        self._book = book
        self._said: dict[AlarmKind, dict[str, dict[str, None]]] = {kind: {} for kind in AlarmKind}
        """Lines by kind and member, the members in the order of their last alarms."""

    def count(self, kind: AlarmKind, member: str) -> None:
        """Count what others say, such as why a link is closed."""
        self._book.count(kind, member)

    def say(self, notices: list[Notice], kind: AlarmKind, member: str, line: str) -> None:
        """Count it, and add ``line`` to ``notices`` unless it has been said."""
        self._book.count(kind, member)
        self._say_once(notices, kind, member, line)

    def say_denied(self, notices: list[Notice], kind: AlarmKind, record: Record, keys: Sequence[str]) -> None:
        """``record``'s agent may not register ``keys``: with thousands of them it does not fill the log."""
        if not keys:
            return
        member = THIS_AGENT if kind is AlarmKind.OWN else named(record.name, record.agent_id)
        self._book.count(kind, member, len(keys))
        ignored = f"ignored: the certificate of {record.name!r} ({short_id(record.agent_id)}) does not permit"
        for key in keys[:MAX_DENIED_SAID]:
            self._say_once(notices, kind, member, f"endpoint {ignored} it to register {key!r}")
        if len(keys) > MAX_DENIED_SAID:
            more = f"{len(keys) - MAX_DENIED_SAID:,} more endpoints {ignored} their keys"
            self._say_once(notices, kind, member, more)

    def _say_once(self, notices: list[Notice], kind: AlarmKind, member: str, line: str) -> None:
        members = self._said[kind]
        said = members.pop(member, None)
        if said is None:
            said = {}
            if len(members) >= MAX_MEMBERS:
                del members[next(iter(members))]
        members[member] = said
        if line in said:
            return
        if len(said) >= MAX_SAID:
            del said[next(iter(said))]
        said[line] = None
        notices.append(Notice(kind, member, line))
