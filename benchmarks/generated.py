"""Generated workspaces of any size for benchmarks: realistic texts made of the demo's sentences, rewards of a plausible shape.

Everything is seeded and written in row groups, so that ten million rows need little memory. Rewards correlate with length as they
do in real sets (about -0.3); the scorer's light columns are all there, its lists of tokens are short, and there are no states. `add_states`
gives a score set both, as large as a model's.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deft_core import discrepancy
from deft_core.preferences import SCHEMA
from deft_core.token_masks import STOP_WORDS
from deft_core.workspace import Workspace, write_json

__all__ = ["add_states", "generate"]

ROOT = Path(__file__).parents[1]
CHUNK = 50_000
SOURCES, SHARES = ["forum", "helpdesk", "letters", "search"], [0.5, 0.3, 0.15, 0.05]


def generate(workspace: Workspace, name: str, rows: int, texts: bool = True, seed: int = 0) -> None:
    """A dataset of `rows` pairs with one score set; with `texts` of 20 to 120 words an answer, else of one word."""
    folder, scores = workspace.dataset(name), workspace.score_set(name, "generated")
    folder.mkdir(parents=True)
    scores.mkdir(parents=True)
    rng, sentences = np.random.default_rng(seed), _sentences()
    with pq.ParquetWriter(folder / "pairs.parquet", SCHEMA, compression="zstd") as pairs:
        for number, start in enumerate(range(0, rows, CHUNK)):
            count = min(CHUNK, rows - start)
            ids = [f"{value:016x}-0" for value in rng.integers(0, 2**63, count)]
            answers = rng.integers(2, 10, (count, 2)) if texts else np.ones((count, 2), dtype=np.int64)
            table = _pairs(rng, ids, answers, sentences if texts else ["yes"])
            pairs.write_table(table, row_group_size=10_000)  # as the importer writes them
            pq.write_table(_scored(rng, ids, answers), scores / f"part-{number:05d}.parquet", compression="zstd")
    pq.write_table(_tokens(), scores / "discrepancy.parquet")
    _describe(folder, scores, name, rows)


def _sentences() -> list[str]:
    lines = (ROOT / "data/demo/pairs.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["chosen"] for line in lines]
    whole = [text if isinstance(text, str) else text[-1]["content"] for text in texts]
    return [sentence.strip() + "." for text in whole for sentence in text.split(".") if sentence.strip()]


def _pairs(rng: np.random.Generator, ids: list[str], answers: npt.NDArray[np.int64], sentences: list[str]) -> pa.Table:
    count = len(ids)
    turns = rng.choice([1, 2, 3], count, p=[0.6, 0.3, 0.1])
    chosen, rejected = (_texts(rng, answers[:, side], sentences) for side in (0, 1))
    prompts = _texts(rng, turns, sentences)
    columns: dict[str, Any] = {
        "id": ids,
        "split": rng.choice(["train", "heldout", "judge"], count, p=[0.8, 0.1, 0.1]),
        "source": rng.choice(SOURCES, count, p=SHARES),
        "conversation": [one[:16] for one in ids],
        "prompt": [[{"role": "user", "content": text}] for text in prompts],
        "responses": list(zip(chosen, rejected, strict=True)),
        "ranks": [[1, 2]] * count,
        "scores": [[None, None]] * count,
        "n_responses": np.full(count, 2),
        "turns": turns,
        "characters_prompt": [len(text) for text in prompts],
        "characters_chosen": [len(text) for text in chosen],
        "characters_rejected": [len(text) for text in rejected],
        "extra": ["{}"] * count,
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def _texts(rng: np.random.Generator, lengths: npt.NDArray[np.int64], sentences: list[str]) -> list[str]:
    picks = rng.integers(0, len(sentences), int(lengths.sum()))
    ends = np.cumsum(lengths)
    return [" ".join(sentences[k] for k in picks[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def _scored(rng: np.random.Generator, ids: list[str], answers: npt.NDArray[np.int64]) -> pa.Table:
    count, tokens = len(ids), answers * 12 + rng.integers(0, 12, answers.shape)
    rewards = 0.09 - 0.0004 * tokens + rng.normal(0, 0.05, tokens.shape) + np.array([0.004, 0.0])
    mean_logps = rng.normal(-2.5, 0.4, tokens.shape)
    logps = mean_logps * (tokens + 1)
    columns: dict[str, Any] = {"id": ids, "reward_mean": rewards.mean(1)}
    for stem, values in (("reward", rewards), ("logp", logps), ("mean_logp", mean_logps)):
        columns |= {f"{stem}_chosen": values[:, 0], f"{stem}_rejected": values[:, 1], f"{stem}_margin": values[:, 0] - values[:, 1]}
    columns |= {f"perplexity_{side}": np.exp(-mean_logps[:, k]) for k, side in enumerate(("chosen", "rejected"))}
    columns |= {"tokens_prompt": rng.integers(10, 200, count).astype(np.int32), "tokens_chosen": tokens[:, 0].astype(np.int32)}
    columns |= {"tokens_rejected": tokens[:, 1].astype(np.float64), "truncated_tokens": np.zeros(count, dtype=np.int32)}
    columns |= {"rewards": list(rewards), "logps": list(logps), "tokens": list(tokens.astype(np.int32))}
    few = [[[0, 1], [1]]] * count
    columns["token_ids"] = pa.array(few, pa.list_(pa.list_(pa.int32())))
    for name in ("token_rewards", "token_logps"):
        columns[name] = pa.array([[[0.1, 0.2], [0.1]]] * count, pa.list_(pa.list_(pa.float32())))
    return pa.table(columns)


def _tokens() -> pa.Table:
    columns = {"token": ["yes", "no"], "bytes": [b"yes", b"no"], "count_chosen": [3, 1], "count_rejected": [1, 3], "d": [0.5, -0.5]}
    return pa.table({"token_id": pa.array([0, 1], pa.int32())} | columns)


def add_states(workspace: Workspace, name: str, width: int = 576, vocabulary: int = 49_152, seed: int = 1) -> None:
    """Token ids by Zipf's law, the d that they make, a random head [V, H], and pooled states with the rewards that are there already.

    The sizes are SmolLM2-135M's: 4.6 kB of states a pair.
    """
    folder, rng = workspace.score_set(name, "generated"), np.random.default_rng(seed)
    parts = sorted(folder.glob("part-*.parquet"))
    splits = pq.read_table(workspace.pairs(name), columns=["split"])["split"]
    counts = _give_tokens(rng, parts, np.asarray(pc.equal(splits, "train")), vocabulary)
    words = [*string.punctuation, *(f" {word}" for word in sorted(STOP_WORDS)), *(f" word{k}" for k in range(vocabulary))][:vocabulary]
    words[:600] = rng.permutation(words[:600]).tolist()  # the frequent ones: a third are punctuation or stop words
    table = discrepancy.table([word.encode() for word in words], *counts)
    table.to_parquet(folder / "discrepancy.parquet")
    head = rng.standard_normal((vocabulary, width), np.float32)
    np.save(folder / "head.npy", head)
    u = discrepancy.head_vector(head, table["d"].to_numpy()).astype(np.float32)
    for part in parts:
        rewards = pq.read_table(part, columns=["rewards"])["rewards"].combine_chunks().flatten().to_numpy().astype(np.float32)
        states = rng.standard_normal((len(rewards), width), np.float32) * (rewards.std() / np.linalg.norm(u))  # u is one way like any other
        states += np.outer((rewards - states @ u) / (u @ u), u)
        np.save(part.with_name(part.name.replace("part-", "pooled-")).with_suffix(".npy"), states)


def _give_tokens(rng: np.random.Generator, parts: list[Path], train: npt.NDArray[np.bool_], vocabulary: int) -> npt.NDArray[np.int64]:
    """Token ids for as many tokens as the rows have; counts [2, V] of chosen and rejected over the training rows."""
    counts, first = np.zeros((2, vocabulary), dtype=np.int64), 0
    shares = np.exp(rng.normal(0, 0.2, (2, vocabulary))) / np.arange(1, vocabulary + 1)
    shares /= shares.sum(1, keepdims=True)
    for part in parts:
        table = pq.read_table(part)
        lengths = table["tokens"].combine_chunks().flatten().to_numpy()
        sides, counted = np.tile([0, 1], len(table)), np.repeat(train[first : first + len(table)], 2)
        ids = np.empty(lengths.sum(), dtype=np.int32)
        for side in (0, 1):
            here = np.repeat(sides == side, lengths)
            ids[here] = rng.choice(vocabulary, here.sum(), p=shares[side])
            counts[side] += np.bincount(ids[here & np.repeat(counted, lengths)], minlength=vocabulary)
        responses = pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)).astype(np.int32), ids)
        column = pa.ListArray.from_arrays(np.arange(0, len(lengths) + 1, 2, dtype=np.int32), responses)
        pq.write_table(table.set_column(table.column_names.index("token_ids"), "token_ids", column), part, compression="zstd")
        first += len(table)
    return counts


def _describe(folder: Path, scores: Path, name: str, rows: int) -> None:
    train, heldout = rows * 8 // 10, rows // 10
    counts = {"rows_read": rows, "rows_kept": rows, "rows_refused": 0, "train": train, "heldout": heldout, "judge": rows - train - heldout}
    info = {"name": name, "format": "generated", "source": "generated", "files": [], "created": "2026-01-01T00:00:00+00:00"}
    write_json(folder / "dataset.json", info | {"fingerprint": f"generated-{rows}", "extra_columns": {}, "reasons": {}} | counts)
    (folder / "refused.jsonl").touch()
    about = {"dataset": name, "score_id": "generated", "model": "generated", "created": "2026-01-01T00:00:00+00:00", "pairs": rows}
    about |= {"dataset_fingerprint": f"generated-{rows}", "layout": "prefix-shared", "own_logits": False, "layout_reason": None}
    about |= {"linear": True, "logit_scale": 1.0, "head_bias": False, "max_length": 1024, "batch_tokens": 512, "dtype": "float32"}
    write_json(scores / "score.json", about)
    status = {"state": "finished", "pid": 0, "started": 0.0, "phase": "scoring", "message": None, "done": rows, "total": rows}
    write_json(
        scores / "status.json", status | {"truncated": 0, "pairs_per_second": 2.5, "tokens_per_second": 600.0, "seconds": rows / 2.5}
    )
