"""What the main thread does while the actors serve: it lets people and programs ask and change the agent.

It is loaded after the actors have started, so that they need not wait for it.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import ActorRef
from mesh.agent.actor_status import ActorStatus
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.audit.behalf import Behalf, acting_for
from mesh.agent.audit.entries import renewal_facts
from mesh.agent.audit.trail_files import DIRECTORY
from mesh.agent.control.api import ControlApp, MeshApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.calling import ActorCalling
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.jobs import MainThread
from mesh.agent.control.mesh_door import MeshDoor
from mesh.agent.control.revoking import ActorRevoking, SettledRevoking
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.descriptor_watch import DescriptorReminder
from mesh.agent.diagnosis.asking import ActorDiagnosing
from mesh.agent.dump import dump
from mesh.agent.enrolment.addresses import addresses_to_dial
from mesh.agent.enrolment.desk import EnrolmentDesk
from mesh.agent.enrolment.newest import CertificateWatch, shown_certificates
from mesh.agent.enrolment.renewal import Renewer
from mesh.agent.events import Events, Job
from mesh.agent.http import HttpSide
from mesh.agent.issuer_list import IssuerList
from mesh.agent.live_credentials import LiveCredentials
from mesh.agent.live_revocations import LiveRevocations
from mesh.agent.logs import logger
from mesh.agent.reload import Reloader
from mesh.agent.software import software_build
from mesh.agent.started import EXIT_CRASHED, EXIT_OK, STOP_TIMEOUT_S, Started
from mesh.agent.terminal import Terminal
from mesh.agent.validity import Reminder
from mesh.agent.web_certificate import WebReminder
from mesh.auditing import AuditKind
from mesh.journal import EventKind
from mesh.telling import event as told_event
from mesh.trust.credentials import Credentials
from mesh.trust.identity import display_id

log: Final = logger("agent")


def attend(started: Started) -> int:
    """Answer and obey until the agent is to end; the process's exit status."""
    with contextlib.ExitStack() as stack:
        return _attend(started, stack)


def _attend(started: Started, stack: contextlib.ExitStack) -> int:
    root, events, audit, meters = started.root, started.events, started.audit, started.meters
    config, written, credentials = started.config, started.written, started.credentials
    http = stack.enter_context(contextlib.closing(HttpSide(config.http, started.http)))
    control = stack.enter_context(contextlib.closing(ControlDoor(started.control)))
    door = stack.enter_context(contextlib.closing(MeshDoor(audit)))
    stack.callback(events.abandon_jobs)  # else the door would wait for who asked for them
    stack.callback(started.dispatcher.stop, STOP_TIMEOUT_S)
    reminder = Reminder(credentials.certificate, time.time())
    desk = EnrolmentDesk(
        events,
        meters,
        config.agent.data_dir,
        credentials=lambda: live.running,
        addresses=lambda: addresses_to_dial(reloader.config),
        audit=audit,
    )
    status = ActorStatus(
        root,
        config=config,
        credentials=credentials,
        meters=meters,
        budget=started.budget,
        relay_budget=started.relay_budget,
        audit=audit.standing,
        written=written,
    )
    app = http.dashboard(status, meters)

    def show(found: Credentials) -> None:
        reminder.renewed(found.certificate, time.time())
        audit.note(AuditKind.RENEWED, renewal_facts(found))
        with contextlib.suppress(pykka.ActorDeadError):
            root.tell(agent_messages.ChangeCredentials(found))

    live = LiveCredentials(
        credentials, config, written, stamp=started.stamps.certificate, show=show, tell=status.certified
    )
    revoking = ActorRevoking(root)
    revocations = LiveRevocations(
        config.agent.data_dir,
        revoking,
        live.revoked,
        known=credentials.trust.revocations,
        stamp=started.stamps.revocations,
        audit=audit,
    )
    reloader = Reloader(
        started.source,
        started.layers,
        config,
        written,
        root=root,
        status=status,
        http=http,
        output=started.output,
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
    started.revoked.hand_to(lambda known: events.put(Job(lambda: revocations.keep(known))))
    started.wished.hand_to(desk)
    _serve_api(behind, app, (door, control, http), root, audit)
    started.asked.hand_to(door)
    # Objects made so far live as long as the process: no collection need look at them again.
    gc.freeze()
    log.info(
        "agent %(agent)s %(id)s runs on %(build)s code, descriptor limit %(descriptor_limit)d",
        {
            "agent": credentials.certificate.name,
            "id": display_id(status.own_id),
            "build": software_build(),
            "descriptor_limit": started.descriptor_limit,
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
    """Have the API answer on all ``sides``."""
    door, control, http = sides
    door.serve(MeshApp(behind, app))
    behind = replace(behind, calling=ActorCalling(root, door.own))
    api = ControlApp(behind, app)
    control.serve(api)
    http.serve(app, api.routes, behind.calling, audit)


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
