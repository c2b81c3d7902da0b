"""The card of a trained model: the Hub's README with what it was trained on, how, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deft_core.runs.spec import Run

__all__ = ["card"]

_OF_METHOD = {
    "dpo": ("beta",),
    "ipo": ("beta",),
    "simpo": ("beta", "gamma"),
    "orpo": ("odds_weight",),
    "pro": ("likelihood_weight", "gap"),
    "sft": (),
}
_ALWAYS = ("seed", "rows_per_step", "learning_rate", "schedule", "warmup", "weight_decay", "max_grad_norm", "lora_rank")
_STEP = ("loss", "loss_align", "loss_guidance", "reward_chosen", "margin", "accuracy_implicit", "accuracy_logp")


def card(run: Run, events: Sequence[Mapping[str, Any]], omega: float) -> str:
    """Markdown with the Hub's metadata; `events` are those of metrics.jsonl that stand."""
    lines = [*_metadata(run), f"# {run.name}", "", _sentence(run, omega), ""]
    lines += ["## Data", "", *_list(_data(run)), "", "## Training", "", *_list(_training(run, events, omega)), ""]
    steps = [event for event in events if event["event"] == "step"]
    evaluations = [event for event in events if event["event"] == "evaluation"]
    if steps:
        lines += [f"## Step {steps[-1]['step']}", "", *_list({name: steps[-1].get(name) for name in _STEP}), ""]
    if evaluations:
        lines += _evaluations(evaluations[0], evaluations[-1])
    return "\n".join(lines) + "\n"


def _metadata(run: Run) -> list[str]:
    base = [] if Path(run.model).is_absolute() else [f"base_model: {json.dumps(run.model)}"]
    return ["---", *base, "library_name: transformers", "pipeline_tag: text-generation", f"tags: [deft, {run.settings.method}]", "---", ""]


def _base(run: Run) -> str:
    """The name, or what a folder is called."""
    return Path(run.model).name if Path(run.model).is_absolute() else run.model


def _sentence(run: Run, omega: float) -> str:
    guided = f"with distribution guidance (weight {omega:.4g})" if omega else "without distribution guidance"
    return f"{_base(run)}, fine-tuned with {run.settings.method.upper()} {guided} on {run.rows:,} preferences of {run.dataset}."


def _data(run: Run) -> dict[str, Any]:
    found = {"dataset": run.dataset, "rows": run.rows, "selection": f"{run.selection}@{run.version}", "rule": json.dumps(run.rule)}
    found |= {"random control of": run.control_of, "discrepancy d": run.fingerprints.get("d"), "scores": run.score_id}
    return found | {f"fingerprint of the {name}": value for name, value in run.fingerprints.items() if name != "d"}


def _training(run: Run, events: Sequence[Mapping[str, Any]], omega: float) -> dict[str, Any]:
    settings = run.settings
    steps = [event for event in events if event["event"] == "step"]
    found = {"method": settings.method, "guidance weight (omega)": omega, "steps": len(steps) or None}
    found |= {name: getattr(settings, name) for name in (*_OF_METHOD[settings.method], *_ALWAYS)}
    return found | {"longest sequence in tokens": run.max_length, "written by": f"DEFT Studio {run.code}"}


def _evaluations(first: Mapping[str, Any], last: Mapping[str, Any]) -> list[str]:
    names = [name for name, value in last.items() if isinstance(value, int | float) and not name.endswith(("_low", "_high"))]
    rows = [f"| {name} | {_figure(first, name)} | {_figure(last, name)} |" for name in names if name not in ("step", "time")]
    head = ["## On held-out prompts", "", f"| | step {first['step']} | step {last['step']} |", "|---|---|---|"]
    return [*head, *rows, "", "In brackets: 95 % intervals over prompts.", ""]


def _figure(event: Mapping[str, Any], name: str) -> str:
    value, low, high = (event.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    interval = "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"
    return "–" if value is None else f"{value:.4g}{interval}"


def _list(values: Mapping[str, Any]) -> list[str]:
    return [f"- {name}: {_shown(value)}" for name, value in values.items() if value is not None]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
