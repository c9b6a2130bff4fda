"""Tables of the documents are tables to whoever renders them, and links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
CELL_END = re.compile(r"(?<!\\)\|")


def prose(page):
    """The page without its code blocks, each of whose lines is left empty."""
    return re.sub(r"(?ms)^```.*?^```", lambda code: "\n" * code[0].count("\n"), page.read_text("utf-8"))


def anchors(page):
    """What a link may name of a page: its headings as they are rendered, and what has an ID."""
    text = prose(page)
    headings = (re.sub(r"[^\w\- ]", "", each.lower()) for each in re.findall(r"(?m)^#+ (.+)$", text))
    return {each.replace(" ", "-") for each in headings} | set(re.findall(r'<a id="([\w-]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_row_belongs_to_a_table_with_as_many_columns(page):
    lines, width, wrong = prose(page).splitlines(), 0, []
    for number, line in enumerate(lines):
        cells = len(CELL_END.findall(line)) if line.startswith("|") else 0
        is_head = cells and not width and re.fullmatch(r"[-:| ]+", "".join(lines[number + 1 : number + 2]))
        if cells != width and not is_head and cells:
            wrong.append(f"{page.name}:{number + 1}: {line[:60]}")
        width = cells
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_there_are(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target
