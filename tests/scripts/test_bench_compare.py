"""Two trees beside each other: what the table says of given samples, and what the command refuses."""

from pathlib import Path

import pytest

from scripts.benchmark import comparing


def test_the_table_has_the_ratios_of_each_tree_to_the_first() -> None:
    samples = {
        "ping-pong, p50": {0: [100.0, 200.0, 100.0, 400.0, 100.0], 1: [110.0, 180.0, 105.0, 300.0, 130.0]}
    }
    lines = comparing.table(samples, [Path("/before"), Path("/after")]).splitlines()
    assert lines[0].split() == ["first", "other", "ratio", "quartiles", "of", "best"]
    assert lines[1] == "/after / /before"
    assert lines[2].split()[1:] == ["p50", "100", "130", "1.050", "0.900-1.100", "1.050"]


def test_one_round_is_its_own_range() -> None:
    lines = comparing.table({"bulk up, CPU": {0: [200.0], 1: [100.0]}}, [Path("/a"), Path("/b")]).splitlines()
    assert lines[2].split()[3:] == ["200", "100", "0.500", "0.500-0.500", "0.500"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere", "."], "/nowhere: expected a checkout of this project"),
        ([".", ".", "--rounds", "0"], "--rounds: expected at least 1, found 0"),
        ([".", ".", "--measures", "noise"], "invalid choice: 'noise'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        comparing.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
