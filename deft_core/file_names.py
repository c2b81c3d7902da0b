"""What files are called in the folders of a dataset, a score set, a selection and a run. Where those folders are stands in workspace.py."""

from __future__ import annotations

__all__ = ["DATASET", "NOISE", "OVERRIDES", "PAIRS", "REFUSED"]
__all__ += ["COLUMNS", "COUNTS", "DISCREPANCY", "HEAD", "HEAD_BIAS", "IN_ORDER", "PART", "PARTS", "POOLED", "SCORE"]
__all__ += ["KEPT", "SELECTION"]
__all__ += ["DROPPED", "HELDOUT", "INPUT", "JUDGE_ROWS", "LABELS", "REFERENCE", "RUN"]
__all__ += ["EXIT", "LOG", "METRICS", "RESOLVED", "SAMPLES", "STATUS", "STOP", "TRAINED"]
__all__ += ["CHECKPOINTS", "COST", "EVALUATION", "EVALUATION_NEUTRAL", "EVALUATION_ROWS", "JUDGE", "MODEL", "ROW_MARGINS", "WEIGHTS"]

# datasets/<name>/
DATASET = "dataset.json"
PAIRS = "pairs.parquet"
REFUSED = "refused.jsonl"
OVERRIDES = "overrides.jsonl"
NOISE = "noise.parquet"

# scores/<name>/<score-id>/
SCORE = "score.json"
DISCREPANCY = "discrepancy.parquet"  # in a run's folder too
COUNTS = "counts.parquet"
HEAD = "head.npy"
HEAD_BIAS = "head_bias.npy"
IN_ORDER = ".in-order.parquet"  # while it is scored
PART = "part-{:05d}.parquet"
PARTS = "part-*.parquet"
POOLED = "pooled-{:05d}.npy"
COLUMNS = "columns"  # a file a what-if

# selections/<selection>/v<k>/
SELECTION = "selection.json"
KEPT = "kept.parquet"

# runs/<run-id>/: what it is made from
RUN = "run.json"
LABELS = "labels.json"
INPUT = "input.parquet"
DROPPED = "dropped.parquet"  # rows that were not trained on, as INPUT has those that were
HELDOUT = "heldout.parquet"
JUDGE_ROWS = "judge.parquet"
REFERENCE = "reference.parquet"

# how it goes; status and log of scoring and of the noise columns as well
STATUS = "status.json"
LOG = "log.txt"
STOP = "stop.json"
EXIT = "exit.json"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
RESOLVED = "resolved.json"
TRAINED = "trained.json"

# what it leaves behind
CHECKPOINTS = "checkpoints"
WEIGHTS = "trained.safetensors"  # what learns, in a checkpoint
COST = "cost.json"  # of its steps so far, in a checkpoint
MODEL = "model"
JUDGE = "judge.safetensors"
EVALUATION = "evaluation.json"
EVALUATION_ROWS = "evaluation_rows.parquet"
EVALUATION_NEUTRAL = "evaluation_neutral.parquet"
ROW_MARGINS = "row_margins.parquet"
