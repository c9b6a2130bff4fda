"""One entry of the audit log, as JSON and as a line for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from mesh.auditing import AuditFact, AuditKind
from mesh.connection.endings import ConnectionRecord
from mesh.connection.recorder import facts_of_record
from mesh.escaping import escaped
from mesh.journal import Fact
from mesh.trust.certificates import Certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import display_id

_TEXTS: Final = MappingProxyType(
    {
        AuditKind.FILE.value: "a file begins, after {after}",
        AuditKind.LOST.value: "{count} entries could not be written down: {reason}",
        AuditKind.STARTED.value: "{agent} {id} has started, version {version}",
        AuditKind.STOPPED.value: "{agent} {id} has ended",
        AuditKind.REQUEST.value: "{way}, {who}: {what}: {code}",
        AuditKind.GUESS.value: "{way}, {who}: {what}: {code}",
        AuditKind.CONFIGURATION.value: "{way}, {who}: {verdict}",
        "ingress": "{key} from {client} by {exit}: {ending}",
        "exit": "{key} from {ingress} to {target}: {ending}",
        AuditKind.RENEWED.value: "{agent} {id} goes on with another certificate, until {until}",
        AuditKind.INVITED.value: "{way}, {who}: {agent} is invited, until {until}",
        AuditKind.JOINED.value: "{agent} {id} has joined by an invitation of this agent, until {until}",
        AuditKind.ISSUED.value: "{agent} {id} has had its certificate renewed, until {until}",
        AuditKind.REVOKED.value: "{agent} {id} is revoked by {by}",
        AuditKind.LIFTED.value: "{agent} {id} is revoked no more by {by}",
        AuditKind.NOT_ISSUED.value: "{agent} {id} has got no certificate: {reason}",
    }
)
"""By kind, with the facts that each has always; of connections by the end that tells."""


ReadFact: TypeAlias = Fact | list[str]
"""As JSON has it; nothing is deeper, so no line takes a reader far down."""


_ABSENT: Final = MappingProxyType({"client": "this agent", "target": "nowhere"})
"""What an entry of a connection says without these: the agent was the client, or no target was reached."""


class Entry(msgspec.Struct, frozen=True):
    """An entry as it was read."""

    number: int
    time: str
    kind: str
    facts: Mapping[str, ReadFact]
    """All else but the hash."""

    def line(self) -> str:
        """All of it on a line for people: whoever can write the files has chosen every character."""
        return f"{escaped(self.time)} {escaped(self.kind):<13} {self.text()}"

    def json(self) -> bytes:
        """It as a JSON object."""
        return msgspec.json.encode(
            {"number": self.number, "time": self.time, "kind": self.kind, **self.facts}
        )

    def text(self) -> str:
        """It as a line for people."""
        kind = self.facts.get("end", "") if self.kind == AuditKind.CONNECTION.value else self.kind
        template = _TEXTS.get(str(kind), "")
        shown = {name: _shown(value) for name, value in self.facts.items()}
        try:
            text = template.format_map({**_ABSENT, **shown})
        except KeyError:
            text = ""
        more = [
            f"{name} {value}"
            for name, value in shown.items()
            if value and not (text and f"{{{name}}}" in template)
        ]
        return escaped("; ".join(part for part in (text, *more) if part))


def encoded(kind: AuditKind, unix_s: float, facts: Mapping[str, AuditFact]) -> bytes:
    """The JSON object of an entry, without number and hash. What others chose is escaped, and bounded."""
    fit = {name: _fit(fact) for name, fact in facts.items()}
    return msgspec.json.encode({"time": moment(unix_s), "kind": kind.value, **fit})


def renewal_facts(found: Credentials) -> dict[str, AuditFact]:
    """Of an agent that goes on with these."""
    return {**certificate_facts(found.certificate), "authorities": len(found.trust.authorities)}


def certificate_facts(certificate: Certificate) -> dict[str, AuditFact]:
    """Of an agent that has this one."""
    return {
        "agent": certificate.name,
        "id": display_id(certificate.agent_id),
        "until": moment(certificate.not_after),
    }


def connection_facts(record: ConnectionRecord) -> dict[str, AuditFact]:
    """Of one that has ended: what its end knows, and why it was refused."""
    view, facts = record.view, facts_of_record(record)
    unknown = {"client": not view.client, "target": not view.target, "reason": not record.reason}
    return {name: fact for name, fact in facts.items() if not unknown.get(name)}


def entry_of(line: bytes) -> Entry:
    """Read a line.

    Raises:
        ValueError: it is no entry.
    """
    try:
        found = _READER.decode(line)
        facts = {name: value for name, value in found.items() if name not in _PLACED}
        return msgspec.convert({**{name: found[name] for name in _PLACED[:-1]}, "facts": facts}, Entry)
    except KeyError as error:
        raise ValueError(f"is no entry of an audit log: it has no {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is no entry of an audit log: {error}") from None


_PLACED: Final = ("number", "time", "kind", "hash")
_READER: Final = msgspec.json.Decoder(dict[str, ReadFact])


def moment(unix_s: float) -> str:
    """A time as entries have it."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fit(fact: AuditFact) -> AuditFact:
    if isinstance(fact, str):
        return escaped(fact)
    return tuple(map(escaped, fact)) if isinstance(fact, tuple) else fact


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
