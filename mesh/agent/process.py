"""The agent's process: puts everything together, runs it, and ends it as signals say.

``python -m mesh.agent config.yaml`` runs it. The actors live on one dispatcher's thread, the HTTP side on
Waitress's threads, and the main thread waits for signals.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.runtime.descriptors import raise_descriptor_limit
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.reference import ActorRef
from actors.runtime.registry import install_ordered_registry
from mesh.agent.actor_status import ActorStatus
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.audit.behalf import Behalf, acting_for
from mesh.agent.audit.entries import renewal_facts
from mesh.agent.audit.trail_files import DIRECTORY
from mesh.agent.config_source import ConfigSource
from mesh.agent.control.behind import Behind
from mesh.agent.control.calling import ActorCalling
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.jobs import MainThread
from mesh.agent.control.mesh_door import MeshDoor
from mesh.agent.control.revoking import ActorRevoking, SettledRevoking
from mesh.agent.core_dumps import forbid_core_dumps
from mesh.agent.credentials import notices
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.descriptor_watch import DescriptorReminder
from mesh.agent.diagnosis.asking import ActorDiagnosing
from mesh.agent.dump import dump
from mesh.agent.enrolment.addresses import addresses_to_dial
from mesh.agent.enrolment.desk import EnrolmentDesk
from mesh.agent.enrolment.newest import CertificateWatch, shown_certificates
from mesh.agent.enrolment.renewal import Renewer
from mesh.agent.enumerations import quicken_enumerations
from mesh.agent.events import Events, Job
from mesh.agent.files import AgentFileError
from mesh.agent.http import HttpSide
from mesh.agent.importing import importing
from mesh.agent.issuer_list import IssuerList
from mesh.agent.layers import Layers
from mesh.agent.live_credentials import LiveCredentials
from mesh.agent.live_revocations import LiveRevocations
from mesh.agent.logs import LogOutput, logger
from mesh.agent.memory import keep_freed_memory
from mesh.agent.reload import Reloader
from mesh.agent.saved_services import read_saved
from mesh.agent.software import VERSION
from mesh.agent.terminal import Terminal
from mesh.agent.validity import Reminder
from mesh.agent.waiting import StoppedWaiting, wait_for_credentials
from mesh.agent.web_certificate import WebReminder
from mesh.auditing import AuditKind
from mesh.config.loading import Loaded
from mesh.connection.stream import StreamBudget
from mesh.journal import EventKind
from mesh.link.relay_budget import RelayBudget
from mesh.telling import event as told_event
from mesh.trust.credentials import Credentials
from mesh.trust.identity import display_id

log: Final = logger("agent")

STOP_TIMEOUT_S: Final = 5.0
"""For the dispatcher to end what is left after the leave-taking."""

GC_THRESHOLDS: Final = (10_000, 20, 50)
"""Almost nothing here is part of a cycle. With Python's 700 objects a collection, looking for cycles took 3 %
of an agent's time under many new connections."""

EVENT_LOOP_VARIABLE: Final = "MESH_EVENT_LOOP"
"""Of the environment: ``uvloop`` or ``asyncio``. Without it uvloop runs the agent where it is installed."""

EVENT_LOOPS: Final = ("uvloop", "asyncio")

EXIT_OK: Final = 0
EXIT_CRASHED: Final = 1


def run(source: ConfigSource, loaded: Loaded, output: LogOutput) -> int:
    """Run the agent until it is told to stop; the process's exit status.

    Args:
        source: of the configuration, to be read anew.
        loaded: what it has said.
        output: where the log goes.

    Raises:
        AgentFileError: a key, a certificate, the HTTP port or the event loop cannot be used; the text is one
            line for people.
    """
    forbid_core_dumps()  # before there is a key
    config, written = loaded
    event_loop = _event_loop()
    events = Events()
    with events.signals():
        try:
            credentials = wait_for_credentials(config, events, written)
        except StoppedWaiting as stopped:
            log.info("%s: the agent ends without having started", stopped.signal.name)
            return EXIT_OK
        for notice in notices(config, credentials.certificate, time.time(), written):
            log.warning("%s", notice)
        return _run(
            source, loaded, output=output, credentials=credentials, events=events, event_loop=event_loop
        )


def _run(
    source: ConfigSource,
    loaded: Loaded,
    *,
    output: LogOutput,
    credentials: Credentials,
    events: Events,
    event_loop: str,
) -> int:
    file, written = loaded
    layers = Layers(file, () if file.agent.data_dir is None else read_saved(file.agent.data_dir))
    config, clashes = layers.desired()
    for clash in clashes:
        log.error("left out: %(reason)s", {"reason": clash}, extra=told_event(EventKind.CONFIGURATION))
    reminder = Reminder(credentials.certificate, time.time())
    limit = raise_descriptor_limit()
    install_ordered_registry()
    keep_freed_memory()
    quicken_enumerations()
    meters, budget = Meters(journal=output.journal), StreamBudget(config.limits.stream_buffer_bytes)
    relay_budget = RelayBudget(config.limits.relay_buffer_bytes)
    dispatcher = LoopDispatcher("actors", on_fatal=events.put, prefer_uvloop=event_loop == "uvloop")
    root: ActorRef[agent_messages.Inbound] | None = None
    with contextlib.ExitStack() as stack:
        # Before any actor starts: an agent that cannot stay is not to be seen in the mesh.
        http = stack.enter_context(contextlib.closing(HttpSide(config.http, written)))
        control = stack.enter_context(contextlib.closing(ControlDoor(config.agent.data_dir)))
        audit = stack.enter_context(contextlib.closing(AuditLog(config.agent.data_dir, config.audit, meters)))
        own = {"agent": credentials.certificate.name, "id": display_id(credentials.identity.id)}
        audit.note(AuditKind.STARTED, {**own, "version": VERSION})
        stack.callback(audit.note, AuditKind.STOPPED, own)
        door = stack.enter_context(contextlib.closing(MeshDoor(audit)))
        stack.callback(events.abandon_jobs)  # else the door would wait for who asked for them
        stack.callback(dispatcher.stop, STOP_TIMEOUT_S)
        dispatcher.start()
        desk = EnrolmentDesk(
            events,
            meters,
            config.agent.data_dir,
            credentials=lambda: live.running,
            addresses=lambda: addresses_to_dial(reloader.config),
            audit=audit,
        )
        root = Agent.start(
            dispatcher,
            setup=AgentSetup(
                identity=credentials.identity,
                certificate=credentials.certificate,
                certificate_wire=credentials.wire,
                trust=credentials.trust,
                config=config,
                descriptor_limit=limit,
                software=VERSION,
                serve_control=door,
                serve_enrolment=desk,
                keep_revocations=lambda known: events.put(Job(lambda: revocations.keep(known))),
            ),
            meters=meters,
            budget=budget,
            relay_budget=relay_budget,
            on_left=lambda: events.put(None),
        )
        status = ActorStatus(
            root,
            config=config,
            credentials=credentials,
            meters=meters,
            budget=budget,
            relay_budget=relay_budget,
            audit=audit.standing,
            written=written,
        )
        app = http.dashboard(status, meters)

        def show(found: Credentials) -> None:
            reminder.renewed(found.certificate, time.time())
            audit.note(AuditKind.RENEWED, renewal_facts(found))
            with contextlib.suppress(pykka.ActorDeadError):
                root.tell(agent_messages.ChangeCredentials(found))

        live = LiveCredentials(credentials, config, written, show=show, tell=status.certified)
        revoking = ActorRevoking(root)
        revocations = LiveRevocations(
            config.agent.data_dir, revoking, live.revoked, known=credentials.trust.revocations, audit=audit
        )
        reloader = Reloader(
            source,
            layers,
            config,
            written,
            root=root,
            status=status,
            http=http,
            output=output,
            live=live,
            audit=audit,
        )
        renewer = Renewer(
            root,
            events,
            credentials=lambda: live.running,
            file=lambda: None if reloader.config.trust is None else reloader.config.trust.certificate,
            take_up=live.look_at_once,
        )
        main_thread = MainThread(events, reloader)
        settled = SettledRevoking(revoking, root, lambda: main_thread.done(lambda: None))
        behind = Behind(
            main_thread,
            app.latest,
            app.pairings,
            journal=meters.journal,
            open_connections=meters.open_connections,
            revoking=settled,
            revoke=IssuerList(lambda: live.running, settled).change,
            diagnosing=ActorDiagnosing(root),
            renew=lambda issuer: renewer.renew(issuer, main_thread.done),
            inviting=desk.inviting,
            asked=app.stamp,
            changed=app.outdate,
            audit=audit,
            audit_dir=None if config.agent.data_dir is None else config.agent.data_dir / DIRECTORY,
        )
        _serve_api(behind, app, (door, control, http), root, audit)
        # Objects made so far live as long as the process: no collection need look at them again.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        log.info(
            "agent %(agent)s %(id)s runs on %(event_loop)s, descriptor limit %(descriptor_limit)d",
            {
                "agent": credentials.certificate.name,
                "id": display_id(status.own_id),
                "event_loop": dispatcher.event_loop,
                "descriptor_limit": limit,
            },
            extra=told_event(EventKind.AGENT),
        )
        reminders = (
            reminder,
            DescriptorReminder(),
            WebReminder(status.web_certificate),
            renewer,
            CertificateWatch(
                events,
                is_issuer=lambda: live.running.certificate.may_issue is not None,
                look=lambda: shown_certificates(root),
                saw=desk.saw,
            ),
        )
        return _wait(reloader, (live, revocations, control), root, events, reminders)


def _serve_api(
    behind: Behind,
    app: DashboardApp,
    sides: tuple[MeshDoor, ControlDoor, HttpSide],
    root: ActorRef[agent_messages.Inbound],
    audit: AuditLog,
) -> None:
    """Have the API answer on all ``sides``. What it is made of is loaded now, while the actors serve."""
    with importing():
        from mesh.agent.control.api import ControlApp, MeshApp  # noqa: PLC0415

    door, control, http = sides
    door.serve(MeshApp(behind, app))
    behind = replace(behind, calling=ActorCalling(root, door.own))
    api = ControlApp(behind, app)
    control.serve(api)
    http.serve(app, api.routes, behind.calling, audit)


def _event_loop() -> str:
    """Which event loop the environment asks for, or the better one that there is."""
    wanted = os.environ.get(EVENT_LOOP_VARIABLE, "")
    has_uvloop = find_spec("uvloop") is not None
    if not wanted:
        return "uvloop" if has_uvloop else "asyncio"
    if wanted not in EVENT_LOOPS:
        expected = " or ".join(EVENT_LOOPS)
        raise AgentFileError(f"{EVENT_LOOP_VARIABLE}: expected {expected}, found {wanted!r}")
    if wanted == "uvloop" and not has_uvloop:
        raise AgentFileError(f"{EVENT_LOOP_VARIABLE}: uvloop is not installed; install it, or use asyncio")
    return wanted


def _wait(
    reloader: Reloader,
    files: tuple[LiveCredentials | LiveRevocations | ControlDoor, ...],
    root: ActorRef[agent_messages.Inbound],
    events: Events,
    reminders: tuple[Reminder | DescriptorReminder | WebReminder | Renewer | CertificateWatch, ...],
) -> int:
    """Wait for the end; the exit status."""
    leaving, terminal = False, Terminal()
    while True:
        try:
            wait_s = min(reminder.wait_s(time.time()) for reminder in reminders)
            for file in files:
                file.look()
            looks_s = (file.wait_s() for file in files)
            event = events.get(max(0.0, min(wait_s, reloader.next_expiry_s(), *looks_s)))
        except TimeoutError:
            with acting_for(Behalf("agent", "a command that held a service is gone")):
                reloader.expire()
            for reminder in reminders:
                if told := reminder.due(time.time()):
                    log.log(*told)
            continue
        if event is signal.SIGUSR1:
            dump(sys.stderr)
        elif event is signal.SIGHUP and leaving:
            pass  # a terminal that closes says so twice: by its shell and by the kernel
        elif event is signal.SIGHUP and not terminal.is_closed:
            with acting_for(Behalf("signal", event.name)):
                reloader.reload()
        elif isinstance(event, signal.Signals):
            if leaving:
                log.warning("%s again: exiting at once", event.name)
                logging.shutdown()
                os._exit(128 + event)
            log.info("%(signal)s: shutting down", {"signal": event.name}, extra=told_event(EventKind.AGENT))
            leaving = True
            with contextlib.suppress(pykka.ActorDeadError):
                root.tell(agent_messages.Leave(reloader.config.agent.drain_timeout_s))
        elif isinstance(event, Job):
            event.run()
        elif event is None:
            if leaving:
                log.info("left")
                return EXIT_OK
            log.critical("the root actor has died")
            return EXIT_CRASHED
        else:
            log.critical("fatal error: %r", event)
            return EXIT_CRASHED
