"""Renews this agent's certificate through an issuer when two thirds of its time are over.

The main thread looks at the clock, and starts a thread that asks; what has come of it the main thread writes
into the certificate's file, which takes effect like any other change of it. Agents of one age do not ask all
at once, and who gets none asks again after pauses that grow.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment.asking import NotGrantedError, ask_for_certificate, routes_of
from mesh.agent.events import Events, Job
from mesh.agent.files import PUBLIC_MODE, AgentFileError, replace_file
from mesh.agent.grants import renewal
from mesh.errors import TrustError
from mesh.escaping import escaped
from mesh.journal import EventKind
from mesh.routing.records import Record
from mesh.routing.routes import RouteSnapshot
from mesh.telling import event
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import Certificate, issuer_of, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.issuing import Passing
from mesh.trust.naming import called, named

log: Final = logging.getLogger("mesh.agent")

RENEW_AFTER: Final = 2 / 3
"""Of a certificate's time: a third is left for an issuer to be away."""

SPREAD: Final = 1 / 24
"""Of its time, over which agents of one age spread from then on."""

FIRST_PAUSE: Final = 1 / 120
LONGEST_PAUSE: Final = 1 / 15
"""Of its time, after the first failure and at most: so there are some ten tries at least."""

MIN_PAUSE_S: Final = 5.0
MAX_PAUSE_S: Final = 6 * 3600.0

LOOK_S: Final = 60.0
"""How often the clock is read: it may jump, so no single timer would do."""

LEAST_S: Final = 1800.0
"""A certificate that is to end sooner than the present one has so much time left: an issuer that was stolen
could otherwise have whoever asks it out of the mesh before another one is asked."""

MAX_ASKED: Final = 3
"""Issuers that are asked each time."""

_EVENT: Final = event(EventKind.CONFIGURATION)


class RenewalTimes:
    """When to ask, by Unix seconds; it decides nothing else.

    Args:
        certificate: this agent's own.
        draw: uniform in [0, 1).
    """

    def __init__(self, certificate: Certificate, draw: float) -> None:
        self._life_s = certificate.not_after - certificate.not_before
        self._end = certificate.not_after
        self._failures = 0
        self.due_at = certificate.not_before + self._life_s * (RENEW_AFTER + SPREAD * draw)
        """When to ask next."""

    def is_due(self, now_unix_s: float) -> bool:
        """Whether it is time to ask. Nobody can once the certificate has ended."""
        return self.due_at <= now_unix_s < self._end

    def failed(self, now_unix_s: float, draw: float, *, is_final: bool) -> float:
        """Seconds until the next try, after one that came to nothing.

        Args:
            now_unix_s: the time.
            draw: uniform in [0, 1).
            is_final: whether all who were asked have said no: that changes slowly, if at all.
        """
        longest_s = min(self._life_s * LONGEST_PAUSE, MAX_PAUSE_S)
        pause_s = longest_s if is_final else min(self._life_s * FIRST_PAUSE * 2**self._failures, longest_s)
        self._failures = min(self._failures + 1, 16)
        pause_s = max(MIN_PAUSE_S, pause_s) * (0.5 + draw / 2)
        self.due_at = now_unix_s + pause_s
        return pause_s


class Renewer:
    """Renews the certificate of one agent. Only the main thread calls.

    Args:
        root: of the actors.
        events: brings what was found to the main thread.
        credentials: what the agent has now.
        file: where its certificate is; ``None`` if it has no mesh.
        take_up: has the agent show what is in that file.
    """

    def __init__(
        self,
        root: AskRef[agent_messages.Inbound],
        events: Events,
        *,
        credentials: Callable[[], Credentials],
        file: Callable[[], Path | None],
        take_up: Callable[[], object],
    ) -> None:
        self._root = root
        self._events = events
        self._credentials = credentials
        self._file = file
        self._take_up = take_up
        self._wire = b""
        self._times: RenewalTimes | None = None
        self._is_asking = False
        self._told = ""

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look."""
        if self._times is None:
            return LOOK_S
        return min(LOOK_S, max(1.0, self._times.due_at - now_unix_s))

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """Begin to ask, if it is time. There is nothing to log yet: what comes of it logs itself."""
        own = self._credentials()
        if own.wire != self._wire:
            self._wire = own.wire
            self._times = RenewalTimes(own.certificate, random.random())  # noqa: S311 - no secret
            self._told = ""
        if self._times is None or self._is_asking or self._file() is None:
            return None
        if own.certificate.may_issue is None and self._times.is_due(now_unix_s):
            self._is_asking = True
            threading.Thread(target=self._ask, args=(own,), name="renewal", daemon=True).start()
        return None

    def renew(self, issuer: str, by_main_thread: Callable[[Callable[[], str]], str]) -> Certificate:
        """The certificate that this agent gets now; on return it is in its file, and shown to others.

        Any thread may call but the main one. It may end sooner than the present one: somebody wants it.

        Args:
            issuer: name or ID of who is to sign; empty: any.
            by_main_thread: has the main thread do something.

        Raises:
            NotGrantedError: there is none; the text says why.
        """
        own, file = self._credentials(), self._file()
        if file is None:
            raise NotGrantedError("this agent has no mesh, and so no certificate")
        if own.certificate.may_issue is not None:
            raise NotGrantedError(f"this agent is an issuer; {renewal(own.certificate)}")
        wire, why, is_final = asked(self._root, own, issuer)
        if wire:
            why = by_main_thread(lambda: self._keep(own, wire, file, may_end_sooner=True))
        if why:
            raise NotGrantedError(why, is_final=is_final)
        return read_certificate(wire)

    def _keep(self, own: Credentials, wire: bytes, file: Path, *, may_end_sooner: bool) -> str:
        """Have the agent show ``wire`` from now on; why not, if that is not to be or cannot be."""
        self._take_up()
        if self._credentials().wire != own.wire:  # it may grant less than the one that was asked for
            return "another certificate was put in the place of the old one meanwhile"
        try:
            _require_better(own, wire, time.time(), may_end_sooner=may_end_sooner)
            replace_file(file, certificate_to_text(wire), PUBLIC_MODE)
        except (TrustError, AgentFileError) as error:
            return str(error)
        self._take_up()
        return ""

    def _ask(self, own: Credentials) -> None:
        """On a thread of its own."""
        try:
            wire, why, is_final = asked(self._root, own)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again
            wire, why, is_final = b"", repr(error), False
        self._events.put(Job(lambda: self._found(own, wire, why, is_final=is_final)))

    def _found(self, own: Credentials, wire: bytes, why: str, *, is_final: bool) -> None:
        self._is_asking = False
        file, now = self._file(), time.time()
        if self._times is None or file is None or self._credentials().wire != own.wire:
            return  # somebody else has renewed it meanwhile
        if wire:
            why = self._keep(own, wire, file, may_end_sooner=False)
            if not why:
                self._times.failed(now, 1.0, is_final=True)  # until it is taken up
                return
        pause_s = self._times.failed(now, random.random(), is_final=is_final)  # noqa: S311 - no secret
        level = logging.DEBUG if why == self._told else logging.WARNING
        self._told = why
        facts = {"reason": why, "seconds": pause_s}
        line = "the certificate has not been renewed: %(reason)s; next try in %(seconds).0f s"
        log.log(level, line, facts, extra=_EVENT)


def renew_nothing(issuer: str) -> Certificate:
    """Stands for :meth:`Renewer.renew` where there is none."""
    raise NotGrantedError(f"this agent renews nothing, and not by {issuer}")


def asked(
    root: AskRef[agent_messages.Inbound], own: Credentials, issuer: str = ""
) -> tuple[bytes, str, bool]:
    """Another certificate for ``own``, as wire bytes, not judged yet; or why not, and if that is final.

    Args:
        root: of the actors.
        own: what the agent has.
        issuer: name or ID of who is to sign; empty: any.
    """
    try:
        routes = routes_of(root)
    except StatusUnavailable as error:
        return b"", str(error), False
    candidates = list(issuers_for(routes, own.certificate))
    if issuer:
        meant = called(((record.agent_id, record.name) for record in candidates), issuer)
        candidates = [record for record in candidates if record.agent_id in meant]
    if not candidates:
        named_so = f" called {escaped(issuer)}" if issuer else ""
        return b"", f"no issuer{named_so} that may grant what this agent has is in reach", False
    reasons, is_final = [], True
    for record in candidates[:MAX_ASKED]:
        try:
            return ask_for_certificate(root, routes, record.agent_id, own.identity), "", False
        except NotGrantedError as refusal:
            is_final = is_final and refusal.is_final
            why = str(refusal)
        except StatusUnavailable as error:
            is_final, why = False, str(error)
        reasons.append(f"{named(record.name, record.agent_id)}: {escaped(why)}")
    return b"", "; ".join(reasons), is_final


def issuers_for(routes: RouteSnapshot, certificate: Certificate) -> Iterator[Record]:
    """Agents within reach that may sign one like it: who has signed it first, then the nearest."""
    before = issuer_of(certificate)
    wanted = _passing(certificate)

    def order(record: Record) -> tuple[bool, int, bytes]:
        is_other = before is None or record.agent_id != before.agent_id
        return is_other, routes.hop_counts[record.agent_id], record.agent_id

    found = (
        record
        for agent_id, record in routes.records.items()
        if agent_id != routes.own_id
        and agent_id in routes.hop_counts
        and record.certificate.may_issue is not None
        and not record.certificate.may_issue.excess(wanted)
    )
    return iter(sorted(found, key=order))


def _passing(certificate: Certificate) -> Passing:
    return Passing(
        register=certificate.may_register,
        use=certificate.may_use,
        relay=certificate.may_relay,
        manage=certificate.may_manage,
        groups=certificate.groups,
    )


def _require_better(own: Credentials, wire: bytes, now: float, *, may_end_sooner: bool) -> None:
    """See that ``wire`` can take the place of this agent's certificate, says the same, and lasts longer.

    An issuer could otherwise take away by it what another, or the authority, has granted.

    Raises:
        TrustError: it cannot.
    """
    found = own.trust.apart().admit(wire, now)  # that one is the actors'
    if found.subject != own.certificate.subject or found.is_invitation:
        raise TrustError("the issuer has answered with the certificate of another key")
    if (found.name, _passing(found)) != (own.certificate.name, _passing(own.certificate)):
        raise TrustError("the issuer has answered with a certificate of another name or other rights")
    if found.not_after < min(own.certificate.not_after, now + LEAST_S):
        raise TrustError(
            f"the issuer's certificate would end in {found.not_after - now:.0f} s, and this one later"
        )
    if found.not_after <= own.certificate.not_after and not may_end_sooner:
        raise TrustError("the issuer's certificate ends too soon for it to grant more time")
