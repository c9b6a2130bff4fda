"""What is probably wrong where the YAML cannot be read, as PyYAML's own words are for its makers."""

import re
from collections.abc import Sequence
from typing import Final

_QUOTES_HINT: Final = "a value that has or begins with one of : # * & ! % @ [ { needs quotes"
_INDENT_HINT: Final = "the entries of a mapping or list begin in the same column"
_INDENT_PROBLEMS: Final = (
    "mapping values are not allowed",
    "expected <block end>, but found '<block",
    "expected <block end>, but found '-'",
    "expected <block end>, but found '?'",
)
"""How PyYAML's complaints about a wrong indentation begin."""
_NEEDS_QUOTES: Final = re.compile(
    r"""\s*(?:-\s+)*        # the marks of list items
    (?:
        [\w.-]+\s*:\s+(?:[:#*&!%@`\[\]{}]|[^\s"'].*:(?:\s|$))   # a key, then a value with what is special
        | [:*&!%@`\[\]{}]  # or such a value alone
    )""",
    re.VERBOSE,
)
_TAB_HINT: Final = "YAML is indented with spaces, never with tabs"
_TAB_AFTER_HINT: Final = "there is a tab behind the value or the colon; put a space there, or nothing"
_HALF_QUOTED: Final = re.compile(r""".*(?:^|[\s:\[{,-])(?:"[^"]*"|'[^']*')(?:[^\s,\]}#:]|:\S)""")
_NO_SPACE_AFTER_COLON: Final = re.compile(r"\s*(?:-\s+)?[A-Za-z_]+:[^\s/:]\S*\s*$")
_NO_SPACE_AFTER_DASH: Final = re.compile(r"\s*-[A-Za-z_]+:(?:\s|$)")
_INI_SECTION: Final = re.compile(r"\s*\[[\w.\-\" ]+\]\s*$")


def yaml_hint(lines: Sequence[str], line: int, column: int, problem: str, opened: int) -> str:
    """A hint for the problem on ``line``, or the empty string.

    Args:
        lines: of the file.
        line: counted from 1.
        column: of the problem, counted from 0.
        problem: PyYAML's text.
        opened: the line on which a [ or { begins that the problem is in; 0 if it is in none.
    """
    opened = min(opened, len(lines))  # at the end of a file PyYAML counts a line that is not there
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    before = next((text for text in reversed(lines[: max(0, line - 1)]) if text.strip()), "")
    indentation = source[: len(source) - len(source.lstrip())]
    if "\t" in indentation or (source[column : column + 1] == "\t" and not source[:column].strip(" -")):
        return _TAB_HINT
    if "'\\t'" in problem:
        return _TAB_AFTER_HINT
    if "unknown escape character" in problem:
        return "between double quotes \\ begins an escape; write single quotes, or \\\\"
    if any(_INI_SECTION.match(text) and "=" in "".join(lines) for text in lines[:line]):
        return "this is not YAML but INI or TOML; write agent: and below it, indented, name: value"
    for text, where in ((source, ""), (before, f" (line {line - 1})")):
        if _NO_SPACE_AFTER_DASH.match(text):
            return f"a dash needs a space after it{where}"
    if _NO_SPACE_AFTER_COLON.match(before) and problem.startswith("mapping values"):
        return f"a colon needs a space after it (line {line - 1})"
    if opened and " #" in lines[opened - 1]:
        return f"a # after a space begins a comment (line {opened}); a value that has one needs quotes"
    if opened and "'{'" not in problem and not _NEEDS_QUOTES.match(source):
        return f"the [ or {{ that is opened on line {opened} is not closed before this"
    if opened and "but got '<scalar>'" in problem and line > opened:
        return f"the [ or {{ that is opened on line {opened} is not closed before this"
    if _HALF_QUOTED.match(source):
        return "quotation marks go around a whole value"
    if _NEEDS_QUOTES.match(source):
        return _QUOTES_HINT
    return _INDENT_HINT if problem.startswith(_INDENT_PROBLEMS) else ""
