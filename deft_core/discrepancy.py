"""The discrepancy distribution d = q+ - q-, and rewards from pooled hidden states by d alone. NumPy, no torch.

q+ holds the token frequencies of the chosen responses, q- those of the rejected ones (method: DEFT, arXiv 2604.01787).
Because d sums to 0 the softmax normaliser cancels and a response's distribution reward is linear in d:

    R = mean_t d . log p(. | x, y_<t) = scale * (u . mean_t h_t + b . d),    u = W^T d
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from deft_core import file_names
from deft_core.errors import InputError, first_line

__all__ = ["discrepancy", "find_tokens", "frequencies", "head_vector", "moved_tokens", "read_table", "readable", "rescore", "table"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def frequencies(counts: Ints) -> Floats:
    """Counts [V] as a distribution that sums to 1."""
    total = int(counts.sum())
    if total == 0:
        raise InputError("at least one token on each side", "none", "Use training rows that have chosen and rejected answers.")
    return counts / np.float64(total)


def discrepancy(chosen: Ints, rejected: Ints) -> Floats:
    """d [V] from the token counts of chosen and rejected responses; sums to 0 up to rounding."""
    return frequencies(chosen) - frequencies(rejected)


def head_vector(weight: NDArray[np.float32], d: Floats) -> Floats:
    """u = W^T d [H] for W [V, H]; only the rows that d touches are read, so W may be memory-mapped."""
    touched = np.flatnonzero(d)
    u: Floats = np.zeros(weight.shape[1])
    for start in range(0, len(touched), 4096):
        rows = touched[start : start + 4096]
        u += d[rows] @ weight[rows].astype(np.float64)
    return u


def rescore(pooled: NDArray[np.float32], u: Floats, offset: float = 0.0, scale: float = 1.0) -> Floats:
    """R [N] = scale * (pooled [N, H] . u + offset), offset = b . d where the head has a bias b."""
    rewards: Floats = scale * ((pooled @ u.astype(np.float32)).astype(np.float64) + offset)
    return rewards


def readable(token: bytes) -> str:
    """A token a person can read: spaces as ␣, line breaks as ⏎, tabs as ⇥, half a character as its bytes."""
    text = token.decode("utf-8", errors="backslashreplace")
    for plain, shown in ((" ", "␣"), ("\n", "⏎"), ("\t", "⇥"), ("\r", "␍")):
        text = text.replace(plain, shown)
    return text


def table(tokens: list[bytes], chosen: Ints, rejected: Ints) -> pd.DataFrame:
    """One row a token id: token, bytes, counts on both sides and d."""
    return pd.DataFrame(
        {
            "token_id": np.arange(len(tokens), dtype=np.int32),
            "token": [readable(token) for token in tokens],
            "bytes": tokens,
            "count_chosen": chosen,
            "count_rejected": rejected,
            "d": discrepancy(chosen, rejected),
        }
    )


def read_table(folder: Path) -> pd.DataFrame:
    """The discrepancy table of a score set's folder."""
    path = folder / file_names.DISCREPANCY
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        found = first_line(error)
        raise InputError(f"the token table in {path}", found, f"Remove the folder {folder} and score the dataset again.") from None


def find_tokens(table: pd.DataFrame, text: str) -> pd.DataFrame:
    """The counted tokens that contain a text, whatever its case: those that are it before all others, then the most frequent first."""
    count = table["count_chosen"] + table["count_rejected"]
    wanted = readable(text.encode()).casefold()
    shown = table["token"].str.casefold()
    found = table.assign(is_it=shown.str.strip("␣⏎⇥␍") == wanted.strip("␣⏎⇥␍"), count=count)
    found = found[shown.str.contains(wanted, regex=False) & (count > 0)]
    return found.sort_values(["is_it", "count"], ascending=False, kind="stable").drop(columns=["is_it", "count"])


def moved_tokens(table: pd.DataFrame, d: Floats, top: int) -> pd.DataFrame:
    """The `top` tokens whose d another d [V] differs from most: token, token_id, d, other."""
    far = np.argsort(-np.abs(d - table["d"].to_numpy()), kind="stable")[:top]
    return table.iloc[far].assign(other=d[far])[["token", "token_id", "d", "other"]].reset_index(drop=True)
