"""``/api/v1/listeners``, ``endpoints`` and ``leases``: services beside the file."""

from http import HTTPStatus
from typing import Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.closing import close_exits
from mesh.agent.control.machine_paths import forbid_paths
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import ENDPOINTS, LEASES, LISTENERS, RenewRequest, ServiceRequest
from mesh.agent.control.route import Call, Handle, Method, Nothing, Route
from mesh.agent.outcome import Added
from mesh.agent.saved_services import read_service
from mesh.config import ConfigError
from mesh.config.problems import Problem

CANNOT_BE: Final = frozenset({HTTPStatus.CONFLICT})
NO_SUCH: Final = frozenset({HTTPStatus.NOT_FOUND})


class ListenerPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which listeners are meant."""

    key: str
    address: str | None = None
    """Of the one; all of the key without it."""
    now: bool = False
    """Reset their connections, too; otherwise they finish by themselves."""


class EndpointPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoint is meant."""

    key: str
    now: bool = False
    """Reset its connections, too; otherwise they finish by themselves."""


class LeasePlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lease is meant."""

    lease: str


def service_routes(behind: Behind) -> tuple[Route, ...]:
    """What adds services and takes them out."""
    steering = behind.steering

    def add(kind: str, call: Call[Nothing, ServiceRequest]) -> Added:
        wish = call.body
        try:
            service = read_service(kind, wish.service)
        except ConfigError as error:
            told = "; ".join(map(_told, error.problems))
            raise ProblemError(HTTPStatus.BAD_REQUEST, told, place="body.service") from None
        forbid_paths((service,), call.caller, "body.service")
        guarded = steering.expecting(call.if_match)
        return guarded.save(service) if wish.save else guarded.hold(service, wish.hold_s)

    def add_listener(call: Call[Nothing, ServiceRequest]) -> Added:
        """Open a port for a key: for as long as the lease is renewed, or for good."""
        return add("listeners", call)

    def add_endpoint(call: Call[Nothing, ServiceRequest]) -> Added:
        """Offer a key: for as long as the lease is renewed, or for good."""
        return add("endpoints", call)

    def remove_listeners(call: Call[ListenerPlace, Nothing]) -> None:
        """Take out listeners that are not in the configuration file."""
        place = call.parameters
        steering.expecting(call.if_match).remove("listeners", place.key, place.address, resets=place.now)

    def remove_endpoint(call: Call[EndpointPlace, Nothing]) -> None:
        """Take out an endpoint that is not in the configuration file."""
        place = call.parameters
        steering.expecting(call.if_match).remove("endpoints", place.key, None)
        if place.now:
            close_exits(behind.open_connections, place.key)

    def renew(call: Call[LeasePlace, RenewRequest]) -> None:
        """Hold a service for longer.

        Of one that was taken out it says so with status 409: who holds it is not to ask for it anew.
        """
        _held(steering.renew(call.parameters.lease, call.body.hold_s))

    def release(call: Call[LeasePlace, Nothing]) -> None:
        """Hold a service no more."""
        _held(steering.release(call.parameters.lease))

    lease = f"{LEASES}/{{lease}}"
    return (
        _guarded(Method.POST, LISTENERS, add_listener, HTTPStatus.CREATED),
        _guarded(Method.DELETE, LISTENERS, remove_listeners, HTTPStatus.NO_CONTENT),
        _guarded(Method.POST, ENDPOINTS, add_endpoint, HTTPStatus.CREATED),
        _guarded(Method.DELETE, ENDPOINTS, remove_endpoint, HTTPStatus.NO_CONTENT),
        Route(Method.PUT, lease, renew, problems=NO_SUCH | CANNOT_BE, changes=True),
        Route(Method.DELETE, lease, release, problems=NO_SUCH, changes=True),
    )


def _guarded(method: Method, path: str, handle: Handle, status: HTTPStatus) -> Route:
    return Route(method, path, handle, status, problems=CANNOT_BE, changes=True, is_guarded=True)


def _held(was_held: bool) -> None:
    if not was_held:
        raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such lease, or it has ended")


def _told(problem: Problem) -> str:
    """A problem of an entry that came alone: its key, without the file that there is not."""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{problem.path.rpartition('.')[2]}: found {problem.found}; expected {problem.expected}{hint}"
