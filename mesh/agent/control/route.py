"""What the API consists of: routes, each with the types of what it takes and answers.

The types check requests and encode answers (:mod:`mesh.agent.control.resource`), and the served document
follows from them (:mod:`mesh.agent.control.openapi`), so none of the three can differ from the others.
"""

import enum
import inspect
import re
import sys
import typing
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from mesh.agent.dashboard.stamps import Stamp

_PLACES: Final = re.compile(r"\{(\w+)\}")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a route that takes no parameters, or no body."""


P = TypeVar("P", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct)


class Method(enum.Enum):
    """The methods of HTTP that the API has."""

    GET = "get"
    POST = "post"
    PUT = "put"
    DELETE = "delete"


class Call(msgspec.Struct, Generic[P, B], frozen=True):
    """A request that has been checked."""

    parameters: P
    """Of the path, by the names in its braces, and of the query."""
    body: B
    caller: str
    """Who asks, for the log."""
    if_match: str | None = None
    """The revision that the caller knows, if the change is to be made to no other."""


Handle: TypeAlias = Callable[[Call[Any, Any]], object]
"""Answers a call."""


class Route(msgspec.Struct, frozen=True):
    """A method of a path.

    ``handle`` has the types in its annotations: it takes a :class:`Call` of the parameters and the body, each
    a Struct, and returns what is answered as JSON, or ``None``. Its docstring describes it to clients.
    """

    method: Method
    path: str
    """With parameters in braces."""
    handle: Handle
    status: HTTPStatus = HTTPStatus.OK
    """Of the answer; one of ``None`` is 204, whatever this says."""
    problems: frozenset[HTTPStatus] = frozenset()
    """What may be wrong beyond what is checked before ``handle``, and an agent that is busy."""
    changes: bool = False
    """Whether it changes anything, or tells what not everybody is to know: not everybody may ask for it."""
    waits: bool = False
    """Whether it may take seconds, of which it works little."""
    is_guarded: bool = False
    """Whether it heeds ``If-Match``."""
    stamp: Callable[[], Stamp] | None = None
    """Of one whose answer to the same request is the same while this is; others are made anew each time."""

    def then(self, told: Callable[[], None]) -> "Route":
        """The same; ``told`` is called before it answers, whatever has come of it."""
        handle = self.handle

        @wraps(handle)
        def handled(call: Call[P, B]) -> object:
            try:
                return handle(call)
            finally:
                told()

        return msgspec.structs.replace(self, handle=handled)

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return self._told()[0]

    @property
    def description(self) -> str:
        """What more there is to say, perhaps nothing."""
        return self._told()[2].strip()

    def _told(self) -> tuple[str, str, str]:
        return inspect.cleandoc(self.handle.__doc__ or "").partition("\n\n")

    def types(self) -> "RouteTypes":
        """What it takes and answers.

        Raises:
            TypeError: ``handle`` has not the annotations that it should have, or is not described.
        """
        hints = typing.get_type_hints(self.handle)
        answers = hints.pop("return")
        (call,) = hints.values()
        is_described = bool(self.handle.__doc__) or sys.flags.optimize > 1  # python -OO has no docstrings
        if typing.get_origin(call) is not Call or not is_described:
            raise TypeError(f"{self.path}: expected a described function of one Call, found {self.handle}")
        parameters, body = typing.get_args(call)
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(parameters)}
        places = tuple(_PLACES.findall(self.path))
        if not fields.keys() >= set(places):
            raise TypeError(f"{self.path}: expected a field of {parameters} for each of {places}")
        return RouteTypes(parameters, body, answers, fields, places)


class RouteTypes(msgspec.Struct, frozen=True):
    """What a route takes and answers."""

    parameters: type[msgspec.Struct]
    body: type[msgspec.Struct]
    answers: object
    """``NoneType`` if there is no answer."""
    fields: dict[str, object]
    """The type of each parameter, by its name."""
    places: tuple[str, ...]
    """The parameters that are part of the path."""

    @property
    def has_body(self) -> bool:
        """Whether it takes one."""
        return self.body is not Nothing

    @property
    def needs_body(self) -> bool:
        """Whether it cannot do without one."""
        return any(field.required for field in msgspec.structs.fields(self.body))

    def is_list(self, name: str) -> bool:
        """Whether a parameter may be given several times."""
        return typing.get_origin(self.fields.get(name)) is tuple


class Revised(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that belongs to a revision of what the agent should be; that is its ``ETag`` too."""

    revision: str


ALWAYS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Of any request: it is malformed, asks a host of another name, brings a body, or comes at a busy time."""


ANYWHERE: Final = ALWAYS | {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
}
"""Of a request to another agent."""


def problems_of(route: Route) -> frozenset[HTTPStatus]:
    """Everything that may be wrong with a request for ``route``."""
    found = {*ALWAYS, *route.problems}
    if route.changes:
        found |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
    if route.is_guarded:
        found.add(HTTPStatus.PRECONDITION_FAILED)
    return frozenset(found)
