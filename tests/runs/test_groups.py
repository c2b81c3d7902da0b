"""A run and those it is held against are made and started together, or none of them."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from deft_core.errors import DeftError, InputError
from deft_core.rule import Rule
from deft_core.runs import groups, monitor, prepare
from deft_core.runs.spec import Settings, read_run
from deft_core.workspace import read_json, write_json
from tests.runs.made import decide, scored, select


def read(workspace, group):
    return [read_run(workspace.run(run_id)) for run_id in group.runs]


def ids(workspace, run):
    return sorted(pd.read_parquet(workspace.run(run.run_id) / "input.parquet")["id"])


def started(workspace, settings, rule=None, **asked):
    """(the group, ids in the order in which they were started)."""
    select(workspace, rule=rule)
    order = []
    group = groups.start_group(workspace, "best", settings, start=lambda _, run_id: order.append(run_id), **asked)
    return group, order


def test_all_four_are_started_in_order_and_know_each_other(workspace):
    scored(workspace, 200)
    group, order = started(workspace, Settings(guidance=0.5, epochs=2.0, seed=3), name="mine", full=True, unguided=True)
    runs = read(workspace, group)
    assert list(group.runs) == order
    assert [run.role for run in runs] == ["run", "random", "full", "unguided"]
    assert {run.group for run in runs} == {group.group} == {runs[0].run_id}
    assert [run.name for run in runs] == ["mine", "random control of mine", "full set for mine", "mine without guidance"]
    assert [run.omega for run in runs] == [0.5, 0.5, 0.5, 0.0]
    assert [run.control_of for run in runs] == [None, group.group, None, None]
    assert [run.rows for run in runs] == [40, 40, 160, 40]
    assert [run.scoring_seconds for run in runs] == [50.0, None, None, 50.0]  # 200 rows at 4 a second, where rows go by their scores
    assert {run.settings.epochs for run in runs} == {2.0}
    assert groups.members(workspace, group.group) == runs


def test_by_default_only_the_control_runs_with_it(workspace):
    scored(workspace)
    group, _ = started(workspace, Settings())
    assert [run.role for run in read(workspace, group)] == ["run", "random"]
    alone, _ = started(workspace, Settings(), control=False)
    assert [run.role for run in read(workspace, alone)] == ["run"]


def test_the_full_set_is_the_rules_pool_without_what_was_dropped(workspace):
    there = list(scored(workspace, 100))
    dropped, flipped, kept = there[0], there[1], there[2]
    decide(workspace, "drop", dropped)
    decide(workspace, "flip", flipped)
    decide(workspace, "keep", kept)
    group, _ = started(workspace, Settings(), Rule("highest", fraction=0.1, where="tokens_prompt = 12"), full=True)
    full = read(workspace, group)[-1]
    train = [row for place, row in enumerate(there) if place % 10 < 8]
    assert ids(workspace, full) == sorted(set(train) - {dropped})
    assert full.rule == {"keep": "random", "by": "reward_chosen", "fraction": 1.0, "where": "tokens_prompt = 12", "seed": 0}
    rows = pd.read_parquet(workspace.run(full.run_id) / "input.parquet").set_index("id")
    assert rows["responses"][flipped][0] == [response.text for response in scored_preferences(100)[1].responses][-1]


def scored_preferences(rows):
    from tests.score_sets import preferences

    return preferences(rows)


@pytest.mark.parametrize("rule", [Rule("random", fraction=1.0), Rule("highest", fraction=1.0, where="tokens_chosen > 20")])
@pytest.mark.parametrize("asked", [{"control": True}, {"control": False, "full": True}])
def test_what_would_be_the_same_rows_is_refused_and_nothing_is_left(workspace, rule, asked):
    scored(workspace)
    with pytest.raises(InputError) as error:
        started(workspace, Settings(), rule, **asked)
    assert "leaves rows of its pool out" in str(error.value) and "best@1" in str(error.value)
    assert not list(workspace.runs.glob("*/run.json"))


def test_rows_kept_by_hand_beside_the_whole_pool_have_a_control(workspace):
    there = scored(workspace)
    decide(workspace, "keep", *there)  # 32 training rows, of which the pool has those above 20 tokens
    group, _ = started(workspace, Settings(), Rule("highest", fraction=1.0, where="tokens_chosen > 20"))
    run, control = read(workspace, group)
    assert control.rows < run.rows == 32


def test_steps_become_epochs_for_the_full_set():
    # 10 rows, 4 a step: 3 steps an epoch; 6 steps are 2 epochs. 40 rows: 10 steps an epoch, 20 in all
    # an evaluation every 2 of 6 steps: 20 x 2 / 6 = 6.7, so every 7 of 20
    settings = prepare.for_all_rows(Settings(steps=6, eval_steps=2), 10, 40)
    assert (settings.steps, settings.epochs, settings.total_steps(40), settings.eval_steps) == (None, 2.0, 20, 7)
    assert prepare.for_all_rows(Settings(epochs=1.5), 10, 40) == Settings(epochs=1.5)


def test_guidance_that_is_measured_is_measured_once(workspace):
    scored(workspace)
    group, _ = started(workspace, Settings(guidance=None), full=True, unguided=True)
    runs = read(workspace, group)
    assert [run.omega for run in runs] == [None, None, None, 0.0]
    assert [run.omega_of for run in runs] == [None, group.group, group.group, group.group]


@pytest.mark.parametrize(
    ("settings", "asked"), [(Settings(), {"unguided": True}), (Settings(eval_rows=2), {"unguided": True, "full": True})]
)
def test_where_one_is_refused_none_is_left(workspace, settings, asked):
    scored(workspace)
    with pytest.raises(InputError, match="guidance that is on"):
        started(workspace, settings, **asked)
    assert workspace.run_ids() == []
    assert not [path for path in workspace.runs.iterdir() if path.is_dir()]


def refusing(order, at):
    """Starts runs until the disk is full."""

    def start(_, run_id):
        if len(order) == at:
            raise OSError(28, "No space left on device")
        order.append(run_id)

    return start


def test_where_the_first_cannot_be_started_none_is_left(workspace):
    scored(workspace)
    select(workspace)
    with pytest.raises(OSError, match="No space left"):
        groups.start_group(workspace, "best", Settings(), start=refusing([], 0))
    assert workspace.run_ids() == []


def test_where_a_later_one_cannot_be_started_the_first_goes_on_and_that_is_said(workspace):
    scored(workspace)
    select(workspace)
    order = []
    with pytest.raises(DeftError) as caught:
        groups.start_group(workspace, "best", Settings(), name="mine", unguided=False, full=True, start=refusing(order, 1))
    assert (caught.value.expected, caught.value.found) == (
        "to start 3 runs",
        "mine started; random control of mine, full set for mine not: No space left on device",
    )
    assert "resume the others: they are in the list of runs as stopped" in caught.value.remedy
    assert len(workspace.run_ids()) == 3
    rest = [workspace.run(run_id) for run_id in workspace.run_ids() if run_id not in order]
    assert [monitor.last_words(folder)[0] for folder in rest] == ["it was never started"] * 2


def test_two_people_who_start_at_once_have_a_group_each(workspace):
    scored(workspace)
    select(workspace)
    order = []

    def start(name):
        return groups.start_group(workspace, "best", Settings(), name=name, start=lambda _, run_id: order.append(run_id))

    with ThreadPoolExecutor(2) as both:
        first, second = both.map(start, ("one", "two"))
    assert sorted(order) == sorted([*first.runs, *second.runs]) == workspace.run_ids()
    assert [run.name for run in read(workspace, first)] == ["one", "random control of one"]
    assert [run.name for run in read(workspace, second)] == ["two", "random control of two"]


def test_an_unknown_role_is_refused_before_anything_is_made(workspace):
    scored(workspace)
    select(workspace)
    with pytest.raises(InputError, match="'most'"):
        groups.prepare_group(workspace, "best", Settings(), ["most"])
    assert not workspace.run_ids()


def test_folders_from_before_there_were_groups(workspace):
    scored(workspace)
    group, _ = started(workspace, Settings())
    for run_id in group.runs:
        path = workspace.run(run_id) / "run.json"
        write_json(path, {key: value for key, value in read_json(path).items() if key not in ("role", "group")})
    assert [(run.role, run.group) for run in read(workspace, group)] == [("run", group.group), ("random", group.group)]
