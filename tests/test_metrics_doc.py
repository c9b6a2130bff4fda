"""``docs/METRICS.md`` has every metric as the code has it, and its examples name metrics that there are."""

import re
from pathlib import Path

import yaml

from mesh.agent.dashboard import families
from mesh.agent.dashboard.exposition import Family, FamilyKind
from mesh.agent.dashboard.metric_help import HELP
from mesh.agent.dashboard.metrics import family_of
from mesh.agent.findings import FindingKind
from mesh.connection.endings import Ending

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
LABELLED = [each for each in vars(families).values() if isinstance(each, Family)]
FAMILIES = LABELLED + [family_of(figure) for figure in HELP]


def test_every_metric_stands_there_as_it_is_and_no_other_does():
    rows = re.findall(r"^\| `(mesh_\w+)` \| (\w+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert sorted(rows) == sorted((each.name, str(each.kind), each.help) for each in FAMILIES)


def test_every_kind_of_finding_and_ending_stands_there():
    kinds = set(
        re.findall(r"^\| `(\w+)` \| [^|]*\|$", TEXT.split("| kind | what is wrong |")[1], re.MULTILINE)
    )
    assert kinds == set(FindingKind) - {"status"}
    (endings,) = re.findall(r"^\| `ending` \| (.*) \|$", TEXT, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", endings)) == {each.name.lower() for each in Ending} - {"open"}


def test_examples_name_metrics_that_there_are():
    names = {each.name for each in FAMILIES}
    for each in FAMILIES:
        if each.kind is FamilyKind.HISTOGRAM:
            names |= {f"{each.name}_{part}" for part in ("bucket", "sum", "count")}
    used = set(re.findall(r"\bmesh_\w+", TEXT)) - {"mesh_"}
    assert used <= names
    for page in (
        "README.md",
        "CHANGELOG.md",
        *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ):
        found = re.findall(r"`(mesh_[a-z_]+)`", (ROOT / page).read_text(encoding="utf-8"))
        old = {"mesh_bytes_sent_total", "mesh_peer_count", "mesh_route_count", "mesh_stream_count", "mesh_"}
        assert {each for each in found if each not in names | old} == set(), page


def test_examples_are_yaml():
    for example in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        assert yaml.safe_load(example)
