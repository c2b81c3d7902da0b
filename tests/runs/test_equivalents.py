"""What is shown for copying starts the very runs that the page would."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deft_core import cli
from deft_core.runs import equivalents, groups, launch
from deft_core.runs.spec import Settings, read_run
from tests.runs.made import scored, select, with_size

ROOT = Path(__file__).parents[2]
CASES = [
    (Settings(), ("random",), None),  # its 5e-6 is not what the command takes for a model this small
    (Settings("simpo", guidance=None, steps=7, lr=3e-6, beta=1.5, lora_rank=8), (), "two words, it's"),
    (
        Settings(guidance=0.25, gradient_checkpointing=True, schedule="cosine", lora_alpha=4.0, lora_rank=4),
        ("random", "full", "unguided"),
        None,
    ),
    (Settings("pro", gap=0.5, eval_steps=3, eval_rows=5, seed=4, epochs=0.5, save_steps=2), ("full",), None),
]


def made(workspace):
    """(settings, role, name) of the runs there are, by the order of their roles."""
    first = next(run for run in map(read_run, map(workspace.run, workspace.run_ids())) if run.role == "run")
    return [(run.settings, run.role) for run in groups.members(workspace, first.group)], first.name


@pytest.mark.parametrize(("settings", "against", "name"), CASES)
def test_the_command(workspace, monkeypatch, settings, against, name):
    scored(workspace)
    with_size(workspace)
    select(workspace)
    monkeypatch.setattr(launch, "start", lambda workspace, run_id: 0)
    line = equivalents.command(workspace.root, "best@1", settings, against, name)
    words = shlex.split(line.replace("\\\n", " "))
    result = CliRunner().invoke(cli.app, words[1:], catch_exceptions=False)
    assert result.exit_code == 0
    runs, named = made(workspace)
    assert runs[0][0] == settings
    assert {role for _, role in runs} == {"run", *against}
    assert named == (name or f"best@1 {settings.method}")


@pytest.mark.parametrize(("settings", "against", "name"), CASES)
def test_the_lines_of_python(workspace, monkeypatch, settings, against, name):
    scored(workspace)
    select(workspace)
    start = groups.start_group
    monkeypatch.setattr(groups, "start_group", lambda *values, **more: start(*values, **more, start=lambda workspace, run_id: 0))
    exec(equivalents.python_lines(workspace.root, "best@1", settings, against, name), {})
    runs, named = made(workspace)
    assert runs[0][0] == settings
    assert {role for _, role in runs} == {"run", *against}
    assert named == (name or f"best@1 {settings.method}")


def test_only_what_was_changed_is_said():
    always = {"method": "dpo", "guidance": 0.0}
    assert equivalents.changed(Settings()) == always | {"lr": 5e-6}
    assert equivalents.changed(Settings(lora_rank=8)) == always | {"lora_rank": 8, "lr": 1e-4}  # alpha follows the rank


def test_the_lines_run_as_a_script(tmp_path):
    lines = equivalents.python_lines(tmp_path / "none", "best@1", Settings())
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "a selection in" in done.stderr
