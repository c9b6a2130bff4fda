"""Whether a service that somebody asks for can stand beside all that a running agent has, and may."""

import msgspec

from mesh.addresses import TcpAddress
from mesh.agent.chosen_ports import with_port
from mesh.agent.grants import missing_grants
from mesh.agent.outcome import NotPermittedError, RefusedError
from mesh.config.extra import Extra, clash
from mesh.config.schema import Config, EndpointSection, ForwardSection, ListenerSection
from mesh.config.services import service_name
from mesh.trust.certificates import Certificate


def fitted(service: Extra, running: Config, certificate: Certificate) -> Extra:
    """The same with a port of its own, if the agent can have it.

    Args:
        service: read and checked by itself.
        running: what the agent runs with.
        certificate: its own, at present.

    Raises:
        NotPermittedError: the certificate does not let it; whoever asks is there, and can be told.
        RefusedError: it clashes with what there is, or there is no port.
    """
    service = permitted(service, running, certificate)
    why = clash(running, service)
    if why is not None:
        raise RefusedError(f"{service_name(service)}: {why}")
    return service


def permitted(service: Extra, running: Config, certificate: Certificate) -> Extra:
    """The same with a port of its own, if the certificate lets the agent have it; whatever else there is.

    Raises:
        NotPermittedError: the certificate does not let it; whoever asks is there, and can be told.
        RefusedError: there is no port.
    """
    match service:
        case EndpointSection():
            forward = ForwardSection(endpoints=(service,))
        case ListenerSection(address=TcpAddress(port=0) as address):
            service = msgspec.structs.replace(service, address=with_port(address))
            forward = ForwardSection(listeners=(service,))
        case _:
            forward = ForwardSection(listeners=(service,))
    for missing in missing_grants(msgspec.structs.replace(running, forward=forward), certificate):
        raise NotPermittedError(missing.line())
    return service
