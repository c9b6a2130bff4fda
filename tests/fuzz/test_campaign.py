"""How a campaign of fuzzing divides its executions and time, and what it reads in a log."""

import pytest

from scripts.fuzzing.campaign import FIRST_SLICE, SLICE_S, Campaign
from scripts.fuzzing.child import executions_in
from scripts.fuzzing.command import main

RATES = {"slowest": 300, "slow": 1_000, "usual": 4_000, "quick": 40_000}
"""Executions in a CPU second."""


def run(campaign, failing=()):
    """All slices of a campaign whose targets are as fast as :data:`RATES` says."""
    slices = []
    while (piece := campaign.next()) is not None:
        slices.append(piece)
        assert len(slices) < 1_000
        campaign.took(
            piece.name,
            executions=piece.runs,
            cpu_s=piece.runs / RATES[piece.name],
            set_up_s=3.0,
            has_failed=piece.name in failing,
        )
    return slices


def test_every_target_gets_as_much_time_as_any_other():
    campaign = Campaign(list(RATES)[1:], 10_000_000)
    run(campaign)
    assert campaign.executions == 10_000_000
    spent = [tally.cpu_s for tally in campaign.tallies.values()]
    assert max(spent) - min(spent) < SLICE_S / 10
    assert [tally.rate for tally in campaign.tallies.values()] == pytest.approx(list(RATES.values())[1:])


def test_a_target_gets_its_minimum_though_it_takes_more_than_its_part_of_the_time():
    campaign = Campaign(["slowest", "quick"], 1_000_000)
    run(campaign)
    slow, quick = campaign.tallies["slowest"], campaign.tallies["quick"]
    assert slow.executions == 10_000
    assert quick.executions == 990_000
    assert campaign.executions == 1_000_000


def test_no_slice_is_long_and_the_first_of_a_target_is_short():
    slices = run(Campaign(list(RATES)[1:], 10_000_000))
    assert next(piece.runs for piece in slices if piece.name == "slow") == FIRST_SLICE
    assert max(piece.runs / RATES[piece.name] for piece in slices) <= SLICE_S * 1.01


@pytest.mark.parametrize("runs", [1, 2, 3, 50, 5_000])
def test_a_small_campaign_runs_as_often_as_it_was_told_to(runs):
    campaign = Campaign(list(RATES), runs)
    run(campaign)
    assert campaign.executions == runs


def test_a_target_that_has_failed_is_not_run_again_and_the_others_go_on():
    campaign = Campaign(list(RATES), 100_000)
    slices = run(campaign, failing=["usual"])
    assert [piece.name for piece in slices].count("usual") == 1
    assert campaign.executions == 100_000
    assert run(Campaign(["slow", "usual"], 100_000), failing=["slow", "usual"])[-1].name == "usual"


def test_a_log_tells_of_executions_whether_it_has_come_to_its_end_or_not():
    begun = "#2\tINITED cov: 3 ft: 3\nset up\n#4096\tpulse  cov: 3\n#5012\tNEW    cov: 4 ft: 4 corp: 2/3b\n"
    assert executions_in("") == 0
    assert executions_in(begun) == 5012
    assert executions_in(begun + "Done 6000 in 3 second(s)\n") == 6000
    assert executions_in(begun + "#6000\tDONE   cov: 4\nDone 6000 runs in 3 second(s)\n") == 6000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runs", "0"], "--runs: expected at least 1, found 0"),
        (["--runs", "-5"], "--runs: expected at least 1, found -5"),
        (["--runs", "many"], "--runs: 'many' is no whole number"),
        (["streams"], "no target is called 'streams'; there are frames, "),
        (["--replay", __file__], "--replay takes one target"),
        (["stream", "--replay", "/nowhere/x"], "there is no file /nowhere/x"),
        (["stream", "--replay", "/"], "/ is no file"),
        (["--quickly"], "unknown option --quickly"),
    ],
)
def test_wrong_arguments_are_answered_with_what_is_wrong(capsys, arguments, said):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err
