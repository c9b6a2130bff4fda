"""Targets at the API's doors: what is shown as a token, and requests of those who were let in."""

import base64
import binascii
import contextlib
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.control.bearers import Asking, Bearers, Refusal
from mesh.agent.control.in_process import answer_of
from mesh.agent.control.problem import ProblemDocument
from mesh.agent.control.requests import CONTROL_SOCKET, MESH_TEST
from mesh.agent.control.route import Method, problems_of
from mesh.agent.control.tokens import Tokens, token_hash
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.config.kinds import Context, Scalar
from mesh.config.schema import TokenSection
from mesh.config.token_kinds import CHANGE, READ, SCOPES, Moment, TokenHash, moment_text
from mesh.errors import RemoteProtocolError
from mesh.remote.wire import Asked, read_asked, write_asked
from scripts.fuzzing.api_agent import Agent, api_of
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import UNIX_NOW
from scripts.fuzzing.shapes import alike

_TOKENS: Final = {name: f"mesh_{name}" + "A" * 40 for name in ("reader", "deploy", "old")}
_HELD: Final = (
    TokenSection(name="reader", hash=token_hash(_TOKENS["reader"]), scope=READ),
    TokenSection(name="deploy", hash=token_hash(_TOKENS["deploy"])),
    TokenSection(name="old", hash=token_hash(_TOKENS["old"]), expires_unix_s=UNIX_NOW - 1.0),
)
_SCHEMES: Final = ("Bearer ", "bearer\t", "Basic ", "Digest ", "", " Bearer  ", "Bearer,Basic ")
_ALL: Final = "".join(_TOKENS.values())


def api_token(data: bytes) -> None:
    """An Authorization header: whoever gets through has shown a token that is good for that, and in full."""
    choices = Choices(data)
    tokens = Tokens(_HELD, lambda: 0.0, lambda: UNIX_NOW)
    bearers = Bearers(tokens)
    for _ in range(1 + choices.below(12)):
        scheme, by_password = choices.one_of(_SCHEMES), choices.yes()
        shown = choices.one_of((*_TOKENS.values(), _ALL))
        start = choices.below(3)
        shown = shown[start : len(shown) - choices.below(3)] + choices.blob(4).decode("latin-1")
        if choices.yes():
            shown = base64.b64encode(b"a:" + shown.encode("latin-1") + choices.blob(3)).decode()
        header = scheme + shown + choices.blob(10).decode("latin-1")
        scope = choices.one_of(SCOPES)
        path = "/" + choices.blob(20).decode("latin-1")
        judged = bearers.judged(Asking("GET", path, "192.0.2.1", header, by_password), scope)
        if not isinstance(judged, Refusal):
            assert judged.name != "old"  # noqa: S101
            assert scope == READ or judged.scope == CHANGE  # noqa: S101
            assert _TOKENS[judged.name] in _said(header, by_password=by_password)  # noqa: S101
            continue
        assert judged.status in (401, 403, 429)  # noqa: S101
        for name, value in judged.headers:
            assert (name + value).isprintable()  # noqa: S101
    _settings(choices)


def _said(header: str, *, by_password: bool) -> tuple[str, ...]:
    """What a header may say that the token is, read in another way."""
    parts = header.split()
    plain = parts[1:2] if len(parts) == 2 and parts[0].lower() == "bearer" else []
    if by_password and len(parts) == 2 and parts[0].lower() == "basic":
        try:
            plain += base64.b64decode(parts[1]).decode().split(":", 1)[1:]
        except (binascii.Error, UnicodeDecodeError):
            return tuple(plain)
    return tuple(plain)


def _settings(choices: Choices) -> None:
    """A hash and an end of one, as a configuration has them."""
    context, text = Context(Path("/")), choices.rest().decode("utf-8", "surrogateescape")
    with contextlib.suppress(ValueError):
        assert len(TokenHash().parse(Scalar(text, "str"), context)) == 32  # noqa: S101
    with contextlib.suppress(ValueError):
        moment = Moment().parse(Scalar(text, "timestamp"), context)
        again = Moment().parse(Scalar(moment_text(moment), "timestamp"), context)
        assert abs(again - moment) <= 1.0  # noqa: S101


_AGENT: Final = Agent()
_API: Final = api_of(_AGENT)
_ROUTES: Final = tuple(route for route in _API.routes if route.path != MESH_TEST)
_METHODS: Final = tuple(method.value.upper() for method in Method)
_WORDS: Final = ("1", "hq", _AGENT.id, "listeners", "svc", "x y", "..", "%2e%2e", "\u00e9", "")
_NAMES: Final = (
    "limit",
    "offset",
    "key",
    "address",
    "now",
    "dry_run",
    "after",
    "last",
    "kind",
    "agent",
    "zz",
)
_VALUES: Final = (
    "1",
    "0",
    "-1",
    "true",
    "svc",
    "127.0.0.1:1",
    "9" * 30,
    "",
    "%00",
    "3-10",
    "changes",
    "a&b=1",
)
_CALLERS: Final = (CONTROL_SOCKET, "the token of deploy")
_TYPES: Final = ("application/json", "application/json; charset=x", "text/plain", "")
_TAGS: Final = ("", "*", '"1"', 'W/"1"', "x")
_BODIES: Final[tuple[dict[str, object], ...]] = (
    {},
    {"service": {"key": "svc", "address": "127.0.0.1:0"}, "save": True, "hold_s": 5.0},
    {"service": {"key": "svc", "target": "unix:/run/x", "allow": ["hq"]}},
    {"forward": {"endpoints": [{"key": "a", "target": "h:1"}], "listeners": []}},
    {"config": "agent: {name: x}\n"},
    {"file": "/etc/mesh/config.yaml"},
    {"name": "new", "use": ["svc"], "groups": ["staff"], "valid_s": 3600, "addresses": ["h:1"]},
    {"lists": ["AAAA"]},
    {"hold_s": 3.0},
    {"agents": ["hq"], "count": 3, "key": "svc", "size": 1, "seconds": 1},
)
_EXPECTED: Final = frozenset({200, 201, 202, 204, 400, 403, 404, 405, 409, 412, 413, 415, 422, 502, 503})


def api(data: bytes) -> None:
    """A request of somebody who was let in: answered, or refused as a problem that says what is wrong."""
    choices = Choices(data)
    route = choices.one_of(_ROUTES)
    types = route.types()
    place = route.path
    for name in types.places:
        place = place.replace(f"{{{name}}}", choices.one_of(_WORDS))
    if choices.below(16) == 1:
        place += choices.blob(30).decode("latin-1")
    names = tuple(types.fields.keys() - set(types.places)) or _NAMES
    given = [
        f"{choices.one_of(names if choices.below(8) else _NAMES)}={choices.one_of(_VALUES)}"
        for _ in range(choices.below(4))
    ]
    asked = Asked(
        route.method.value.upper() if choices.below(16) else choices.one_of(_METHODS),
        f"{place}?{'&'.join(given)}" if given else place,
        choices.one_of(_TYPES) if choices.below(8) == 1 else _TYPES[0],
        choices.one_of(_TAGS) if choices.below(4) == 1 else "",
        "me",
        _body(choices, types.body) if types.has_body or choices.below(16) == 1 else b"",
    )
    try:
        asked = read_asked(write_asked(asked))
    except (RemoteProtocolError, UnicodeEncodeError):
        return
    caller = choices.one_of(_CALLERS)
    answered = answer_of(_API, asked, caller)
    if asked.method.lower() == route.method.value and place == route.path:
        expected = {HTTPStatus.NO_CONTENT, route.status, *problems_of(route)}
        assert answered.status in expected, (asked, answered)  # noqa: S101
    assert answered.status in _EXPECTED, (asked, answered)  # noqa: S101
    if answered.status >= HTTPStatus.BAD_REQUEST:
        assert answered.content_type == PROBLEM_TYPE, (asked, answered)  # noqa: S101
        problem = msgspec.json.decode(answered.body, type=ProblemDocument)
        assert problem.status == answered.status  # noqa: S101
        assert problem.detail  # noqa: S101
    elif answered.body:
        msgspec.json.decode(answered.body)


def _body(choices: Choices, wanted: type[msgspec.Struct]) -> bytes:
    """One that the route may take, more or less."""
    if choices.below(8) == 7:
        return choices.rest()
    names = {field.encode_name for field in msgspec.structs.fields(wanted)}
    fit = [body for body in _BODIES if body.keys() & names]
    value = choices.one_of(fit if fit and choices.below(16) != 1 else _BODIES)
    try:
        return msgspec.json.encode(_alike(choices, value))
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError):  # what JSON cannot say
        return choices.rest()


def _alike(choices: Choices, value: object) -> object:
    """As :func:`~scripts.fuzzing.shapes.alike`, also of what has names."""
    if not isinstance(value, dict):
        return alike(choices, value)
    found = {name: _alike(choices, part) for name, part in value.items() if choices.below(16)}
    if choices.below(8) == 0:
        found[choices.one_of(("x", "key", "file", "config", ""))] = alike(choices, 1)
    return found
