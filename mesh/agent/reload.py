"""Have the running agent be as its configuration says now, and as commands ask for beside it.

All of it is applied or named as taking effect at the next start; a file with mistakes changes nothing.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from actors.messages import agent as agent_messages
from actors.messages import route_table as route_messages
from actors.runtime.reference import AskRef, tell_if_alive
from mesh.agent.actor_questions import agent_refs
from mesh.agent.actor_status import ActorStatus
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.audit.configured import note_outcome
from mesh.agent.chosen_ports import wants_port_of_another
from mesh.agent.config_source import ConfigSource
from mesh.agent.draining import drain
from mesh.agent.files import AgentFileError
from mesh.agent.fitting import fitted, permitted
from mesh.agent.http import HttpSide
from mesh.agent.layers import Desired, Layers
from mesh.agent.live_credentials import LiveCredentials
from mesh.agent.logs import LogOutput, logger
from mesh.agent.outcome import Added, Outcome, OutdatedError, RefusedError, Verdict
from mesh.agent.planning import planned
from mesh.agent.port_troubles import port_troubles
from mesh.agent.reload_log import log_reload, refusal_of
from mesh.agent.running_config import NO_NAMES, RunningConfig
from mesh.agent.saved_services import NAME as SAVED
from mesh.agent.saved_services import read_place, read_saved, write_saved
from mesh.config import ConfigError
from mesh.config.difference import applied, difference
from mesh.config.extra import Extra, merged_or_clashes
from mesh.config.loading import Written
from mesh.config.schema import Config, EndpointSection, ListenerSection
from mesh.config.services import Service, service_name, services
from mesh.journal import EventKind
from mesh.telling import event
from mesh.trust.credentials import Credentials

ANSWER_S: Final = 1.0
"""For the actors to say who they are."""

CERTIFICATE: Final = "certificate"
"""What has changed if another one is in the file that the configuration names."""

log: Final = logger("agent")

_EVENT: Final = event(EventKind.CONFIGURATION)


class Reloader:
    """Carries changes out, on the thread that calls it; one at a time."""

    def __init__(
        self,
        source: ConfigSource,
        layers: Layers,
        running: Config,
        written: Written,
        *,
        root: AskRef[agent_messages.Inbound],
        status: ActorStatus,
        http: HttpSide,
        output: LogOutput,
        live: LiveCredentials,
        audit: AuditLog,
    ) -> None:
        self._status = status
        self._running = RunningConfig(running, written, root=root, status=status, audit=audit)
        self._number = 0
        """Of the latest reload."""
        self._source = source
        self._layers = layers
        self._root = root
        self._http = http
        self._output = output
        self._live = live
        self._audit = audit

    @property
    def config(self) -> Config:
        """What the agent runs with."""
        return self._running.config

    def drain(self, *, draining: bool) -> None:
        """Have the mesh prefer other agents, or no longer; see :func:`mesh.agent.draining.drain`."""
        drain(self._root, draining=draining)

    # -- the file --------------------------------------------------------------------------------------------

    def reload(self) -> Outcome:
        """Read it and log what came of it; on return it has been done, or what is left has been told."""
        self._number += 1
        outcome = self._reload()
        log_reload(self._number, outcome)
        self._status.reloaded(refusal_of(outcome, time.time()))
        if outcome.verdict is Verdict.REFUSED:
            note_outcome(self._audit, outcome)
        self._audit.apply(self.config.audit)
        self._output.apply(self.config.logging)  # not before: who wants only errors shall see this, too
        return outcome

    def plan(self, path: Path | None) -> Outcome:
        """What a reload would do if the file at ``path`` were the configuration; ``None`` is its own file."""
        source = self._source if path is None else self._source.at(path)
        return planned(lambda: source.read_again().config, self._beside, self.config)

    def plan_text(self, text: str) -> Outcome:
        """What a reload would do if the file said ``text``, with nothing of the environment in it."""
        return planned(lambda: self._source.saying(text).config, self._beside, self.config)

    def _beside(self) -> tuple[Extra, ...]:
        held = (each.service for each in self._layers.held.values())
        return (*self._saved(), *held)  # what was saved is read again by a reload, too

    def _reload(self) -> Outcome:
        layers, before = self._layers, (self._layers.file, self._layers.saved, self._running.written)
        try:
            layers.file, self._running.written = self._source.read_again()
            layers.saved = self._saved()
            desired, clashes = layers.desired()
            credentials, unfit = self._live.read_beside(applied(self.config, desired), self._running.written)
            waits = wants_port_of_another(difference(self.config, desired), layers.file.http)
            if not waits:
                self._http.change(layers.file.http, self._running.written)
        except (ConfigError, AgentFileError) as error:
            layers.file, layers.saved, self._running.written = before
            return Outcome.refused(str(error).splitlines())
        http_before = self.config.http
        outcome = self._carry_out(desired, (*clashes, *unfit))
        is_fit = not unfit
        if waits and outcome.verdict is not Verdict.REFUSED:
            try:
                self._http.change(layers.file.http, self._running.written)
            except AgentFileError as error:
                outcome = outcome.but(str(error))
                self._running.show(msgspec.structs.replace(self.config, http=http_before))
            return self._with_troubles(self._certified(outcome, credentials, is_fit=is_fit))
        if outcome.verdict is Verdict.REFUSED:
            layers.file, layers.saved, self._running.written = before
            try:  # to be as it was, which has the port again that had been given up already
                self._http.change(layers.file.http, self._running.written)
            except AgentFileError as error:
                return Outcome.refused((*outcome.problems, str(error)))
            finally:
                layers.show()
            return outcome
        return self._with_troubles(self._certified(outcome, credentials, is_fit=is_fit))

    def _certified(self, outcome: Outcome, credentials: Credentials, *, is_fit: bool) -> Outcome:
        """The same with what is new of the credentials in effect, if their file ``is_fit``."""
        if not is_fit:
            self._live.follow(self.config, self._running.written)
            return outcome
        is_new = self._live.take(credentials, self.config, self._running.written)
        is_file = is_new and not any(path.startswith("trust.") for path in outcome.changed)
        return outcome.and_changed(CERTIFICATE) if is_file else outcome

    def _with_troubles(self, outcome: Outcome) -> Outcome:
        """The same with what keeps new listeners and acceptors from their ports."""
        troubles = self._troubles((*outcome.added, *outcome.changed))
        return outcome.but(*(f"{name}: {trouble}; trying again" for name, trouble in troubles.items()))

    def _saved(self) -> tuple[Extra, ...]:
        data_dir = self.config.agent.data_dir
        return () if data_dir is None else read_saved(data_dir)

    # -- beside the file -------------------------------------------------------------------------------------

    def hold(self, service: Extra, hold_s: float) -> Added:
        """Add a service for ``hold_s`` seconds, and for as long again with each renewal of its lease.

        Raises:
            RefusedError: it cannot be.
        """
        service = fitted(service, self.config, self._live.running.certificate)
        lease = self._layers.hold(service, time.monotonic() + hold_s)
        try:
            self._add(service)
        except BaseException:
            self._layers.release(lease)
            self._apply()
            raise
        return _added(service, lease)

    def save(self, service: Extra) -> Added:
        """Add a service for good: it is there after a restart, too.

        Raises:
            RefusedError: it cannot be.
        """
        before = self._layers.saved
        service = fitted(service, self.config, self._live.running.certificate)
        self._save((*before, service))
        try:
            self._add(service)
        except BaseException as error:
            if stuck := self._put_back(before):
                raise RefusedError("; ".join((str(error), *stuck))) from error
            self._apply()
            raise
        return _added(service, None)

    def renew(self, lease: str, hold_s: float) -> bool:
        """Hold a service for longer; whether it is held still.

        Raises:
            RefusedError: it was taken out.
        """
        return self._layers.renew(lease, time.monotonic() + hold_s)

    def release(self, lease: str) -> bool:
        """Hold a service no more; whether it was held."""
        held = self._layers.release(lease)
        if held is None:
            return False
        log.info("%(service)s: not held any more", {"service": service_name(held.service)}, extra=_EVENT)
        self._apply()
        return True

    def remove(self, kind: str, key: str, address: str | None, *, resets: bool = False) -> None:
        """Take services out that were saved, or that commands hold.

        Args:
            kind: ``endpoints`` or ``listeners``.
            key: theirs.
            address: of the one listener that is meant, as whoever asks writes it; ``None`` means all of the
                key.
            resets: whether the connections of these listeners are reset; else they finish by themselves.

        Raises:
            RefusedError: there is none, but perhaps one in the file.
        """
        place = None if address is None else read_place(address)

        def is_meant(service: Service) -> bool:
            if isinstance(service, ListenerSection):
                is_at = place is None or str(service.address) == place
                return kind == "listeners" and service.key == key and is_at
            return kind == "endpoints" and isinstance(service, EndpointSection) and service.key == key

        kept = tuple(each for each in self._layers.saved if not is_meant(each))
        leases = [lease for lease, held in self._layers.held.items() if is_meant(held.service)]
        if len(kept) == len(self._layers.saved) and not leases:
            if any(map(is_meant, services(self._layers.file).values())):
                raise RefusedError(f"{key} is in the configuration file: take it out there, then mesh reload")
            raise RefusedError(f"there is no such {kind.removesuffix('s')} of {key}")
        gone = frozenset(service_name(each) for each in self._layers.extras() if is_meant(each))
        if len(kept) < len(self._layers.saved):
            self._save(kept)
        for lease in leases:
            self._layers.take_out(lease)
        log.info("%(kind)s of %(key)s: taken out", {"kind": kind, "key": key}, extra=_EVENT)
        self._apply(gone if resets else NO_NAMES)

    def expire(self) -> None:
        """Let go of what commands have ceased to hold."""
        if gone := self._layers.expire(time.monotonic()):
            for held in gone:
                line = "%(service)s: not held any more: its command has gone without a word"
                log.info(line, {"service": service_name(held.service)}, extra=_EVENT)
            self._apply()

    def next_expiry_s(self) -> float:
        """Seconds until :meth:`expire` is due."""
        return self._layers.next_expiry() - time.monotonic()

    def _add(self, service: Extra) -> None:
        """Carry it out; see whether it has its port.

        Raises:
            RefusedError: it has not.
        """
        name = service_name(service)
        outcome = self._apply()
        if outcome.problems:
            raise RefusedError(f"{name}: {'; '.join(outcome.problems)}")
        for trouble in self._troubles((name,)).values():
            raise RefusedError(f"{name}: {trouble}")
        log.info("%(service)s: added", {"service": name}, extra=_EVENT)

    def _troubles(self, names: Iterable[str]) -> dict[str, str]:
        """What keeps those of these that listen from their ports, as soon as that is known."""
        return port_troubles(self._root, services(self.config), names)

    def _save(self, saved: tuple[Extra, ...]) -> None:
        data_dir = self.config.agent.data_dir
        if data_dir is None:
            raise RefusedError("agent.data_dir is absent: there is nowhere to save it")
        try:
            write_saved(data_dir, saved)
        except AgentFileError as error:
            raise RefusedError(str(error)) from None
        self._layers.saved = saved

    def replace_saved(self, saved: tuple[Extra, ...], *, dry_run: bool) -> Outcome:
        """Have these services saved, and no others; if one clashes with what there is, nothing is done.

        Raises:
            NotPermittedError: the certificate does not grant one that was not saved before.
            RefusedError: they cannot be written, or there is no port for one.
        """
        layers, before = self._layers, self._layers.saved
        certificate = self._live.running.certificate
        saved = tuple(each if each in before else permitted(each, self.config, certificate) for each in saved)
        clashes = merged_or_clashes(layers.file, saved)[1]
        if clashes:
            return Outcome.refused(clashes)
        held = tuple(each.service for each in layers.held.values())
        desired, clashes = merged_or_clashes(layers.file, (*saved, *held))
        if dry_run:
            return Outcome.of(difference(self.config, desired), clashes)
        self._save(saved)
        outcome = self._carry_out(desired, clashes)
        if outcome.verdict is Verdict.REFUSED:
            outcome = outcome.but(*self._put_back(before))
            self._layers.show()
        return outcome

    def _put_back(self, saved: tuple[Extra, ...]) -> tuple[str, ...]:
        """Have these saved again, as before a change that has failed; why they cannot be, if so."""
        try:
            self._save(saved)
        except RefusedError as error:
            return (f"{SAVED} could not be made again as it was: {error}",)
        return ()

    def advertise(self) -> None:
        """Tell the mesh of what this agent has, as far as that has changed.

        Raises:
            StatusUnavailable: the actors are busy, or being started anew.
        """
        refs = agent_refs(self._root, time.monotonic() + ANSWER_S)
        tell_if_alive(refs.route_table, route_messages.Advertise())

    def expect(self, revision: str) -> None:
        """See whether what is desired is what the caller knows.

        Raises:
            OutdatedError: it is another.
        """
        now = self._layers.shown.revision
        if revision != now:
            raise OutdatedError(f"the revision is {now} by now: read again, then decide")

    def desired(self) -> Desired:
        """What the agent should be; for any thread."""
        return self._layers.shown

    # -- carrying out ----------------------------------------------------------------------------------------

    def _apply(self, resets: frozenset[str] = NO_NAMES) -> Outcome:
        """Be as the layers say; what is left out of them has been told when it came to clash."""
        config, _ = self._layers.desired()
        return self._carry_out(config, resets=resets)

    def _carry_out(
        self, config: Config, clashes: Iterable[str] = (), resets: frozenset[str] = NO_NAMES
    ) -> Outcome:
        outcome = self._running.carry_out(config, clashes, resets)
        self._layers.show()
        return outcome


def _added(service: Extra, lease: str | None) -> Added:
    place = service.address if isinstance(service, ListenerSection) else service.target
    return Added(service_name(service), str(place), lease)
