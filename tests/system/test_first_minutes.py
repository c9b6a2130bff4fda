"""A newcomer's first minutes, played on two machines; README.md and docs/FIRST_MINUTES.md say the same."""

import re

import pytest

from scripts.lab.postgresql import missing as missing_database
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.two_hosts import missing

DOC = (ROOT / "docs" / "FIRST_MINUTES.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TYPED = re.compile(r"^((?:branch|hq):\S+\$ .+)$", re.MULTILINE)
AS_IT_IS_HERE = (("hq.example.com", "10.212.0.2"), (" mydatabase", ""))
"""What a reader of README.md puts in the place of its examples."""


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
@pytest.mark.skipif(bool(missing_database()), reason=f"needs {missing_database()}")
def test_what_the_page_shows_works(tmp_path):
    played = Process(python(ROOT / "scripts" / "first_minutes.py", "--installed"), tmp_path / "said")
    try:
        status = played.wait(90)
    finally:
        played.stop()  # in order: it ends its agents and removes its namespaces
    said = played.output
    assert status == 0, said
    shown = [line for line in TYPED.findall(DOC) if not re.search(r"clone|venv|pip", line)]
    assert shown == TYPED.findall(said)
    assert "hello from hq" in said.partition("select * from greeting")[2]
    assert "all 2 can be reached" in said
    assert "leads to postgres-main at hq" in said
    assert not re.search(r"\berror\b", said)


def test_the_page_installs_as_the_player_does():
    (line,) = [line for line in TYPED.findall(DOC) if "pip install" in line]
    _, _, requirement = line.rpartition(" ")
    assert f'{{pip}} {requirement}"' in (ROOT / "scripts" / "newcomer.py").read_text()


def test_the_readme_says_what_is_played():
    typed = [line.partition("$ ")[2].removesuffix(" &") for line in TYPED.findall(DOC)]
    section = README.partition("For two machines")[2].partition("If neither site")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        command = line.partition("   #")[0].strip()
        for theirs, ours in AS_IT_IS_HERE:
            command = command.replace(theirs, ours)
        assert any(each.startswith(command) for each in typed), command
