"""Finding and loading a causal language model, and what scoring needs to know of its head.

A name is the default model, a local folder or a Hub id. Weights come as safetensors only, and no code of a model's
repository is ever run.

    logits = soft_cap(scale * (W h + b)),  soft_cap(z) = cap * tanh(z / cap) where the config has a cap
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deft_core import DEFAULT_MODEL
from deft_core.errors import ModelError, first_line
from deft_core.lm import default_model

__all__ = ["Head", "LanguageModel", "fingerprint", "load", "load_tokenizer", "local_folder", "pick_device", "short_name"]

_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]


@dataclass(frozen=True)
class Head:
    """The map from final hidden states to logits. W is [V, H], b is [V]."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None  # final-logit soft-capping; logits are then not linear in h

    @property
    def linear(self) -> bool:
        return self.cap is None

    def logits(self, h: Tensor, rows: slice = slice(None)) -> Tensor:
        """Logits [N, V'] of hidden states h [N, H] for the vocabulary rows asked for: a product in h's precision, in float32 or better."""
        bias = None if self.bias is None else self.bias[rows].to(h.dtype)
        z = nn.functional.linear(h, self.weight[rows].to(h.dtype), bias)
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        z = z if self.scale == 1 else self.scale * z
        return z if self.cap is None else self.cap * torch.tanh(z / self.cap)


@dataclass(frozen=True)
class LanguageModel:
    name: str
    model: Any  # a transformers causal LM, in evaluation mode
    backbone: Any  # the same without its head; its last_hidden_state is normed
    tokenizer: Any
    head: Head
    device: torch.device
    dtype: torch.dtype

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a forward that suit the device: on a CPU what its caches hold, on a GPU what keeps it busy."""
        return 512 if self.device.type == "cpu" else 32_768

    @property
    def longest(self) -> int:
        """The most tokens the model has positions for."""
        return int(getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 1_000_000)


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def short_name(name: str) -> str:
    """The last part of a path or Hub id, safe in a folder name."""
    last = Path(name.rstrip("/")).name.lower()
    return "".join(c if c.isalnum() or c in "-." else "-" for c in last).strip("-.")[:40] or "model"


def local_folder(name: str, say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder with the model's files; the default model is made, a Hub id downloaded where it is not in the cache."""
    if name == DEFAULT_MODEL:
        return default_model.ensure(say)
    if Path(name).is_dir():
        return Path(name)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).exists():  # no Hub id looks like that
        found = f"a file: {name}" if Path(name).exists() else f"no such folder: {name}"
        raise ModelError("a folder with a model (config.json, *.safetensors, tokenizer)", found, "Check the path.")
    from huggingface_hub import snapshot_download

    say(f"looking for {name} on the Hub")
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{DEFAULT_MODEL}, a folder with a model, or the id of a model on the Hub",
            f"{name!r}: no such folder, and the Hub says: {_quoted(error)}",
            "Check the name, or download the model on a machine that reaches the Hub and name its folder.",
        ) from error


def fingerprint(folder: Path) -> tuple[str, str]:
    """(of the weights and config, of the tokenizer): 16 hex digits each over the files' contents."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    weights = [path for path in files if path.suffix == ".safetensors" or path.name == "config.json"]
    tokenizer = [path for path in files if path.suffix in {".jinja", ".model", ".txt"} or "token" in path.name or path.name == "vocab.json"]
    if not any(path.suffix == ".safetensors" for path in weights):
        found = ", ".join(path.name for path in files) or "nothing"
        raise ModelError(f"config.json and *.safetensors in {folder}", found, "Save the model with save_pretrained (safetensors).")
    return _digest(weights), _digest(tokenizer)


def _digest(paths: list[Path]) -> str:
    whole = hashlib.blake2b(digest_size=8)
    for path in paths:
        with path.open("rb") as handle:
            whole.update(path.name.encode() + hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).digest())
    return whole.hexdigest()


def load(name: str, folder: Path, device: torch.device | None = None, dtype: torch.dtype | None = None) -> LanguageModel:
    """The model with its tokenizer; where no dtype is asked for, in float32 on a CPU and in bfloat16 on a GPU."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # our own line says what is going on
    device = device or pick_device()
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    try:
        tokenizer = load_tokenizer(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"a causal language model that transformers can load from {folder}",
            _quoted(error),
            "Use a decoder-only model with a tokenizer, saved as safetensors, that needs no code of its own.",
        ) from error
    model = model.to(device).eval()
    return LanguageModel(name, model, model.base_model, tokenizer, head_of(model), device, dtype)


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def head_of(model: Any) -> Head:
    """The head by the config's own words for scale and cap; the scorer's self-check holds it against the model's logits."""
    output = model.get_output_embeddings()
    if output is None or not hasattr(output, "weight"):
        raise ModelError("a causal language model with an output matrix", type(model).__name__, "Use another model.")
    config = model.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0  # Cohere multiplies
    divisor = getattr(config, "logits_scaling", None) or 1.0  # Granite divides
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2 and its kin
    bias = getattr(output, "bias", None)
    return Head(output.weight.detach(), None if bias is None else bias.detach(), float(scale) / float(divisor), float(cap) if cap else None)


def _quoted(error: BaseException) -> str:
    return json.dumps(first_line(error)[:300], ensure_ascii=False)
