"""The settings of a run: read from the address, changed by their widgets, which write them there again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import streamlit as st

from deft_core.errors import InputError
from deft_core.runs import defaults
from deft_core.runs.facts import Facts
from deft_core.runs.spec import METHODS, Run, Settings
from pages.shared import state, train_resources, widgets

METHOD_NAMES = {
    "dpo": "DPO",
    "pro": "PRO, whole rankings",
    "sft": "SFT, chosen answers alone",
    "ipo": "IPO",
    "simpo": "SimPO, without a reference",
    "orpo": "ORPO, without a reference",
}
METHOD_HELP = (
    "DPO raises the chosen answer's probability over the rejected one's, against the base model. IPO does so towards a fixed gap. SimPO "
    "and ORPO need no base model beside the one that learns. PRO reads all answers of a ranking. SFT imitates the chosen answers."
)
GUIDANCE = ("off", "auto", "weight")
GUIDANCE_WORDS = {
    "off": "The method's own loss, nothing added.",
    "auto": "Also rewards chosen answers for leaning towards the tokens that people preferred, a tenth as strongly as the loss pulls.",
    "weight": "Also rewards chosen answers for leaning towards the tokens that people preferred. It has no bound: watch R and KL.",
}
WHY_OFF = (
    "Off to begin with: [our study](study) has a few pairs of runs with and without it on the same rows. They could not tell that it "
    "makes a model right more often on held-out rows; with it, each ended further from its base."
)
RANKS = (0, 4, 8, 16, 32, 64)
WITH_BETA = ("dpo", "ipo", "simpo")
SHOWN: tuple[str, ...] = ("method", "guidance", "epochs", "steps", "lr", "beta", "lora_rank", "eval_steps", "eval_rows", "seed")
SHOWN += ("rows_per_step", "accumulation_tokens", "gradient_checkpointing", "new_tokens")
FOLLOWING = ("lr", "beta", "lora_alpha")  # what they are by themselves depends on the method and on what learns
AUTO = "auto"


# the address


def asked(known: Facts, usual: Settings) -> Settings:
    """The settings in the address; what it leaves open is the usual."""
    there = state.together(state.TRAIN.values())
    given = {name: _value(name, there[key]) for name, key in state.TRAIN.items() if key in there}
    open_ = {name: value for name, value in asdict(usual).items() if name not in FOLLOWING}
    return _made(known, open_ | given)


def _value(name: str, text: str) -> Any:
    if name == "guidance" and text == AUTO:
        return None
    try:
        number = json.loads(text)
    except ValueError:
        return text  # a word; Settings says where it should have been a number
    state.check_browser_number(name, number)
    return number


def _made(known: Facts, values: dict[str, Any]) -> Settings:
    rank = values.get("lora_rank")
    rate = defaults.rate(known.size, bool(rank)) if isinstance(rank, int) else None
    return Settings.from_dict({"lr": rate} | {name: value for name, value in values.items() if value is not None or name == "guidance"})


def change(known: Facts, settings: Settings, **new: Any) -> None:
    """The settings with others, into the address; what follows from the method or the rank follows the new ones."""
    plain = _made(known, {"method": settings.method, "lora_rank": settings.lora_rank})
    stays = {name: value for name, value in asdict(settings).items() if name not in FOLLOWING or value != getattr(plain, name)}
    put(known, _made(known, stays | new))


def put(known: Facts, settings: Settings) -> None:
    plain = _made(known, {"method": settings.method, "lora_rank": settings.lora_rank})
    state.put_all({state.TRAIN[name]: (text,) for name, text in texts(settings, plain).items()})


def texts(settings: Settings, plain: Settings) -> dict[str, str]:
    """Every setting as the address has it; empty where it is what it is by itself and not shown."""
    found = {}
    for name, value in asdict(settings).items():
        if name == "guidance":
            found[name] = AUTO if value is None else f"{value:g}"
        elif value is None or (value == getattr(plain, name) and (name in FOLLOWING or name not in SHOWN)):
            found[name] = ""
        else:
            found[name] = value if isinstance(value, str) else json.dumps(value)
    return found


def clear() -> None:
    state.put_all(dict.fromkeys(state.TRAIN.values(), ()))


def link(run: Run) -> dict[str, str]:
    """The query of a link that opens the Train page with the selection and the settings of a run."""
    plain = Settings(run.settings.method, lora_rank=run.settings.lora_rank)
    given = {state.TRAIN[name]: text for name, text in texts(run.settings, plain).items() if text}
    given[state.TRAIN["lr"]] = json.dumps(run.settings.lr)  # the page has its own for the size of the model
    return {state.DATASET: run.dataset, state.SELECTION: run.selection, state.TRAIN_VERSION: str(run.version)} | given


# the widgets


def draw(known: Facts, settings: Settings) -> None:
    put_one = partial(change, known, settings)
    method, learns = st.columns(2, gap="small")
    with method:
        _choice("Method", "method", METHODS, settings.method, METHOD_NAMES.__getitem__, put_one, METHOD_HELP)
    with learns:
        ranks = sorted({*RANKS, settings.lora_rank})
        help = "LoRA trains small matrices beside the weights: far less memory, small checkpoints, and a larger learning rate."
        _choice("What learns", "lora_rank", ranks, settings.lora_rank, _rank, put_one, help)
    _guidance(settings, put_one)
    _length(known, settings, put_one)
    rate, beta, seed = st.columns(3, gap="small")
    with rate:
        _number("Learning rate", "lr", settings.learning_rate, put_one, low=1e-12, step=settings.learning_rate / 2, format="%e")
    with beta:
        _beta(settings, put_one)
    with seed:
        _number(
            "Seed",
            "seed",
            settings.seed,
            put_one,
            low=0,
            step=1,
            help="Of the rows' order, of LoRA's first weights and of the control's rows.",
        )
    _evaluations(known, settings, put_one)
    _more(settings, put_one)


def _rank(rank: int) -> str:
    return f"LoRA, rank {rank}" if rank else "all weights"


def _choice(
    label: str, name: str, options: Sequence[Any], current: Any, words: Callable[[Any], str], put_one: Callable[..., None], help: str
) -> None:
    key = state.mirror(state.TRAIN[name], current)
    changed = state.changed(key, lambda chosen: put_one(**{name: chosen}))
    st.selectbox(label, options, options.index(current), key=key, format_func=words, on_change=changed, help=help)


def _number(
    label: str, name: str, value: float, put_one: Callable[..., None], *, low: float, step: float, format: str | None = None, help: str = ""
) -> None:
    shown = type(low)(value)
    key = state.mirror(state.TRAIN[name], shown)
    changed = state.changed(key, lambda number: None if number is None else put_one(**{name: number}))
    st.number_input(label, min(low, shown), value=shown, step=step, format=format, key=key, on_change=changed, help=help or None)


def _guidance(settings: Settings, put_one: Callable[..., None]) -> None:
    mode = "auto" if settings.guidance is None else "weight" if settings.guidance else "off"
    key = state.mirror("train-guidance-mode", mode)

    def changed(chosen: str | None) -> None:
        put_one(guidance={"off": 0.0, "auto": None, "weight": 1.0}[chosen or mode])

    choice, weight = st.columns(2, gap="small", vertical_alignment="bottom")
    choice.segmented_control("Guidance", GUIDANCE, default=mode, key=key, on_change=state.changed(key, changed), help=WHY_OFF)
    if mode == "weight":
        assert settings.guidance is not None  # else it were auto
        with weight:
            _number("Weight", "guidance", settings.guidance, put_one, low=1e-9, step=settings.guidance / 2, format="%g")
    st.caption(GUIDANCE_WORDS[mode])


def _length(known: Facts, settings: Settings, put_one: Callable[..., None]) -> None:
    unit = "epochs" if settings.steps is None else "steps"
    key = state.mirror("train-unit", unit)
    steps = settings.total_steps(known.rows)
    an_epoch = math.ceil(known.rows / settings.rows_per_step)

    def changed(chosen: str | None) -> None:
        if chosen == "steps":
            put_one(steps=steps)
        elif chosen == "epochs":
            put_one(steps=None, epochs=float(f"{steps / an_epoch:.3g}"))

    choice, number = st.columns(2, gap="small", vertical_alignment="bottom")
    choice.segmented_control("Train for", ("epochs", "steps"), default=unit, key=key, on_change=state.changed(key, changed))
    with number:
        if unit == "epochs":
            _number("Epochs", "epochs", float(settings.epochs), put_one, low=0.01, step=1.0, format="%g")
        else:
            _number("Steps", "steps", steps, put_one, low=1, step=10)


def _beta(settings: Settings, put_one: Callable[..., None]) -> None:
    if settings.method in WITH_BETA:
        assert settings.beta is not None  # since Settings made it
        help = "How hard the answers are pulled apart; in DPO and IPO a larger one keeps the model nearer to the base."
        _number("Beta", "beta", float(settings.beta), put_one, low=1e-9, step=settings.beta / 2, format="%g", help=help)


def _evaluations(known: Facts, settings: Settings, put_one: Callable[..., None]) -> None:
    every, rows = st.columns(2, gap="small")
    with every:
        help = "Held-out prompts are read, and some answered, before the first step, every so many, after the last. 0: none before the end."
        _number("Evaluate every … steps", "eval_steps", settings.eval_every(known.rows), put_one, low=0, step=1, help=help)
    with rows:
        help = f"Of {known.heldout:,} held out. 64 tell an accuracy to about 12 points either way, 300 to 6."
        _number("Held-out prompts", "eval_rows", settings.eval_rows, put_one, low=2, step=16, help=help)


def _more(settings: Settings, put_one: Callable[..., None]) -> None:
    plain = Settings(settings.method, lora_rank=settings.lora_rank)
    hidden = {name: value for name, value in asdict(settings).items() if name not in SHOWN and value != getattr(plain, name)}
    with st.expander("More" + (f", also {len(hidden)} from the link" if hidden else "")):
        rows, tokens, answers = st.columns(3, gap="small")
        with rows:
            _number(
                "Rows a step",
                "rows_per_step",
                settings.rows_per_step,
                put_one,
                low=1,
                step=1,
                help="Preferences that a step averages over.",
            )
        with tokens:
            help = "A step takes as many forwards as it needs: this changes memory and speed, never the gradient."
            _number(
                "Tokens a forward",
                "accumulation_tokens",
                settings.tokens_a_forward(train_resources.machine().kind),
                put_one,
                low=1,
                step=256,
                help=help,
            )
        with answers:
            _number("Tokens an answer", "new_tokens", settings.new_tokens, put_one, low=1, step=16, help="The most in an evaluation.")
        key = state.mirror("train-checkpointing", settings.gradient_checkpointing)
        changed = state.changed(key, lambda on: put_one(gradient_checkpointing=on))
        words = "Compute activations again in the backward pass (less memory, about a third more time)"
        st.toggle(words, settings.gradient_checkpointing, key=key, on_change=changed)
        for name, value in hidden.items():
            st.text(f"{name.replace('_', ' ')}: {value}")
        st.button("Start with the usual settings", on_click=clear)


def problem(error: InputError) -> None:
    """What is wrong with the settings in the address, and the way out."""
    widgets.problem(error)
    st.button("Start with the usual settings", key="train-usual", on_click=clear)
