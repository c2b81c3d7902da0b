"""The study's tables from docs/study/results/.

python docs/study/tables.py tuning | power | selects | primary | logp | pairs | arms | exploratory      prints one
python docs/study/tables.py      puts all of them into README.md, each below the comment with its name

make study-table-primary and so on, make study-tables.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from crossed import Contrast, contrast, holm, permutation_p, rank_p, smallest_difference  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from deft_core.intervals import difference, mean  # noqa: E402

RESULTS = Path(__file__).parent / "results"
PRIMARY = ("highest", "lowest")
ARMS = ("primary", "lengths", "exploratory")  # parts of the study whose runs are arms
CONTRASTS = (("highest", "random"), ("lowest", "random"), ("length-matched", "random"), ("highest", "length-matched"))
CONTRASTS += (("lowest-lengths", "random"), ("lowest", "lowest-lengths"))
COMPARED = {  # exploratory arms, each with the one it is compared with
    "middle": "random",
    "highest-margin": "random",
    "lowest-margin": "random",
    "smallest-logp-margin": "random",
    "highest-10": "random-10",
    "random-10": "random",
    "full": "random",
    "highest-guided": "highest",
    "highest-guided-10x": "highest",
    "random-guided": "random",
    "pro-highest": "pro-random",
}
PAIRED = ("highest-guided", "highest-guided-10x", "random-guided")  # run by run: the same rows in the same order, without guidance
RANKED = ("middle", "highest-margin", "lowest-margin", "smallest-logp-margin")  # rules with one subset, as large as the 20 random ones
HELDOUT_ROWS = 691
BETWEEN_SEEDS = 0.01
SELECTED = {"reward_chosen": 4, "reward_margin": 4, "tokens_prompt": 0, "tokens_chosen": 1, "tokens_rejected": 1, "turns": 2}
UNSCORED = ("random", "random-10", "random-guided", "pro-random", "full")  # arms whose rows are chosen without scores
DESCRIBED = {
    "accuracy_implicit": "alignment",
    "accuracy_logp": "alignment",
    "margin": "alignment",
    "kl": "generalisation",
    "kl_own": "generalisation",
    "perplexity_neutral": "generalisation",
    "bleu": "generalisation",
    "chrf": "generalisation",
    "answer_tokens": "generalisation",
}
Z_ALPHA, Z_POWER = 2.2414, 0.8416  # two-sided 2.5 %, power 80 %
Values = NDArray[np.float64]


def main() -> None:
    if unknown := set(sys.argv[1:]) - TABLES.keys():
        sys.exit(f"Expected tables of {', '.join(TABLES)}; found {', '.join(sorted(unknown))}. Name one of those.")
    for name in sys.argv[1:]:
        print(markdown(TABLES[name]()))
    if not sys.argv[1:]:
        readme = Path(__file__).with_name("README.md")
        readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """The text with the table of every `<!-- name -->` below it, in the place of the one that is there."""

    def found(match: re.Match[str]) -> str:
        return f"{match[1]}{markdown(TABLES[match[2]]())}\n"

    return re.sub(r"(<!-- (\w+) -->\n)(?:\|.*\n)*", found, text)


def markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    return "\n".join(lines + ["| " + " | ".join(str(value) for value in row) + " |" for row in table.itertuples(index=False)])


# what the runs left


def runs(*parts: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return [one for one in found if one["part"] in parts]


def arm(name: str, metric: str, ids: list[str]) -> Values:
    """[runs, rows] of an arm in the order of the rows given."""
    numbers = sorted(one["number"] for one in runs(*ARMS) if one["arm"] == name)
    found = [pd.read_parquet(RESULTS / f"{name}-{number}.parquet").set_index("id")[metric] for number in numbers]
    return np.stack([one.loc[ids].to_numpy(np.float64) for one in found])


def kl(name: str) -> Values:
    """[runs] of an arm, to the base on held-out chosen answers, in nats a token."""
    own = sorted((one for one in runs(*ARMS) if one["arm"] == name), key=lambda one: int(one["number"]))
    return np.array([figure(one, "generalisation", "kl") for one in own])


def heldout(dataset: str) -> pd.DataFrame:
    """id and conversation (a number) of the held-out rows, in one order."""
    return pd.read_parquet(RESULTS / f"heldout-{dataset}.parquet")


def figure(one: dict[str, Any], section: str, name: str, of: str = "tuned") -> float:
    value = one["evaluation"][section][name][of]
    return float("nan") if value is None or value["value"] is None else value["value"]


# the tables


def tuning() -> pd.DataFrame:
    """Mean over two random subsets of what each setting comes to on the tuning part."""
    rows = [
        {
            "learning rate": one["settings"]["lr"],
            "epochs": one["settings"]["epochs"],
            "accuracy_implicit": figure(one, "alignment", "accuracy_implicit"),
            "margin": figure(one, "alignment", "margin"),
            "KL": figure(one, "generalisation", "kl"),
        }
        for one in runs("tuning")
    ]
    table = pd.DataFrame(rows).groupby(["learning rate", "epochs"], as_index=False).mean()
    return table.assign(**{name: table[name].map("{:.4f}".format) for name in ("accuracy_implicit", "margin", "KL")})


def power() -> pd.DataFrame:
    """The smallest difference of the plan again, by the tuning runs.

    What two runs on random subsets say of one row differs by the chance of both, so half of that variance is one run's. A rule is one
    subset whatever its seeds, and random the mean of 20: over rows, the variance of their difference is that of one run and a twentieth.
    Two subsets' means differ by the chance of these rows too, which is taken off before the spread between subsets is had from them, over
    all settings; between seeds the spread stays as assumed.
    """
    pairs: dict[tuple[float, float], list[Values]] = {}
    for one in runs("tuning"):
        values = pd.read_parquet(RESULTS / f"{one['name']}.parquet").sort_values("id")["accuracy_implicit"].to_numpy(np.float64)
        pairs.setdefault((one["settings"]["lr"], one["settings"]["epochs"]), []).append(values)
    variances = [((a.mean() - b.mean()) ** 2 - np.var(a - b, ddof=1) / len(a)) / 2 for a, b in pairs.values()]
    between = float(np.sqrt(max(0.0, np.mean(variances))))
    rows = []
    for (lr, epochs), (a, b) in sorted(pairs.items()):
        over_rows = float(np.sqrt(np.var(a - b, ddof=1) / 2 * (1 + 1 / 20)))
        smallest = smallest_difference(over_rows, HELDOUT_ROWS, [(between, 20), (BETWEEN_SEEDS, 5)], Z_ALPHA, Z_POWER)
        spreads = {"spread over rows": f"{over_rows:.3f}", "spread between subsets": f"{between:.4f}"}
        rows.append({"learning rate": lr, "epochs": epochs, **spreads, "smallest difference": f"{smallest:.4f}"})
    return pd.DataFrame(rows)


def selects() -> pd.DataFrame:
    """What the subsets of each arm are like beside all training rows; means over rows, then over subsets."""
    every = [one for one in runs(*ARMS) if one["arm"] not in (*PAIRED, "full")]  # those have the rows of another arm
    return pd.DataFrame([line for dataset in dict.fromkeys(one["dataset"] for one in every) for line in _selected(every, dataset)])


def _selected(every: list[dict[str, Any]], dataset: str) -> Iterator[dict[str, Any]]:
    rows = pd.read_parquet(RESULTS / f"training-{dataset}.parquet").set_index("id")
    own = [one for one in every if one["dataset"] == dataset]
    yield _line(f"all training rows, {dataset}", [rows])
    for name in dict.fromkeys(one["arm"] for one in own):
        subsets = dict.fromkeys(tuple(one["ids"]) for one in own if one["arm"] == name)
        yield _line(name, [rows.loc[list(ids)] for ids in subsets])


def _line(arm_name: str, subsets: list[pd.DataFrame]) -> dict[str, Any]:
    """Means over rows, then over subsets; of a rule by a reward, the share of its rows that a draw of d keeps, in the mean over draws."""
    means = pd.DataFrame([subset.mean() for subset in subsets]).mean()
    columns = {name: f"{means[name]:.{digits}f}" for name, digits in SELECTED.items()}
    again = means.get(f"kept_{arm_name}")
    about = {"arm": arm_name, "subsets": len(subsets), "rows": len(subsets[0])}
    return about | columns | {"kept by draws of d": "" if again is None else f"{again:.2f}"}


def primary() -> pd.DataFrame:
    """The planned contrasts, primary ones at 97.5 %, those against length at 95 %."""
    about = heldout("hh")
    ids, conversations = about["id"].tolist(), about["conversation"].to_numpy()
    rows, there = [], {one["arm"] for one in runs(*ARMS)}
    for first, second in (one for one in CONTRASTS if there.issuperset(one)):
        planned = first in PRIMARY and second == "random"
        for metric in ("accuracy_implicit", "margin"):
            a, b = arm(first, metric, ids), arm(second, metric, ids)
            level = 0.975 if planned else 0.95
            found = contrast(a, b, conversations, level)
            rows.append(
                {
                    "contrast": f"{first} - {second}",
                    "metric": metric,
                    **beside(a, b),
                    "difference": interval(found, level),
                    "rank p": rank(a, b) if first in PRIMARY else "",
                    "permutation p": below(permutation_p(a.mean(1), b.mean(1)), 4) if planned else "",
                }
            )
    return pd.DataFrame(rows)


def logp() -> pd.DataFrame:
    """The other accuracy, of arms with one subset or all rows against random ones: described, at 95 % and without correction."""
    about = heldout("hh")
    ids, conversations = about["id"].tolist(), about["conversation"].to_numpy()
    by_chance, rows = arm("random", "accuracy_logp", ids), []
    for name in (*PRIMARY, *RANKED, "full"):
        own = arm(name, "accuracy_logp", ids)
        told = interval(contrast(own, by_chance, conversations), 0.95)
        rows.append({"contrast": f"{name} - random", **beside(own, by_chance), "accuracy_logp": told, "rank p": rank(own, by_chance)})
    return pd.DataFrame(rows)


def pairs() -> pd.DataFrame:
    """How often two random draws differ beyond the interval over held-out rows, by which the product says better or worse."""
    ids = heldout("hh")["id"].tolist()
    runs_of = arm("random", "accuracy_implicit", ids)
    rows, chance = [], np.random.default_rng(0)
    for count, times in ((64, 5), (len(ids), 1)):
        samples = [np.sort(chance.choice(len(ids), count, replace=False)) for _ in range(times)]
        found = [difference(mean(a[sample]), mean(b[sample])) for sample in samples for a, b in combinations(runs_of, 2)]
        apart = sum((one.low or 0) > 0 or (one.high or 0) < 0 for one in found)
        rows.append({"held-out rows": count, "comparisons": len(found), "said to differ": f"{apart} ({apart / len(found):.0%})"})
    return pd.DataFrame(rows)


def beside(a: Values, b: Values) -> dict[str, str]:
    """Numbers of runs and means of two arms [runs, rows]."""
    return {"runs": f"{len(a)}, {len(b)}", "means": f"{a.mean():.4f}, {b.mean():.4f}"}


def rank(a: Values, b: Values) -> str:
    """p of where the mean of arm `a` stands among the runs of `b`, in the direction seen."""
    return f"{rank_p(float(a.mean()), b.mean(1), bool(a.mean() > b.mean())):.3f}"


def interval(found: Contrast, level: float) -> str:
    return f"{found.value:+.4f} ({level:.1%}: {found.low:+.4f} to {found.high:+.4f})"


def below(p: float, digits: int) -> str:
    """A p-value; one that would be rounded to 0 as less than the last digit's one."""
    least = 10.0**-digits
    return f"{p:.{digits}f}" if p >= least / 2 else f"< {least:.{digits}f}"


def arms() -> pd.DataFrame:
    """Means over the runs of each arm; between runs, the standard deviation of the accuracy. The untrained model first."""
    every = runs(*ARMS)
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(one["dataset"] for one in every):
        one = next(one for one in every if one["dataset"] == dataset)
        before = {metric: figure(one, section, metric, "base") for metric, section in DESCRIBED.items()}
        name = f"before training, {dataset}"
        rows.append(
            {"arm": name, "runs": "", "rows": ""} | {metric: "" if np.isnan(value) else f"{value:.3f}" for metric, value in before.items()}
        )
    for name in dict.fromkeys(one["arm"] for one in every):
        own = [one for one in every if one["arm"] == name]
        accuracies = [figure(one, "alignment", "accuracy_implicit") for one in own]
        row: dict[str, Any] = {"arm": name, "runs": len(own), "rows": own[0]["rows"]}
        row |= {metric: f"{np.mean([figure(one, section, metric) for one in own]):.3f}" for metric, section in DESCRIBED.items()}
        row["between runs"] = f"{np.std(accuracies, ddof=1):.4f}" if len(own) > 1 else ""
        row["win rate"] = win_rate(own)
        row["scoring s"] = "" if name in UNSCORED else f"{_seconds(own, 'scoring'):.0f}"
        row["training s"] = f"{_seconds(own, 'training'):.0f}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _seconds(own: list[dict[str, Any]], part: str) -> float:
    return float(np.mean([one["evaluation"]["cost"][f"{part}_seconds"] for one in own]))


def win_rate(own: list[dict[str, Any]]) -> str:
    """Of the runs whose judge can tell, with its accuracy; else that it cannot."""
    told = [one["evaluation"] for one in own if one["evaluation"]["judge"]["can_tell"]]
    if not told:
        return "cannot tell"
    won = np.mean([one["alignment"]["win_rate"]["tuned"]["value"] for one in told])
    return f"{won:.2f} (judge {told[0]['judge']['accuracy']['value']:.2f})"


def exploratory() -> pd.DataFrame:
    """The exploratory comparisons that have runs, with Holm's correction over all of them."""
    there = {one["arm"]: one["dataset"] for one in runs(*ARMS)}
    compared = {name: against for name, against in COMPARED.items() if {name, against} <= there.keys()}
    rows, ps = [], []
    for name, against in compared.items():
        about = heldout(there[name])
        ids, conversations = about["id"].tolist(), about["conversation"].to_numpy()
        a, b = (arm(one, "accuracy_implicit", ids) for one in (name, against))
        b = b[: len(a)] if name in PAIRED else b
        paired = (a - b, np.zeros((1, len(ids)))) if name in PAIRED else (a, b)
        found = contrast(*paired, conversations)
        ps.append(found.p)
        rows.append(
            {
                "arm": name,
                "against": against,
                **beside(a, b),
                "KL": f"{kl(name).mean():.3f}, {kl(against)[: len(b)].mean():.3f}",
                "accuracy_implicit": interval(found, 0.95),
                "rank p": rank(a, b) if name in RANKED else "",
            }
        )
    return pd.DataFrame(rows).assign(**{"p (Holm)": [below(p, 3) for p in holm(ps)]})


TABLES = {table.__name__: table for table in (tuning, power, selects, primary, logp, pairs, arms, exploratory)}

if __name__ == "__main__":
    main()
