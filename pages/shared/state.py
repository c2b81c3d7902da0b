"""Every key of the session and of the address. A value stands in the address as plain text, so that a link brings back the view.

The address decides; what it does not say comes from the session (Streamlit empties the address when a page is changed), and is
written back. Widgets mirror these values: each is given its value as its default, and their callbacks write here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import streamlit as st

from deft_core.errors import DeftError, InputError
from deft_core.filters import Filter, from_text, to_text
from deft_core.runs.spec import Settings

if TYPE_CHECKING:
    from deft_core.lm.trial import Trial

# keys of the address
DATASET, SCORES = "dataset", "scores"
FILTERS, ROW, PAGE, SORT = "filter", "row", "page", "sort"
MEASURE, BRUSHED, CHARTS = "measure", "brush", "chart"
RELATIONS, RELATED, RELATION = "relations", "related", "relation"  # the matrix: open, its columns, what it shows
NOISE = "noise"  # the signal whose rows are shown
RUN_ROWS = "of-run"  # the run whose margins stand beside the rows
PLACES = "places"  # whether places in the kept set are told
REASON, REFUSED_PAGE, REFUSED_ROW, SOURCE = "reason", "refused-page", "refused", "source"
ACROSS = "over"  # what curves of several runs stand over
TRY, TRY_ROW, TEMPERATURE, TRY_SEED, NEW_TOKENS = "try", "try-row", "temperature", "try-seed", "new-tokens"  # what is asked of models
SELECTION, TAB, TEXTS, EXAMPLES = "selection", "tab", "texts", "examples"
PANEL, TOP, ORDER, FIND, TOKEN, TOKEN_PAGE = "panel", "top", "order", "find", "token", "token-page"
MASK, WITHOUT, SMOOTH, ONLY_SOURCE, ONLY_KEPT = "mask", "without", "smooth", "only-source", "only-kept"  # another d
RUN, COMPARE = "run", "compare"  # the run that is shown; those that are compared
FIND_RUN, RUNS_PAGE = "find-run", "runs-page"
SPAN, LOG, STEPS, SAMPLES_AT = "span", "log", "steps", "samples-at"  # how the curves and samples of a run are looked at
OF_ONE_RUN = (COMPARE, STEPS, SAMPLES_AT)
RULE = ("keep", "by", "fraction", "count", "value", "low", "high", "where", "seed", "strata", "within")  # the settings of a rule
TRAIN_VERSION, TRAIN_NAME, ALSO = "train-version", "train-name", "also"  # of the selection that is trained on; what runs beside it
TRAIN = {field.name: f"train-{field.name.replace('_', '-')}" for field in fields(Settings)}  # the settings of a run
OF_ONE_DATASET = (
    *(RUN_ROWS, TRY_ROW),
    *(TRAIN_VERSION, TRAIN_NAME),
    *(SCORES, FILTERS, ROW, PAGE, SORT, CHARTS, RELATED, PLACES, NOISE, REASON, REFUSED_PAGE, REFUSED_ROW, SELECTION, *RULE),
    *(FIND, TOKEN, TOKEN_PAGE, MASK, WITHOUT, SMOOTH, ONLY_SOURCE, ONLY_KEPT),
)

# keys of the session alone
_REFUSED = "_refused"
_ROUTED, _KEPT, _RENEWED, _FAILURE, _UPLOAD = "_routed", "_kept", "_renewed", "_failure", "_upload"
_ALLOWED, _SAVED, _SHOWN = "_allowed", "_saved", "_shown"
QUESTION, SYSTEM = "question", "system"  # what is typed on Try
_REMEMBERED, _TRIAL = "_remembered", "_trial"
COLUMN = "_column"  # the text box with the name of a what-if
_ASKED, _SAID, _PLACE = "_asked", "_said", "_place"
_PICKED_RUNS = "_picked-runs"
_STARTED = "_started"


def routed() -> bool:
    return bool(st.session_state.get(_ROUTED))


def set_routed() -> None:
    st.session_state[_ROUTED] = True


def follow_address() -> None:
    """A link to another dataset, or to another run, leaves behind what belonged to the one before."""
    kept: dict[str, list[str]] = st.session_state.setdefault(_KEPT, {})
    if RUN in st.query_params and [st.query_params[RUN]] != kept.get(RUN, []):
        for name in OF_ONE_RUN:
            kept.pop(name, None)
    if DATASET in st.query_params and [st.query_params[DATASET]] != kept.get(DATASET, []):
        for name in OF_ONE_DATASET:
            kept.pop(name, None)


def values(name: str) -> list[str]:
    kept: dict[str, list[str]] = st.session_state.setdefault(_KEPT, {})
    if name in st.query_params:
        kept[name] = st.query_params.get_all(name)
    elif kept.get(name):
        st.query_params[name] = kept[name]
    return kept.get(name, [])


def value(name: str, default: str = "") -> str:
    return (values(name) or [default])[0]


def number(name: str) -> int:
    text = value(name, "0")
    return int(text) if text.isdecimal() else 0


def put(name: str, *new: str | int) -> None:
    """Without a value: remove it."""
    put_all({name: new})


def put_all(new: Mapping[str, Iterable[str | int]]) -> None:
    """Several at once, which is one step of the browser's Back; without a value: remove it."""
    texts = {name: [str(text) for text in some if text != ""] for name, some in new.items()}
    st.session_state.setdefault(_KEPT, {}).update(texts)
    before = {name: st.query_params.get_all(name) for name in st.query_params}
    after = {name: found for name, found in (before | texts).items() if found}
    if after != before:
        st.query_params.from_dict(after)


def together(names: Iterable[str]) -> dict[str, str]:
    """Values that belong together: where the address has one of them, what it has is all, and nothing comes from the session."""
    in_address = any(name in st.query_params for name in names)
    kept: dict[str, list[str]] = st.session_state.setdefault(_KEPT, {})
    found = {name: st.query_params.get_all(name) if in_address else kept.get(name, []) for name in names}
    put_all(found)
    return {name: texts[0] for name, texts in found.items() if texts and texts[0]}


def choose_dataset(name: str) -> None:
    put_all(dict.fromkeys(OF_ONE_DATASET, ()) | {DATASET: (name,)})


# filters


def filters() -> list[Filter]:
    return [from_text(text) for text in values(FILTERS)]


def set_filters(rules: Sequence[Filter]) -> None:
    put_all({FILTERS: dict.fromkeys(to_text(rule) for rule in rules), PAGE: ()})


def replace_filter(gone: Callable[[Filter], bool], new: Filter | None) -> None:
    """At most one filter of a kind: those that are `gone` make way for `new`."""
    kept = [rule for rule in filters() if not gone(rule)]
    set_filters([*kept, new] if new else kept)


# a person's own SQL: what is typed here runs, what arrives in a link waits for a click


def allow(sql: str) -> None:
    st.session_state.setdefault(_ALLOWED, set()).add(sql)


def allowed(sql: str) -> bool:
    return sql in st.session_state.get(_ALLOWED, set())


def set_refused(error: DeftError | None) -> None:
    """Why the condition that stands in its box cannot work."""
    st.session_state[_REFUSED] = error


def refused() -> DeftError | None:
    error: DeftError | None = st.session_state.get(_REFUSED)
    return error


# widgets


def mirror(name: str, current: Any, *about: object) -> str:
    """The key of the widget that shows `name`; `about`: the settings that make it another widget.

    `current` is what the widget is to be given as its default. It is not set in the session: what is set there is sent to a
    browser once, and never where that run is overtaken by another; the browser would show something else and send it as somebody's choice.
    A value that does not come from the widget itself makes it another one too: until a browser has the new one, its messages (also those
    it sends by itself while something runs) repeat what the old one showed, which is then no change of the new one. See `changed`.
    """
    shown: dict[str, tuple[Any, ...]] = st.session_state.setdefault(_SHOWN, {})
    key = renewed_key(f"widget-{name}")
    if key in shown and not (key in st.session_state and _alike(st.session_state[key], current) and shown[key][1:] == about):
        renew(f"widget-{name}")
        key = renewed_key(f"widget-{name}")
    shown[key] = (current, *about)
    return key


def changed(key: str, act: Callable[[Any], None]) -> Callable[[], None]:
    """The callback of a widget of `mirror`: acts on its value, unless it is what was last shown under that key."""

    def heed() -> None:
        value, shown = st.session_state[key], st.session_state[_SHOWN]
        if key in shown and not _alike(value, shown[key][0]):
            shown[key] = (value, *shown[key][1:])
            act(value)

    return heed


def check_browser_number(name: str, value: Any) -> None:
    """Browsers hold whole numbers to 2 ** 53 - 1 alone; raises InputError."""
    if isinstance(value, int) and abs(value) >= 2**53:
        raise InputError(
            f"{name} below 2 ** 53, which is all that a browser can hold", str(value), "Mend it in the address, or use the command."
        )


def _alike(one: Any, other: Any) -> bool:
    """Numbers are, whose first five digits are: an address holds no more than six."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-5)
    return bool(one == other)


def typed(name: str) -> str:
    """What stands in a text box that keeps what it could not use; nothing before it is drawn."""
    return str(st.session_state.get(name, "")).strip()


def set_typed(name: str, text: str) -> None:
    st.session_state[name] = text


def renewed_key(name: str) -> str:
    """The key of a widget that is emptied by becoming another one."""
    renewed: dict[str, int] = st.session_state.setdefault(_RENEWED, {})
    return f"{name}-{renewed.get(name, 0)}"


def renew(name: str) -> None:
    renewed: dict[str, int] = st.session_state.setdefault(_RENEWED, {})
    renewed[name] = renewed.get(name, 0) + 1


def drawing_key(chart: str, *shown: object) -> str:
    """The key of a chart one can draw on; a new one once a drawing has become a filter, so that the drawing goes.

    Streamlit knows a chart by its figure. So that a drawing on one whose rows have just become more can still be read, what is
    `shown` is part of the key.
    """
    return f"{renewed_key(f'drawn-{chart}')}-{blake2b(repr(shown).encode(), digest_size=4).hexdigest()}"


def take_drawing(chart: str, key: str) -> dict[str, Any]:
    """What was drawn on a chart (`box`, `lasso`, `points`) or picked in a table (`rows`, `columns`, `cells`); it is empty again.

    Nothing where it was taken before: until a browser has the empty chart it repeats what was drawn on the old one.
    """
    if not key.startswith(f"{renewed_key(f'drawn-{chart}')}-"):
        return {}
    taken = dict(st.session_state.get(key, {}).get("selection", {}))
    if any(taken.values()):
        renew(f"drawn-{chart}")
    return taken


def looked_at(key: str) -> dict[str, Any]:
    """What is picked in a table (`rows`, `columns`, `cells`), which stays picked."""
    return dict(st.session_state.get(key, {}).get("selection", {}))


def upload() -> str:
    """Where the copy of this session's upload lies."""
    return str(st.session_state.get(_UPLOAD, ""))


def set_upload(path: str) -> None:
    st.session_state[_UPLOAD] = path


# deciding


def ask(kind: str, about: str) -> None:
    """Which decision on all rows of a filter waits for a second click; none without a kind."""
    st.session_state[_ASKED] = (kind, about)
    set_said("")


def asked() -> tuple[str, str]:
    kind, about = st.session_state.get(_ASKED, ("", ""))
    return kind, about


def set_said(words: str) -> None:
    """What a decision came to; shown until the next one, or another row."""
    st.session_state[_SAID] = words


def said() -> str:
    return str(st.session_state.get(_SAID, ""))


def place(row: str, here: int) -> int:
    """Where the open row stood when it was opened: a decision on it may move it in the order, or out of it."""
    named = sorted(set(st.query_params) - {ROW, PAGE})
    about = [row, *(f"{name}={text}" for name in named for text in st.query_params.get_all(name))]
    known, there = st.session_state.get(_PLACE, (None, -1))
    if known != about:
        st.session_state[_PLACE] = (about, here)
        return here
    return int(there)


def picked_runs() -> list[str]:
    """The runs whose boxes are ticked, to be compared."""
    return list(st.session_state.get(_PICKED_RUNS, []))


def pick_runs(run_ids: Sequence[str]) -> None:
    st.session_state[_PICKED_RUNS] = list(dict.fromkeys(run_ids))


def open_run(run_id: str) -> None:
    """Shows a run as it is looked at first; none: the list."""
    put_all(dict.fromkeys(OF_ONE_RUN, ()) | {RUN: (run_id,)})


def compare_runs(*run_ids: str) -> None:
    put_all({RUN: (), COMPARE: run_ids})


def set_saved(came_of_it: str | DeftError) -> None:
    """What was saved or changed on disk, or why not; shown once, by the run that follows."""
    st.session_state[_SAVED] = came_of_it


def take_saved() -> str | DeftError:
    came_of_it: str | DeftError = st.session_state.pop(_SAVED, "")
    return came_of_it


def set_started(group: str) -> None:
    """The group of runs that was just started; taken once, by the run that leads to it."""
    st.session_state[_STARTED] = group


def take_started() -> str:
    return str(st.session_state.pop(_STARTED, ""))


# Try: what is typed stays when another page is opened, and so do the answers


def remember(name: str, text: str | None) -> None:
    st.session_state.setdefault(_REMEMBERED, {})[name] = text


def remembered(name: str) -> str | None:
    """None where nothing was typed."""
    text: str | None = st.session_state.get(_REMEMBERED, {}).get(name)
    return text


def set_trial(trial: Trial, colours: Sequence[str]) -> None:
    st.session_state[_TRIAL] = (trial, list(colours))


def trial() -> Trial | None:
    """The question asked last, with its answers."""
    found: tuple[Trial | None, list[str]] = st.session_state.get(_TRIAL, (None, []))
    return found[0]


def trial_colours() -> list[str]:
    found: tuple[Trial | None, list[str]] = st.session_state.get(_TRIAL, (None, []))
    return found[1]


# an error met in a callback, shown by the run that follows


def set_failure(error: DeftError) -> None:
    st.session_state[_FAILURE] = error


def take_failure() -> DeftError | None:
    error: DeftError | None = st.session_state.pop(_FAILURE, None)
    return error
