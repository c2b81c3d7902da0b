"""A run's outcome in words: decided by one figure's paired interval, told with the others."""

from deft_core.comparing import BASE, Comparison, Line, compare
from deft_core.runs import verdict
from tests.test_comparing import a_run, better_rows

ROLES = {"control": "random", "whole": "full"}


def line(measure, run, value, gained=None, section="alignment", prompts=64):
    """`gained`: the other's figure minus the first's, with its ends."""
    return Line(measure, section, run, value, None, None, *(gained or (None, None, None)), prompts if gained else None, "higher")


def beside(control, **more):
    """A comparison of `best` with its control, whose accuracy differs by so much."""
    lines = [line("accuracy_implicit", "best", 0.6), line("accuracy_implicit", "control", 0.6 + control[0], control)]
    for name, (own, theirs, gained) in more.items():
        lines += [line(name, "best", own), line(name, "control", theirs, gained)]
    return Comparison(("best", "control"), tuple(lines), ())


def test_better_than_random_is_said_with_its_interval_and_what_it_cost():
    found = beside((-0.031, -0.058, -0.004), perplexity_neutral=(20.2, 20.0, (-0.2, -0.3, -0.1)))
    # the table has the control minus the run: turned round, -0.031 [-0.058, -0.004] is +3.1 [0.4, 5.8] points; 20.2 / 20 - 1 = 1 %
    assert verdict.words(found, ROLES) == (
        "Better than one draw of as many random rows: accuracy_implicit +3.1 points, 95 % interval 0.4 to 5.8 (64 prompts); "
        "perplexity on neutral text +1.0 %."
    )
    assert [(one.state, one.other, one.role) for one in verdict.beside_others(found, ROLES)] == [("better", "control", "random")]


def test_an_interval_that_holds_0_is_no_difference_beyond_chance():
    found = beside((-0.01, -0.04, 0.02), perplexity_neutral=(19.8, 20.0, (0.2, -0.1, 0.5)))
    assert verdict.words(found, ROLES) == (
        "No difference beyond chance from one draw of as many random rows: accuracy_implicit +1.0 points, "
        "95 % interval -2.0 to 4.0 (64 prompts); "
        "perplexity on neutral text -1.0 %, no difference beyond chance."
    )


def test_an_interval_of_few_prompts_is_said_to_be_too_narrow():
    few, enough = (Comparison(("best", BASE), (line("accuracy_implicit", "best", 0.9), at(prompts)), ()) for prompts in (29, 30))
    assert verdict.words(few).endswith("interval 25.0 to 50.0 (29 prompts: so few that the interval is too narrow).")
    assert verdict.words(enough).endswith("interval 25.0 to 50.0 (30 prompts).")


def at(prompts):
    return line("accuracy_implicit", BASE, 0.5, (-0.4, -0.5, -0.25), prompts=prompts)


def test_worse_is_said_and_other_figures_follow_where_they_are_beyond_chance():
    found = beside((0.05, 0.02, 0.08), margin=(0.1, 0.3, (0.2, 0.1, 0.3)), win_rate=(0.5, 0.51, (0.01, -0.1, 0.1)))
    assert verdict.words(found, ROLES) == (
        "Worse than one draw of as many random rows: accuracy_implicit -5.0 points, 95 % interval -8.0 to -2.0 (64 prompts); "
        "margin -0.2, 95 % interval -0.3 to -0.1."
    )


def test_the_full_set_is_told_with_the_time_of_both_and_the_base_only_where_there_is_nothing_else():
    gained = (0.0, -0.02, 0.02)
    lines = [line("accuracy_implicit", run, 0.6, gained if run != "best" else None) for run in ("best", "whole", "control", BASE)]
    lines += [line("total_seconds", run, seconds, section="cost") for run, seconds in (("best", 90.0), ("whole", 600.0), ("control", 60.0))]
    found = verdict.beside_others(Comparison(("best", "whole", "control", BASE), tuple(lines), ()), ROLES)
    assert [one.other for one in found] == ["control", "whole"]
    assert found[1].words.endswith("(64 prompts); in 1 min 30 s instead of 10 min 0 s, scoring and evaluation included.")
    (alone,) = verdict.beside_others(Comparison(("best", BASE), tuple(lines), ()))
    assert alone.words.startswith("No difference beyond chance from its base model: ")


def test_a_run_that_is_no_control_goes_by_its_name():
    assert verdict.words(beside((-0.1, -0.2, -0.05))).startswith("Better than control: accuracy_implicit +10.0 points, ")


def test_a_control_is_told_beside_its_run():
    found = beside((-0.1, -0.2, -0.05))
    assert verdict.words(found, {"control": "run"}).startswith("Better than the run it is held against: accuracy_implicit +10.0 points, ")


def test_without_common_prompts_nothing_is_told():
    (found,) = verdict.beside_others(Comparison(("best", "control"), (line("accuracy_implicit", "best", 0.6),), ()), ROLES)
    assert (found.state, "too few held-out prompts" in found.words) == ("unknown", True)


def test_a_run_alone_stands_beside_its_base():
    figures = {
        "accuracy_implicit": {
            "base": {"value": 0.5, "low": 0.5, "high": 0.5, "prompts": 64},
            "tuned": {"value": 0.6, "low": 0.5, "high": 0.7, "prompts": 64},
            "difference": {"value": 0.1, "low": 0.01, "high": 0.2, "prompts": 64},
        },
        "perplexity_neutral": {
            "base": {"value": 20.0, "low": 18.0, "high": 22.0, "prompts": 64},
            "tuned": {"value": 21.0, "low": 19.0, "high": 23.0, "prompts": 64},
            "difference": {"value": 1.0, "low": 0.5, "high": 1.5, "prompts": 64},
        },
        "kl": {"base": None, "tuned": {"value": 0.1, "low": 0.1, "high": 0.1, "prompts": 64}, "difference": None},
    }
    found = verdict.beside_base(figures)
    assert (found.state, found.other) == ("better", BASE)
    assert found.words == (
        "Better than its base model: accuracy_implicit +10.0 points, 95 % interval 1.0 to 20.0 (64 prompts); "
        "perplexity on neutral text +5.0 %."
    )


def test_a_comparison_of_evaluated_runs_comes_to_words(tmp_path):
    found = compare([a_run(tmp_path, "best", better_rows()), a_run(tmp_path, "control")])
    (one,) = verdict.beside_others(found, ROLES)
    # right on 4 of 4 prompts where the control is on 3: the three prompts that agree let the interval reach down to 0
    assert one.state == "no difference" and ": accuracy_implicit +25.0 points, 95 % interval 0.0 to " in one.words
    assert "margin +0.1, 95 % interval 0.1 to 0.1" in one.words
