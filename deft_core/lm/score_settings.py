"""What scoring is asked for; checked before torch is imported, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

from deft_core import DEFAULT_MODEL
from deft_core.errors import InputError

__all__ = ["ScoreSettings"]


@dataclass(frozen=True)
class ScoreSettings:
    model: str = DEFAULT_MODEL  # the default model, a local folder or a Hub id
    limit: int | None = None  # only the first so many rows by id
    batch_tokens: int | None = None  # padded tokens in one forward; None: what suits the device, or what the set began with
    max_length: int = 1024  # tokens of prompt and one response

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("batch_tokens", 1), ("max_length", 8)):
            value, option = getattr(self, name), name.replace("_", "-")
            if value is not None and value < least:
                raise InputError(f"a --{option} of at least {least}", str(value), f"Give a larger --{option}.")
