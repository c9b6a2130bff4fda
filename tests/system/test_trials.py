"""Nearly each trial once, with little to move: nothing happens that should not."""

import dataclasses

import pytest

from scripts.lab import postgresql
from scripts.trial_runs import command
from scripts.trial_runs.trial import MIB, Effort, Outcome, Series

TWICE = {"database-kill", "database-pause"}
"""A relay ends as in another trial, and the database is the one of a third."""

LITTLE = Effort(
    byte_count=64 * MIB, clients=4, rest_s=0.1, load_s=0.3, database_s=4.0, changes=40, soak_s=4.0
)


@pytest.mark.parametrize("name", sorted(command.TRIALS.keys() - TWICE))
def test_nobody_notices(name):
    if name.startswith("database") and (absent := postgresql.missing()):
        pytest.skip(f"not installed: {absent}")
    outcome = command.run(name, LITTLE, seed=3)
    assert outcome.faults == []
    assert outcome.figures
    assert set(outcome.figures) & set(command.TRIALS[name].aims) or not command.TRIALS[name].aims


def test_a_trial_that_goes_wrong_is_a_fault(monkeypatch, capsys):
    def broken(stage):
        stage.agent("alone").start()
        stage.figure("waits", 2.0)
        raise AssertionError("nobody answered")

    trial = dataclasses.replace(command.TRIALS["starts"], run=broken, aims={"waits": 1.0})
    monkeypatch.setattr(command, "TRIALS", {"starts": trial})
    assert command.main(["starts", "--runs", "2"]) == command.EXIT_FAULTS
    shown = capsys.readouterr().out
    assert "run 2: AssertionError: nobody answered" in shown
    assert "missed: 1" in shown


def test_figures_are_summed_up_over_runs():
    series = Series([Outcome({"waits [s]": value}) for value in (1.0, 5.0, 3.0)] + [Outcome({}, ["broke"])])
    summary = series.as_json()
    assert summary["figures"] == {"waits [s]": {"median": 3.0, "max": 5.0, "samples": [1.0, 5.0, 3.0]}}
    assert summary["faults"] == ["run 4: broke"]


@pytest.mark.parametrize("arguments", [["unheard-of"], ["starts", "--runs", "0"], ["--mib", "0"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "expected" in capsys.readouterr().err
