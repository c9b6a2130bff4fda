"""From the bytes of a file to a small tree of YAML nodes that know their lines.

Only the plain part of YAML is taken: one document, no aliases, no explicit tags, bounded size and depth.
Nothing is constructed, so no YAML can make objects; without aliases a small file stays small.
"""

import contextlib
from typing import Final, NoReturn

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from mesh.config.problems import ConfigError, Problem, quoted
from mesh.config.yaml_hints import yaml_hint

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""As many endpoints and listeners as an agent may have. More is not a configuration of one agent, and reading
it takes long."""

MAX_DEPTH: Final = 16
"""Twice and more what the schema needs; a bound so that no file can exhaust Python's stack."""


class _PlainComposer(Composer, Resolver):
    """PyYAML's from events to nodes, with the limits of this module."""

    def __init__(self, file: str) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        self._file = file
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[attr-defined]  # of the parser
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, "an alias (*name)", "the value written out; aliases are not used here")
        if isinstance(event, yaml.ScalarEvent) and event.style in {'"', "'"}:
            self._check_is_one_line(event)
        if getattr(event, "tag", None) not in {None, "!"}:
            self._refuse(event, f"the YAML tag {quoted(event.tag)}", "a plain value; tags are not used here")
        if self._depth >= MAX_DEPTH:
            self._refuse(event, "deeper nesting", f"at most {MAX_DEPTH} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _check_is_one_line(self, event: yaml.ScalarEvent) -> None:
        # No value has several lines: the second mark is another text's, and its error would be told instead.
        if event.end_mark is not None and event.start_mark is not None:
            end = event.end_mark.line
            if end != event.start_mark.line:
                self._refuse(
                    event,
                    f"a quotation mark whose second one is on line {end + 1}",
                    "both on one line",
                )

    def _refuse(self, event: yaml.Event, found: str, expected: str) -> NoReturn:
        line = event.start_mark.line + 1 if event.start_mark else 0
        _fail(self._file, line, found, expected)


class _Loader(_PlainComposer, Reader, Scanner, Parser):
    """Has the events from PyYAML's own parser, whose errors say what a person can use."""

    def __init__(self, text: str, file: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        _PlainComposer.__init__(self, file)


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _FastLoader(_PlainComposer, CParser):
        """Has the events from libyaml, which is some 25 times as fast."""

        def __init__(self, text: str, file: str) -> None:
            CParser.__init__(self, text)
            _PlainComposer.__init__(self, file)


def parse_document(data: bytes, file: str) -> MappingNode:
    """The top-level mapping of a configuration file.

    Args:
        data: the whole file, or its first ``MAX_FILE_BYTES + 1`` bytes.
        file: its name, for errors.

    Raises:
        ConfigError: it is too large, not UTF-8, not YAML, not one mapping, or uses what this module refuses.
    """
    expected = "a mapping with sections such as forward:"
    if len(data) > MAX_FILE_BYTES:
        _fail(file, 0, f"more than {MAX_FILE_BYTES} bytes", "a configuration file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            _fail(file, 0, "a file in UTF-16", "text in UTF-8", "save it with the encoding UTF-8")
        line = data.count(b"\n", 0, error.start) + 1
        _fail(file, line, f"the byte 0x{data[error.start]:02x}, which is not UTF-8", "text in UTF-8")
    try:
        node = _node(text, file)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        _fail(file, line, f"the control character U+{_code_point(error):04X}", "printable text")
    except yaml.MarkedYAMLError as error:
        _fail_marked(file, text, error)
    if node is None:
        _fail(file, 0, "an empty file", expected)
    if not isinstance(node, MappingNode):
        hint = "write name: value" if isinstance(node, ScalarNode) and "=" in node.value else ""
        _fail(file, node.start_mark.line + 1, describe(node), expected, hint)
    return node


def _node(text: str, file: str) -> Node | None:
    if yaml.__with_libyaml__:
        with contextlib.suppress(yaml.YAMLError):  # the other one says better what is wrong
            return _FastLoader(text, file).get_single_node()
    return _Loader(text, file).get_single_node()


def describe(node: Node) -> str:
    """What a node is, for people."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if node.tag.endswith(":null") else "a single value"


def _code_point(error: ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character)


def _fail_marked(file: str, text: str, error: yaml.MarkedYAMLError) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    if "single document" in (error.context or ""):
        _fail(file, line, "a second YAML document (after ---)", "one")
    problem = error.problem or error.context or ""
    if error.context_mark and "quoted scalar" in (error.context or "") and "end of stream" in problem:
        _fail(file, error.context_mark.line + 1, "a quotation mark without a second one", "both")
    column = mark.column if mark else 0
    opened = error.context_mark.line + 1 if error.context_mark else 0
    hint = yaml_hint(text.splitlines(), line, column, problem, opened if _in_flow(error) else 0)
    _fail(file, line, f"invalid YAML: {problem}", "valid YAML", hint)


def _in_flow(error: yaml.MarkedYAMLError) -> bool:
    return "while parsing a flow" in (error.context or "")


def _fail(file: str, line: int, found: str, expected: str, hint: str = "") -> NoReturn:
    raise ConfigError([Problem(file, line, "", found, expected, hint)])


def plain_tag(text: str) -> str:
    """What YAML takes ``text`` for when it stands unquoted: ``str``, ``int``, ``bool``, ``null``, ..."""
    return short_tag(Resolver().resolve(ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def short_tag(tag: str) -> str:
    """``int`` for ``tag:yaml.org,2002:int``."""
    return tag.rpartition(":")[2]
