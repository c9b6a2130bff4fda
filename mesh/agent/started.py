"""The parts of an agent that serve before the rest of it is loaded."""

from typing import Final

import msgspec

from actors.messages import agent as agent_messages
from actors.messages import control_end as control_end_messages
from actors.meters import Meters
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.reference import ActorRef
from actors.runtime.seam import Ref
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.config_source import ConfigSource
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.dashboard.listening import HttpPort
from mesh.agent.events import Events
from mesh.agent.file_stamps import ReadStamps
from mesh.agent.held_calls import HeldCalls
from mesh.agent.layers import Layers
from mesh.agent.logs import LogOutput
from mesh.config.loading import Written
from mesh.config.schema import Config
from mesh.connection.reserved import Caller
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.trust.credentials import Credentials
from mesh.trust.revocations import Revocations

STOP_TIMEOUT_S: Final = 5.0
"""For the dispatcher to end what is left after the leave-taking."""

EXIT_OK: Final = 0
EXIT_CRASHED: Final = 1


class Started(msgspec.Struct, frozen=True):
    """The actors, what they were made from, and the places where people will ask."""

    root: ActorRef[agent_messages.Inbound]
    source: ConfigSource
    layers: Layers
    config: Config
    written: Written
    credentials: Credentials
    stamps: ReadStamps
    """Of the files that these were read from."""
    meters: Meters
    budget: StreamBudget
    relay_budget: RelayBudget
    output: LogOutput
    events: Events
    audit: AuditLog
    http: HttpPort
    control: ControlSocket
    dispatcher: LoopDispatcher
    descriptor_limit: int
    """Of the process."""
    asked: HeldCalls[Caller, bytes, Ref[control_end_messages.AnswerFound]]
    """What other agents ask of the API."""
    wished: HeldCalls[Caller, bytes, Ref[control_end_messages.AnswerFound]]
    """What they ask of the issuer's desk."""
    revoked: HeldCalls[Revocations]
    """What is to be kept of revocations."""
