"""What to write where the trainer is set up: a snippet for each layout, and LLaMA-Factory's entry in dataset_info.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deft_core.errors import InputError
from deft_core.workspace import read_json, replace_atomically

__all__ = ["check_entry", "entry", "snippet", "write_entry"]

_INFO = "dataset_info.json"
_COLUMNS = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}


def snippet(layout: str, path: Path) -> str:
    place = json.dumps(str(path.resolve()), ensure_ascii=False)
    if layout == "llamafactory":
        folder = json.dumps(str(path.resolve().parent), ensure_ascii=False)
        return f"stage: dpo\ndataset_dir: {folder}\ndataset: {_name(path)}\n"
    if layout == "axolotl":
        return _AXOLOTL.format(path=place)
    kind = "parquet" if layout == "parquet" else "json"
    return f'from datasets import load_dataset\n\ntrain = load_dataset("{kind}", data_files={place}, split="train")\n'


_AXOLOTL = """\
rl: dpo
datasets:
  - path: {path}
    ds_type: json
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
    message_property_mappings:
      role: role
      content: content
    roles:
      system: ["system"]
      user: ["user"]
      assistant: ["assistant"]
      tool: ["tool"]
"""


def entry(path: Path) -> dict[str, Any]:
    """What LLaMA-Factory's dataset_info.json is to say of the file, under its name without the ending."""
    return {_name(path): {"file_name": path.name, "formatting": "sharegpt", "ranking": True, "columns": dict(_COLUMNS)}}


def _name(path: Path) -> str:
    return path.name.partition(".json")[0]


def check_entry(path: Path) -> None:
    """Raises InputError where the dataset_info.json beside the file cannot take its entry."""
    _with_entry(path)


def write_entry(path: Path) -> Path:
    """Adds the entry to the dataset_info.json beside the file, which is made where there is none; other entries stay as they are."""
    info = path.with_name(_INFO)
    text = json.dumps(_with_entry(path), ensure_ascii=False, indent=2) + "\n"
    replace_atomically(info, lambda beside: _write(beside, text))
    return info


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _with_entry(path: Path) -> dict[str, Any]:
    info, name = path.with_name(_INFO), _name(path)
    known = read_json(info) if info.is_file() else {}
    other = known.get(name, {"file_name": path.name})
    if not isinstance(other, dict) or other.get("file_name") != path.name:
        raise InputError(f"no other entry {name!r} in {info}", json.dumps(other, ensure_ascii=False)[:200], "Choose another file name.")
    return known | entry(path)
