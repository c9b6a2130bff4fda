"""Walks the schema and the nodes of a file side by side, and collects the problems on the way.

What is well is kept by path even where something else is wrong, so that rules over several fields can be
judged in the same run.
"""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mesh.config.address_kinds import EmptyHostError
from mesh.config.document import describe, plain_tag, short_tag
from mesh.config.environment import substitute
from mesh.config.kinds import MAX_TEXT_CHARACTERS, Context, Kind, Password, Scalar
from mesh.config.problems import MAX_PROBLEMS, Problem, TooManyProblems, quoted
from mesh.config.suggestions import hint_for_key
from mesh.config.wrong_shapes import hint_for_list, hint_for_section, hint_for_value

S = TypeVar("S", bound=msgspec.Struct)

_NULL_TAG: Final = "null"
_QUOTATION_MARKS: Final = frozenset("\"'")
_QUOTED_HINT: Final = "it has quotation marks in it; in some env files they are part of the value"


class Found(msgspec.Struct, frozen=True):
    """A valid value, and the line that has it."""

    value: Any
    line: int
    written: str = ""
    """What stands in the file, if the environment has filled something in."""

    def shown(self, text: str) -> str:
        """``text``, the value for people, unless it came from the environment: it may be secret."""
        return quoted(self.written) if self.written else text


class _Invalid:
    """Stands for a value that has been reported."""


_INVALID: Final = _Invalid()


class Walk:
    """One walk over one file.

    Args:
        file: name of the file, for problems.
        context: what paths are relative to.
        environment: for ``${NAME}``.
        schema: every key of the schema by its path, lists marked by ``[]``.

    Attributes:
        problems: what was wrong, at most ``MAX_PROBLEMS``; with one more the walk ends.
        values: every valid single value by its path.
        lines: the line of every section and list that is there, by its path.
    """

    def __init__(
        self, *, file: str, context: Context, environment: Mapping[str, str], schema: Sequence[str]
    ) -> None:
        self.problems: list[Problem] = []
        self.values: dict[str, Found] = {}
        self.lines: dict[str, int] = {}
        self._file = file
        self._context = context
        self._environment = environment
        self._schema = schema

    def document(self, node: MappingNode, struct: type[S]) -> S | None:
        """The whole file as a ``struct``, or nothing where there are problems."""
        value = self._section(node, struct, "", _line(node))
        return value if isinstance(value, struct) else None

    def report(self, line: int, path: str, found: str, expected: str, hint: str = "") -> None:
        """Add a problem.

        Raises:
            TooManyProblems: there are ``MAX_PROBLEMS`` already.
        """
        if len(self.problems) >= MAX_PROBLEMS:
            raise TooManyProblems
        self.problems.append(Problem(self._file, line, path, found, expected, hint))

    def _section(self, node: Node, struct: type[S], path: str, line: int) -> S | _Invalid:
        if _is_null(node):
            entries: dict[str, tuple[Node, Node]] = {}
        elif isinstance(node, MappingNode):
            entries = self._entries(node, path)
        else:
            keys = struct.__struct_encode_fields__
            hint = hint_for_section(node, keys, path)
            self.report(_line(node), path, _shown(node), f"a mapping with {', '.join(keys)}", hint)
            return _INVALID
        self.lines[path] = line
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        found: dict[str, object] = {}
        for key, (key_node, value_node) in entries.items():
            field = fields.get(key)
            if field is None:
                hint = hint_for_key(key, tuple(fields), path, self._schema)
                if not hint and "key" in fields and isinstance(value_node, MappingNode):
                    hint = f"write key: {key} beside the others"
                expected = f"one of {', '.join(fields)}"
                self.report(_line(key_node), _join(path, key), "an unknown key", expected, hint)
                continue
            found[field.name] = self._value(value_node, field.type, _join(path, key), _line(key_node))
        missing = [field for field in fields.values() if field.required and field.name not in found]
        for field in missing:
            self.report(line, _join(path, field.encode_name), "no such key", _expected(field))
        if missing or _INVALID in found.values() or len(found) < len(entries):
            return _INVALID
        return struct(**found)

    def _entries(self, node: MappingNode, path: str) -> dict[str, tuple[Node, Node]]:
        """Keys with their nodes, in order; the first of two equal keys counts, the second is reported."""
        entries: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.report(_line(key_node), path, f"{describe(key_node)} as a key", "a word and a colon")
                continue
            key = key_node.value
            if key in entries:
                first = _line(entries[key][0])
                self.report(
                    _line(key_node),
                    _join(path, key),
                    "the key a second time",
                    f"it once (first on line {first})",
                )
                continue
            entries[key] = (key_node, value_node)
        return entries

    def _value(self, node: Node, annotation: Any, path: str, line: int) -> object:
        if isinstance(annotation, UnionType) or type(None) in get_args(annotation):
            (annotation,) = (part for part in get_args(annotation) if part is not type(None))
        if get_origin(annotation) is Annotated:
            return self._scalar(node, annotation.__metadata__[0], path)
        if get_origin(annotation) is tuple:
            return self._list(node, get_args(annotation)[0], path, line)
        return self._section(node, annotation, path, line)

    def _list(self, node: Node, annotation: Any, path: str, line: int) -> object:
        if _is_null(node):
            self.lines[path] = line
            return ()
        if not isinstance(node, SequenceNode):
            keys = getattr(annotation, "__struct_encode_fields__", ())
            self.report(_line(node), path, _shown(node), "a list", hint_for_list(node, keys))
            return _INVALID
        self.lines[path] = line
        items = [
            self._value(item, annotation, f"{path}[{index}]", _line(item))
            for index, item in enumerate(node.value)
        ]
        return _INVALID if _INVALID in items else tuple(items)

    def _scalar(self, node: Node, kind: Kind, path: str) -> object:
        line = _line(node)
        if not isinstance(node, ScalarNode):
            self.report(line, path, _shown(node), kind.expected, hint_for_value(node))
            return _INVALID
        try:
            text = substitute(node.value, self._environment)
        except ValueError as error:
            self.report(line, path, quoted(node.value), str(error))
            return _INVALID
        substituted = text != node.value
        scalar = (
            Scalar(text, plain_tag(text), node.value) if substituted else Scalar(text, short_tag(node.tag))
        )
        # What the environment holds may be secret: its name is told, as it stands in the file.
        shown = f"the value of {quoted(node.value)}" if substituted else str(scalar)
        if isinstance(kind, Password) and not substituted:
            shown = "a text that is not shown"
        if scalar.tag == _NULL_TAG or len(text) > MAX_TEXT_CHARACTERS:
            self.report(line, path, shown, kind.expected)
            return _INVALID
        try:
            value = kind.parse(scalar, self._context)
        except ValueError as error:
            may_tell = not substituted or isinstance(error, EmptyHostError)
            expected = str(error).removeprefix("expected ") if may_tell else kind.expected
            hint = _QUOTED_HINT if substituted and set(text) & _QUOTATION_MARKS else ""
            self.report(line, path, shown, expected, hint)
            return _INVALID
        self.values[path] = Found(value, line, scalar.written)
        return value


def _line(node: Node) -> int:
    return node.start_mark.line + 1


def _join(path: str, key: str) -> str:
    shown = key if key.isprintable() and key and " " not in key and "." not in key else quoted(key)
    return f"{path}.{shown}" if path else shown


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and short_tag(node.tag) == _NULL_TAG


def _shown(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return str(Scalar(node.value, short_tag(node.tag)))
    return describe(node)


def _expected(field: FieldInfo) -> str:
    if get_origin(field.type) is Annotated:
        return str(field.type.__metadata__[0].expected)
    return "a list"
