"""A selection as a file that a trainer reads, checked by reading it back before it counts.

`export(workspace, "name@2", path, "trl-chat")` goes through the rows twice: once to find what the trainer would misread and what kinds of
values the other columns hold, once to write. Then the file, still beside its place, is read back. Memory holds one batch of rows, eight
bytes for every row written, and the light columns of the dataset.
"""

from deft_core.export.exporting import ExportReport, check_target, default_ending, export
from deft_core.export.layouts import LAYOUTS

__all__ = ["LAYOUTS", "ExportReport", "check_target", "default_ending", "export"]
