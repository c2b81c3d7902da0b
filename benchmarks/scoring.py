"""Pairs a second and peak memory of the scorer, of the naive way and of TRL's reference log-probability pass.

    python benchmarks/scoring.py [--quick] [--json]
    python benchmarks/scoring.py --profile        where the scorer's time goes
    python benchmarks/scoring.py --sweep          tokens a second by padded tokens in a batch

All three see the same rows of one preference set in the same run, each in a process of its own (so that peak memory is its own),
taking turns for several rounds; medians are printed. Tokenising and loading the model are not timed for anybody.

naive   one padded sequence a response, in file order, the model's own logits, a full log-softmax, its mean dotted with d.
trl     DPOTrainer.compute_ref_log_probs over the trainer's own collator, its LM head fused and chunked as TRL 1.16 does by itself.
        It computes log-probabilities only, no reward: it does less than the other two.

Both peers run without gradients and at the batch size that is fastest for them on a CPU (--naive-batch and --trl-batch for others).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sources
from profiling import print_shares
from sources import ROOT

from deft_core import DEFAULT_MODEL

ARMS = ("ours", "naive", "trl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="24 rows, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--source", help=sources.HELP)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--naive-batch", type=int, default=2, help="sequences in a batch")
    parser.add_argument("--trl-batch", type=int, default=1, help="pairs in a batch")
    parser.add_argument("--profile", action="store_true", help="share of the scorer's time by kind of operation, over 24 rows")
    parser.add_argument("--sweep", action="store_true", help="the scorer with several batch sizes, twice each")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--workspace", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.source = options.source or sources.default()
    if options.quick:
        options.rows, options.rounds = 24, 1
    if options.arm:
        print(json.dumps(run_arm(options)))
    elif options.profile or options.sweep:
        with imported(options) as options.workspace:
            (profile if options.profile else sweep)(options)
    else:
        compare(options)


@contextmanager
def imported(options: argparse.Namespace) -> Iterator[str]:
    """The folder of a workspace with the source as `bench`."""
    from deft_core.importing import import_source
    from deft_core.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        import_source(Workspace(Path(folder)), options.source, "bench", heldout=0, judge=0)
        yield folder


def compare(options: argparse.Namespace) -> None:
    with imported(options) as folder:
        rounds = [{arm: child(options, arm, folder) for arm in ARMS} for _ in range(options.rounds)]
    report(options, rounds)


def child(options: argparse.Namespace, arm: str, folder: str) -> dict[str, Any]:
    """One arm in a process of its own."""
    command = [sys.executable, __file__, "--arm", arm, "--workspace", folder, "--model", options.model, "--rows", str(options.rows)]
    command += ["--naive-batch", str(options.naive_batch), "--trl-batch", str(options.trl_batch)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def sample(options: argparse.Namespace, count: int) -> tuple[Any, Any, list[Any], list[Any], list[Any]]:
    """The model, a d of these rows, and every so-many-th row: a sample in file order, tokenised, its prompts and responses."""
    import numpy as np
    import pyarrow.parquet as pq

    from deft_core.discrepancy import discrepancy
    from deft_core.lm import models
    from deft_core.lm.tokens import token_rows
    from deft_core.workspace import Workspace

    pairs = pq.read_table(Workspace(Path(options.workspace)).pairs("bench")).to_pydict()
    step = max(1, len(pairs["id"]) // count)
    prompts, responses = pairs["prompt"][::step][:count], pairs["responses"][::step][:count]
    lm = models.load(options.model, models.local_folder(options.model))
    rows = token_rows(lm.tokenizer, prompts, responses, 1024)
    counts = np.ones((2, lm.head.weight.shape[0]), dtype=np.int64)
    for row in rows:
        for side, ids in enumerate(row.responses[:2]):
            np.add.at(counts[side], ids, 1)
    return lm, discrepancy(counts[0], counts[1]), rows, prompts, responses


def run_arm(options: argparse.Namespace) -> dict[str, Any]:
    lm, d, rows, prompts, responses = sample(options, options.rows)
    arm = {"ours": ours, "naive": naive, "trl": trl}[options.arm]
    run, flops = arm(lm, d, rows, prompts, responses, options)
    peak = matmul_peak()
    began = time.perf_counter()
    rewards = run()
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"pairs_per_second": len(rows) / seconds, "memory_mb": memory, "rewards": rewards, "peak_share": flops / seconds / peak}


def profile(options: argparse.Namespace) -> None:
    import torch

    from deft_core.lm.scoring import Scorer

    lm, d, rows, *_ = sample(options, 24)
    scorer = Scorer(lm, d, batch_tokens=lm.batch_tokens)
    scorer.score(rows[:4])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        scorer.score(rows)
    print_shares(profiled)
    tokens = [sum(len(row.prompt) for row in rows), sum(len(ids) for row in rows for ids in row.responses)]
    print(f"tokens of a row: prompt {tokens[0] / len(rows):.0f}, responses {tokens[1] / len(rows):.0f}")


def sweep(options: argparse.Namespace) -> None:
    from deft_core.lm.scoring import Scorer

    lm, d, rows, *_ = sample(options, 48)
    tokens = sum(row.input_tokens() for row in rows)
    for batch_tokens in (256, 512, 1024, 2048, 4096) * 2:
        scorer, began = Scorer(lm, d, batch_tokens=batch_tokens), time.perf_counter()
        scorer.score(rows)
        print(f"{batch_tokens:>6} padded tokens a batch{tokens / (time.perf_counter() - began):>8.0f} tokens/s")


Arm = tuple[Callable[[], list[float]], float]


def ours(lm: Any, d: Any, rows: Any, prompts: Any, responses: Any, options: Any) -> Arm:
    from deft_core.lm.scoring import Scorer

    scorer = Scorer(lm, d)
    flops = useful_flops(lm, rows)
    return lambda: [s.reward for scores in scorer.score(rows) for s in scores], flops


def useful_flops(lm: Any, rows: Any) -> float:
    """Two for every weight a token passes: all layers for each token of the shared rows, the head where something is predicted."""
    layers = sum(p.numel() for name, p in lm.backbone.named_parameters() if "embed" not in name and p.ndim == 2)
    tokens = sum(row.input_tokens() for row in rows)
    predicted = sum(len(ids) + ended for row in rows for ids, ended in zip(row.responses, row.ended, strict=True))
    return float(2 * (layers * tokens + lm.head.weight.numel() * predicted))


def naive(lm: Any, d: Any, rows: Any, prompts: Any, responses: Any, options: Any) -> Arm:
    import torch

    weights = torch.tensor(d, dtype=torch.float32)
    sequences = [(row.prompt, ids) for row in rows for ids in row.responses]

    @torch.inference_mode()
    def run() -> list[float]:
        rewards = []
        for start in range(0, len(sequences), options.naive_batch):
            chunk = sequences[start : start + options.naive_batch]
            width = max(len(p) + len(r) for p, r in chunk)
            ids = torch.zeros((len(chunk), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for i, (p, r) in enumerate(chunk):
                ids[i, : len(p) + len(r)] = torch.tensor(p + r)
                mask[i, : len(p) + len(r)] = 1
            logp = torch.log_softmax(lm.model(input_ids=ids, attention_mask=mask, use_cache=False).logits, -1)
            for i, (p, r) in enumerate(chunk):
                positions = logp[i, len(p) - 1 : len(p) + len(r) - 1]
                positions.gather(1, torch.tensor(r)[:, None]).sum()  # the response's log-probability, which ours computes too
                rewards.append(float(positions.mean(0) @ weights))
        return rewards

    return run, 0.0


def trl(lm: Any, d: Any, rows: Any, prompts: Any, responses: Any, options: Any) -> Arm:
    import datasets
    import torch
    from trl import DPOConfig, DPOTrainer

    from deft_core.lm.tokens import prompt_text

    texts = [{"prompt": prompt_text(lm.tokenizer, p), "chosen": r[0], "rejected": r[1]} for p, r in zip(prompts, responses, strict=True)]
    out = tempfile.mkdtemp()
    settings = DPOConfig(output_dir=out, use_cpu=True, bf16=False, max_length=1024, report_to=[], gradient_checkpointing=False)
    data = datasets.Dataset.from_list(texts)
    trainer = DPOTrainer(model=lm.model, args=settings, train_dataset=data, processing_class=lm.tokenizer)
    features = list(trainer.train_dataset)
    trainer.model.eval()

    def run() -> list[float]:
        loader = torch.utils.data.DataLoader(features, batch_size=options.trl_batch, collate_fn=trainer.data_collator)
        for batch in loader:
            trainer.compute_ref_log_probs(trainer.model, batch)
        return []

    return run, 0.0


def matmul_peak() -> float:
    """Floating-point operations a second of a 2,048-square float32 product, the best of ten."""
    import torch

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * 2048**3 / best


def report(options: argparse.Namespace, rounds: list[dict[str, dict[str, Any]]]) -> None:
    def median(arm: str, key: str) -> float:
        return statistics.median(found[arm][key] for found in rounds)

    def ratio(arm: str) -> float:
        return statistics.median(found["ours"]["pairs_per_second"] / found[arm]["pairs_per_second"] for found in rounds)

    difference = max(abs(a - b) for a, b in zip(rounds[0]["ours"]["rewards"], rounds[0]["naive"]["rewards"], strict=True))
    print(f"{options.rows} rows of {Path(options.source).parent.name}, {options.model}, {options.rounds} rounds interleaved, medians")
    print(f"{'arm':<8}{'pairs/s':>10}{'peak MB':>10}")
    for arm in ARMS:
        print(f"{arm:<8}{median(arm, 'pairs_per_second'):>10.2f}{median(arm, 'memory_mb'):>10.0f}")
    values = {
        "pairs_per_second": round(median("ours", "pairs_per_second"), 3),
        "ratio_naive": round(ratio("naive"), 2),
        "ratio_trl": round(ratio("trl"), 2),
        "memory_ratio_naive": round(median("ours", "memory_mb") / median("naive", "memory_mb"), 3),
        "memory_ratio_trl": round(median("ours", "memory_mb") / median("trl", "memory_mb"), 3),
        "reward_max_difference": difference,
        "matmul_peak_share": round(median("ours", "peak_share"), 3),
        "rows": options.rows,
        "rounds": options.rounds,
        "peers": f"naive: batches of {options.naive_batch} sequences; TRL: batches of {options.trl_batch} pairs, fused LM head",
    }
    for key, value in values.items():
        print(f"{key:<24}{value}")
    if options.json:
        print(json.dumps(values))


if __name__ == "__main__":
    main()
