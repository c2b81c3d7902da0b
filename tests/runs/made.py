"""Runs for the tests: a scored dataset, a selection of it, and run folders made from them."""

import time

import psutil

from deft_core import overrides, selecting, selections
from deft_core.rule import Rule
from deft_core.runs.prepare import prepare
from deft_core.runs.spec import Settings
from deft_core.workspace import read_json, write_json
from tests.score_sets import preferences, write_dataset, write_scores


def scored(workspace, rows=40, **options):
    """The dataset `demo`, scored; its preferences by id."""
    made = preferences(rows)
    ids = write_dataset(workspace, "demo", made)
    write_scores(workspace, "demo", made, ids, **options)
    return dict(zip(ids, made, strict=True))


def with_size(workspace):
    """Lets the score set `tiny` of `demo` say how large its model is."""
    about = workspace.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"parameters": 35_040, "layers": 2})


def select(workspace, name="best", rule=None, score_id="newest"):
    return selections.save(workspace, name, selecting.draft(workspace, "demo", rule or Rule("highest", fraction=0.25), score_id))


def decide(workspace, kind, *ids):
    return overrides.append(workspace, "demo", kind, ids)


def a_run(workspace, name="best", **settings):
    """A run folder over the selection, which is saved where it is not there yet."""
    if not workspace.selection(name).exists():
        if not workspace.dataset_names():
            scored(workspace)
        select(workspace, name)
    run = prepare(workspace, name, Settings(**settings))
    return workspace.run(run.run_id)


def until(condition, seconds=60):
    """Waits for what another process is about to do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def gone(pid):
    """Whether a process has ended, at whatever moment it does."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
