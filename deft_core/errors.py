"""The one error family. Every message says what was expected, what was found and what to do.

DeftError
├── InputError      a file, a row, an option or a query that cannot be used
├── NotFoundError   a dataset, score set, selection or run that is not in the workspace
├── ModelError      a model or tokenizer that cannot be loaded, or does not fit the data
├── NonFiniteLoss   a step of a run whose loss or gradient is not a finite number
└── OutOfMemory     a step of a run that does not fit into memory
"""

from __future__ import annotations

__all__ = ["DeftError", "InputError", "ModelError", "NonFiniteLoss", "NotFoundError", "OutOfMemory", "first_line"]


class DeftError(Exception):
    """An error whose three parts a person can act on.

    `expected` and `found` are clauses without a full stop; `remedy` is a sentence of its own.
    """

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(expected, found, remedy)
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"Expected {self.expected}; found {self.found}. {self.remedy}"


class InputError(DeftError):
    """Something given from outside cannot be used."""


class NotFoundError(DeftError):
    """A name does not stand for anything in the workspace."""


class ModelError(DeftError):
    """A model or tokenizer cannot be loaded or used."""


class NonFiniteLoss(DeftError):  # noqa: N818  (named after what happened)
    """A step's loss or gradient is infinite or not a number; the weights are those of the step before."""


class OutOfMemory(DeftError):  # noqa: N818
    """A step does not fit into memory."""


def first_line(error: BaseException) -> str:
    """What another library's error says, without its details; the error's kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
