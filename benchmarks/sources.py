"""Real rows for benchmarks: those of hh_rlhf_harmless_test where they are, else the bundled demo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["HELP", "default"]

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("DEFT_DATA") or ROOT.parent / "shared" / "data")  # public preference sets, a folder each
HELP = "a file, folder or Hub id of preferences; else hh_rlhf_harmless_test in the folder DEFT_DATA, else the bundled demo"


def default() -> str:
    real = DATA / "hh_rlhf_harmless_test" / "test.jsonl.gz"
    if real.is_file():
        return str(real)
    print(f"no {real}: these are rows of the bundled demo; --source or DEFT_DATA name others", file=sys.stderr)
    return str(ROOT / "data" / "demo" / "pairs.jsonl")
