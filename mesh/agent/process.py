"""The agent's process: puts everything together, runs it, and ends it as signals say.

``python -m mesh.agent config.yaml`` runs it. The actors live on one dispatcher's thread, the HTTP side on
Waitress's threads, and the main thread waits for signals.
"""

import contextlib
import gc
import time
from typing import Final

from actors.messages import control_end as control_end_messages
from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.runtime.descriptors import raise_descriptor_limit
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.registry import install_ordered_registry
from actors.runtime.seam import Ref
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.config_source import ConfigSource
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.core_dumps import forbid_core_dumps
from mesh.agent.credentials import notices
from mesh.agent.dashboard.listening import take_port
from mesh.agent.enumerations import quicken_enumerations
from mesh.agent.events import Events
from mesh.agent.file_stamps import ReadStamps, stamps_before_reading
from mesh.agent.held_calls import HeldCalls
from mesh.agent.importing import importing
from mesh.agent.layers import Layers
from mesh.agent.logs import LogOutput, logger
from mesh.agent.memory import keep_freed_memory
from mesh.agent.network_stack import network_stack
from mesh.agent.saved_services import read_saved
from mesh.agent.software import VERSION
from mesh.agent.started import EXIT_OK, STOP_TIMEOUT_S, Started
from mesh.agent.waiting import StoppedWaiting, wait_for_credentials
from mesh.auditing import AuditKind
from mesh.config.loading import Loaded
from mesh.config.schema import Config
from mesh.connection.reserved import Caller
from mesh.connection.stream import StreamBudget
from mesh.journal import EventKind
from mesh.link.relay_budget import RelayBudget
from mesh.telling import event as told_event
from mesh.trust.credentials import Credentials
from mesh.trust.identity import display_id
from mesh.trust.revocations import Revocations

log: Final = logger("agent")

GC_THRESHOLDS: Final = (10_000, 20, 50)
"""Almost nothing here is part of a cycle. With Python's 700 objects a collection, looking for cycles took 3 %
of an agent's time under many new connections."""

JOIN_TIMEOUT_S: Final = 0.2
"""For the first link, where there are peers to dial; those that are far away or do not run get no longer."""

LOOK_S: Final = 0.005

SETTLE_S: Final = 0.03
"""For the actors to take their addresses, or to hear over that link who offers what."""


def run(source: ConfigSource, loaded: Loaded, output: LogOutput) -> int:
    """Run the agent until it is told to stop; the process's exit status.

    Args:
        source: of the configuration, to be read anew.
        loaded: what it has said.
        output: where the log goes.

    Raises:
        AgentFileError: a key, a certificate or the HTTP port cannot be used; the text is one
            line for people.
    """
    forbid_core_dumps()  # before there is a key
    config, written = loaded
    events, stamps = Events(), stamps_before_reading(config)
    with events.signals():
        try:
            credentials = wait_for_credentials(config, events, written)
        except StoppedWaiting as stopped:
            log.info("%s: the agent ends without having started", stopped.signal.name)
            return EXIT_OK
        for notice in notices(config, credentials.certificate, time.time(), written):
            log.warning("%s", notice)
        return _run(
            source,
            loaded,
            output=output,
            credentials=credentials,
            stamps=stamps,
            events=events,
        )


def _run(
    source: ConfigSource,
    loaded: Loaded,
    *,
    output: LogOutput,
    credentials: Credentials,
    stamps: ReadStamps,
    events: Events,
) -> int:
    file, written = loaded
    layers = Layers(file, () if file.agent.data_dir is None else read_saved(file.agent.data_dir))
    config, clashes = layers.desired()
    for clash in clashes:
        log.error("left out: %(reason)s", {"reason": clash}, extra=told_event(EventKind.CONFIGURATION))
    limit = raise_descriptor_limit()
    install_ordered_registry()
    keep_freed_memory()
    quicken_enumerations()
    gc.set_threshold(*GC_THRESHOLDS)
    meters, budget = Meters(journal=output.journal), StreamBudget(config.limits.stream_buffer_bytes)
    relay_budget = RelayBudget(config.limits.relay_buffer_bytes)
    dispatcher = LoopDispatcher("actors", on_fatal=events.put)
    asked: HeldCalls[Caller, bytes, Ref[control_end_messages.AnswerFound]] = HeldCalls()
    wished: HeldCalls[Caller, bytes, Ref[control_end_messages.AnswerFound]] = HeldCalls()
    revoked: HeldCalls[Revocations] = HeldCalls()
    with contextlib.ExitStack() as stack:
        # Before any actor starts: an agent that cannot stay is not to be seen in the mesh. The data
        # directory first: who starts an agent twice hears so, and not of the port that the first one has.
        control = stack.enter_context(contextlib.closing(ControlSocket(config.agent.data_dir)))
        http = stack.enter_context(contextlib.closing(take_port(config.http, written)))
        audit = stack.enter_context(contextlib.closing(AuditLog(config.agent.data_dir, config.audit, meters)))
        own = {"agent": credentials.certificate.name, "id": display_id(credentials.identity.id)}
        audit.note(AuditKind.STARTED, {**own, "version": VERSION})
        stack.callback(audit.note, AuditKind.STOPPED, own)
        stack.callback(dispatcher.stop, STOP_TIMEOUT_S)
        dispatcher.start()
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
                serve_control=asked,
                serve_enrolment=wished,
                keep_revocations=revoked,
                network=network_stack(),
            ),
            meters=meters,
            budget=budget,
            relay_budget=relay_budget,
            on_left=lambda: events.put(None),
        )
        _let_serve(config, meters)
        # Imported here and not above: the actors serve already, and need nothing of it.
        with importing():
            from mesh.agent.attending import attend  # noqa: PLC0415

        return attend(
            Started(
                root=root,
                source=source,
                layers=layers,
                config=config,
                written=written,
                credentials=credentials,
                stamps=stamps,
                meters=meters,
                budget=budget,
                relay_budget=relay_budget,
                output=output,
                events=events,
                audit=audit,
                http=http,
                control=control,
                dispatcher=dispatcher,
                descriptor_limit=limit,
                asked=asked,
                wished=wished,
                revoked=revoked,
            )
        )


def _let_serve(config: Config, meters: Meters) -> None:
    """Leave the interpreter to the actors until they are at their places, and in the mesh.

    Each of their turns would wait for a module that is being loaded beside them.
    """
    deadline = time.monotonic() + JOIN_TIMEOUT_S
    while config.peers and not meters.peers.by_peer() and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    time.sleep(SETTLE_S)
