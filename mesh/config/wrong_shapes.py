"""Hints for a value of the wrong shape: a text for a mapping, a mapping for a list, and the like."""

import re
from collections.abc import Sequence
from typing import Final

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mesh.config.problems import quoted

_NO_SPACE: Final = re.compile(r"-?\s*(?P<key>[A-Za-z_]+):(?P<value>[^ ].*)", re.DOTALL)
_MAX_SHOWN: Final = 60
"""Characters of a found value that a hint repeats."""
_ON_WITH_DEFAULTS: Final = frozenset({"http", "health_check"})
"""Sections that are there or not, and need nothing in them."""
_ENTRY: Final = re.compile(r"(?P<key>[^\s=:]+)(?:=|\s*->\s*|:\s+)(?P<value>\S+)")


def hint_for_section(node: Node, keys: Sequence[str], path: str) -> str:
    """A mapping with ``keys`` was expected, and ``node`` is none."""
    name = path.rpartition(".")[2]
    if isinstance(node, SequenceNode):
        return "leave out the dash" if not node.flow_style else "write key: value, without [ ]"
    if not isinstance(node, ScalarNode):
        return ""
    text = node.value
    no_space = _NO_SPACE.fullmatch(text)
    if not text.replace("\u00a0", " ").isprintable():
        return ""
    if no_space is not None and no_space["key"] in keys:
        key, value = no_space["key"], no_space["value"]
        odd = value[0]
        if odd.isspace():
            return f"between {key}: and its value stands U+{ord(odd):04X}; write an ordinary space"
        return f"a colon needs a space after it: {key}: {value}" if len(value) <= _MAX_SHOWN else ""
    if text in {"true", "yes", "on"} and name in _ON_WITH_DEFAULTS:
        return f"write {name}: {{}}"
    if len(text) > _MAX_SHOWN or not text.isprintable():
        return ""
    is_entry = name.endswith("]")
    if "key" in keys:
        entry = _ENTRY.fullmatch(text)
        key, value = (entry["key"], entry["value"]) if entry is not None else ("...", "...")
        return f"write {{key: {quoted(key)}, {keys[1]}: {quoted(value)}}}"
    if "address" in keys:
        text = f":{text}" if text.isdigit() else text
        return f"write {'- ' if is_entry else ''}address: {quoted(text)}"
    if name == "logging":
        return f"write level: {text} below logging:" if text.isalnum() else ""
    return ""


def hint_for_list(node: Node, keys: Sequence[str]) -> str:
    """A list was expected (of mappings with ``keys``, or of single values), and ``node`` is none."""
    if isinstance(node, MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, ScalarNode)]
        if "key" in keys and names and not set(names) & set(keys):
            key, value = node.value[0]
            if isinstance(value, ScalarNode) and len(key.value + value.value) <= _MAX_SHOWN:
                return f"write - {{key: {quoted(key.value)}, {keys[1]}: {quoted(value.value)}}}"
        return "begin each entry with a dash"
    if isinstance(node, ScalarNode) and len(node.value) <= _MAX_SHOWN and node.value.isprintable():
        return f"write [{quoted(node.value)}]" if not keys else f"write - {keys[0]}: {quoted(node.value)}"
    return ""


def hint_for_value(node: Node) -> str:
    """A single value was expected, and ``node`` is a mapping or a list."""
    if isinstance(node, MappingNode):
        names = {key.value for key, _ in node.value if isinstance(key, ScalarNode)}
        if names & {"host", "port", "ip", "addr"}:
            return 'write it in one: "host:port"'
    if isinstance(node, MappingNode | SequenceNode) and node.flow_style:
        return "a value that begins with [ or { needs quotes"
    return ""
