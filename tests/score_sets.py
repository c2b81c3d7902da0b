"""A small imported and scored dataset, written file by file as the importer and the scorer would, with seeded numbers and no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.discrepancy import head_vector
from deft_core.group_counts import GroupCounter, write_counts
from deft_core.preferences import SCHEMA, Message, Preference, Response
from deft_core.processes import identity
from deft_core.workspace import Workspace, write_json

SCORED = pa.schema(
    [
        ("id", pa.string()),
        *[(f"reward_{name}", pa.float64()) for name in ("chosen", "rejected", "margin", "mean")],
        *[(f"{kind}_{name}", pa.float64()) for kind in ("logp", "mean_logp") for name in ("chosen", "rejected", "margin")],
        *[(f"perplexity_{name}", pa.float64()) for name in ("chosen", "rejected")],
        *[
            ("tokens_prompt", pa.int32()),
            ("tokens_chosen", pa.int32()),
            ("tokens_rejected", pa.float64()),
            ("truncated_tokens", pa.int32()),
        ],
        *[("rewards", pa.list_(pa.float32())), ("logps", pa.list_(pa.float64())), ("tokens", pa.list_(pa.int32()))],
        ("token_ids", pa.list_(pa.list_(pa.int32()))),
        *[(name, pa.list_(pa.list_(pa.float32()))) for name in ("token_rewards", "token_logps")],
    ]
)

HIDDEN = 8  # numbers in a hidden state

WORDS = ["a", "clear", "answer", "helps", "people", "who", "ask", "about", "tea", "trains", "gardens", "maps", "rain", "music", "bread"]
WORDS += ["letters", "sorry", "cannot", "please", "simply", "because"]


@dataclass(frozen=True)
class Words:
    """A tokenizer for the tests: a token is a word with the space before it; every other text falls apart into bytes."""

    @staticmethod
    def pieces(text: str) -> list[bytes]:
        words = [word.encode() for word in text.split(" ")]
        return [b" " + word if place else word for place, word in enumerate(words)]


def preferences(rows: int, seed: int = 0) -> list[Preference]:
    """`rows` preferences: three in four are pairs, the rest rankings of three; `source`, a number, a category and a flag beside them."""
    rng = np.random.default_rng(seed)
    made = []
    for place in range(rows):
        turns = [Message("user", f"Question {place}: how do I {_sentence(rng, 4)}?")]
        if place % 3 == 0:
            turns += [Message("assistant", _sentence(rng, 6)), Message("user", f"And {_sentence(rng, 3)}?")]
        answers = [_sentence(rng, int(rng.integers(4, 30))) + f" {place}{letter}" for letter in ("abc" if place % 4 == 0 else "ab")]
        extra = {
            "difficulty": round(float(rng.gamma(2.0)), 3),
            "topic": str(rng.choice(["tea", "trains", "maps"])),
            "checked": bool(place % 2),
        }
        responses = tuple(Response(text, rank) for rank, text in enumerate(answers, start=1))
        made.append(Preference(tuple(turns), responses, source=("letters", "forum")[place % 5 == 0], extra=extra))
    return made


def _sentence(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words))


def write_dataset(workspace: Workspace, name: str, made: list[Preference], refused: list[dict[str, Any]] | None = None) -> list[str]:
    """The dataset's folder; the ids of its rows in order."""
    folder = workspace.dataset(name)
    folder.mkdir(parents=True)
    rows = [_row(preference, place) for place, preference in enumerate(made)]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "pairs.parquet")
    refused = (
        refused if refused is not None else [{"file": "made.jsonl", "line": 7, "reason": "an answer is empty", "original": {"chosen": ""}}]
    )
    (folder / "refused.jsonl").write_text("".join(json.dumps(row) + "\n" for row in refused), encoding="utf-8")
    splits = [row["split"] for row in rows]
    reasons = {row["reason"]: sum(other["reason"] == row["reason"] for other in refused) for row in refused}
    counts = {split: splits.count(split) for split in ("train", "heldout", "judge")}
    kept = {"rows_read": len(rows) + len(refused), "rows_kept": len(rows), "rows_refused": len(refused)} | counts
    info = {
        "name": name,
        "format": "made",
        "source": "made.jsonl",
        "created": "2026-01-02T03:04:05+00:00",
        "fingerprint": _fingerprint(rows),
    } | kept
    own = {"difficulty": "number", "topic": "text", "checked": "boolean"}
    write_json(folder / "dataset.json", info | {"files": ["made.jsonl"], "extra_columns": own, "reasons": reasons})
    return [row["id"] for row in rows]


def _fingerprint(rows: list[dict[str, Any]]) -> str:
    return blake2b(" ".join(row["id"] for row in rows).encode(), digest_size=16).hexdigest()


def _split(place: int) -> str:
    return {8: "heldout", 9: "judge"}.get(place % 10, "train")


def _row(preference: Preference, place: int) -> dict[str, Any]:
    answers = [response.text for response in preference.responses]
    return {
        "id": f"{preference.content_hash()}-0",
        "split": _split(place),
        "source": preference.source,
        "conversation": preference.conversation(),
        "prompt": [{"role": message.role, "content": message.content} for message in preference.prompt],
        "responses": answers,
        "ranks": [response.rank for response in preference.responses],
        "scores": [response.score for response in preference.responses],
        "n_responses": len(answers),
        "turns": sum(message.role == "user" for message in preference.prompt),
        "characters_prompt": sum(len(message.content) for message in preference.prompt),
        "characters_chosen": len(answers[0]),
        "characters_rejected": len(answers[-1]),
        "extra": json.dumps(preference.extra),
    }


def write_demo(workspace: Workspace, rows: int, **scores: Any) -> Path:
    """The dataset `demo` of `rows` preferences with a score set; `scores` as for write_scores, whose folder comes back."""
    made = preferences(rows)
    return write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made), **scores)


def write_scores(
    workspace: Workspace,
    name: str,
    made: list[Preference],
    ids: list[str],
    *,
    score_id: str = "tiny",
    done: int | None = None,
    state: str = "finished",
    truncated: int = 0,
) -> Path:
    """A score set in which the first `done` rows of a shuffled order are scored, in two parts (the first one small).

    Every token has a hidden state of HIDDEN numbers: contributions, rewards and pooled states agree with d by the method's formulas.
    """
    folder = workspace.score_set(name, score_id)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    texts = [response.text for preference in made for response in preference.responses]
    vocabulary = {piece: number for number, piece in enumerate(sorted({piece for text in texts for piece in Words.pieces(text)}))}
    table = _discrepancy([one for place, one in enumerate(made) if _split(place) == "train"], vocabulary)
    pq.write_table(table, folder / "discrepancy.parquet")
    _write_counts(folder, made, vocabulary)
    head = np.random.default_rng(2).normal(size=(len(vocabulary), HIDDEN)).astype(np.float32)
    np.save(folder / "head.npy", head)
    u = head_vector(head, table["d"].to_numpy())
    done = len(made) if done is None else done
    order = rng.permutation(len(made))[:done]
    rows = [_scored(made[place], ids[place], vocabulary, rng) for place in order]
    for row in rows[:truncated]:
        row["truncated_tokens"] = 5
    for number, part in enumerate([rows[: done // 4], rows[done // 4 :]]):
        if part:
            np.save(folder / f"pooled-{number:05}.npy", _pooled(part, u))
            pq.write_table(pa.Table.from_pylist(part, SCORED), folder / f"part-{number:05}.parquet")
    write_json(
        folder / "score.json",
        _description(name, score_id, len(made)) | {"dataset_fingerprint": workspace.dataset_info(name)["fingerprint"]},
    )
    write_json(folder / "status.json", _status(state, done, len(made)))
    return folder


def _description(name: str, score_id: str, pairs: int) -> dict[str, Any]:
    layout = {
        "layout": "prefix-shared",
        "own_logits": False,
        "layout_reason": None,
        "batch_tokens": 2048,
        "linear": True,
        "logit_scale": 1.0,
        "head_bias": False,
        "dtype": "float32",
        "device": "cpu",
        "max_length": 1024,
    }
    created = {"created": "2026-01-02T04:04:05+00:00", "model": "tiny"}
    return {"dataset": name, "score_id": score_id, "pairs": pairs} | created | layout


def _status(state: str, done: int, total: int) -> dict[str, Any]:
    speed = {"pairs_per_second": 4.0, "tokens_per_second": 310.0, "seconds": done / 4, "seconds_left": (total - done) / 4}
    where = identity() | {"state": state, "phase": "scoring", "message": None}
    return where | {"done": done, "total": total, "truncated": 0} | speed


def _discrepancy(made: list[Preference], vocabulary: dict[bytes, int]) -> pa.Table:
    counts = np.zeros((2, len(vocabulary)), dtype=np.int64)
    for preference in made:
        for response in preference.responses:
            for piece in Words.pieces(response.text):
                counts[int(response.rank > 1), vocabulary[piece]] += 1
    d = counts[0] / counts[0].sum() - counts[1] / counts[1].sum()
    token = [piece.decode().replace(" ", "␣") for piece in vocabulary]
    table = {"token_id": pa.array(vocabulary.values(), pa.int32()), "token": token, "bytes": pa.array(list(vocabulary), pa.binary())}
    return pa.table(table | {"count_chosen": counts[0], "count_rejected": counts[1], "d": d})


def _write_counts(folder: Path, made: list[Preference], vocabulary: dict[bytes, int]) -> None:
    training = [one for place, one in enumerate(made) if _split(place) == "train"]
    conversations = [one.conversation() for one in training]
    sides: list[list[list[int]]] = [[], []]
    for one in training:
        for side, top in zip(sides, (True, False), strict=True):
            texts = [response.text for response in one.responses if (response.rank == 1) == top]
            side.append([vocabulary[piece] for text in texts for piece in Words.pieces(text)])
    counter = GroupCounter(len(vocabulary))
    counter.add(conversations, *sides)
    write_counts(folder, counter.counts(len(set(conversations))))


def _pooled(rows: list[dict[str, Any]], u: np.ndarray) -> np.ndarray:
    """Mean hidden states [responses, HIDDEN] in the order of the rows; each h_t is random but for u . h_t, the token's contribution."""
    rng = np.random.default_rng(3)
    pooled = []
    for contributions in (np.array(one) for row in rows for one in row["token_rewards"]):
        states = rng.normal(size=(len(contributions), HIDDEN))
        states += np.outer((contributions - states @ u) / (u @ u), u)
        pooled.append(states.mean(axis=0))
    return np.array(pooled, dtype=np.float32)


def _scored(preference: Preference, row_id: str, vocabulary: dict[bytes, int], rng: np.random.Generator) -> dict[str, Any]:
    token_ids = [[vocabulary[piece] for piece in Words.pieces(response.text)] for response in preference.responses]
    contributions = [rng.normal(0.08 - 0.02 * place, 0.1, len(ids)) for place, ids in enumerate(token_ids)]
    token_logps = [rng.normal(-2.5, 0.8, len(ids) + 1) for ids in token_ids]  # one more: the end token
    rewards = [float(values.mean()) for values in contributions]
    logps, mean_logps = [float(values.sum()) for values in token_logps], [float(values.mean()) for values in token_logps]
    lengths = [len(ids) for ids in token_ids]
    row: dict[str, Any] = {"id": row_id, "reward_mean": float(np.mean(rewards))}
    for column, values in (("reward", rewards), ("logp", logps), ("mean_logp", mean_logps)):
        best, rest = values[0], float(np.mean(values[1:]))
        row |= {f"{column}_chosen": best, f"{column}_rejected": rest, f"{column}_margin": best - rest}
    row |= {"perplexity_chosen": float(np.exp(-mean_logps[0])), "perplexity_rejected": float(np.exp(-np.mean(mean_logps[1:])))}
    row |= {"tokens_prompt": 12, "tokens_chosen": lengths[0], "tokens_rejected": float(np.mean(lengths[1:])), "truncated_tokens": 0}
    row |= {"rewards": rewards, "logps": logps, "tokens": lengths, "token_ids": token_ids}
    return row | {"token_rewards": [list(values) for values in contributions], "token_logps": [list(values) for values in token_logps]}
