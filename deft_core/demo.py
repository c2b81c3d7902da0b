"""The bundled demo: preference examples written for this project, with planted faults (data/demo/README.md)."""

from __future__ import annotations

from pathlib import Path

from deft_core.importing import ImportReport, import_source
from deft_core.workspace import Workspace

__all__ = ["DEMO", "import_demo"]

DEMO = "demo"
_FOLDER = Path(__file__).parents[1] / "data" / "demo"


def import_demo(workspace: Workspace) -> ImportReport:
    """The demo as dataset `demo`; one that is there is left alone."""
    if DEMO not in workspace.dataset_names():
        return import_source(workspace, str(_FOLDER / "*.jsonl"), DEMO)
    info = workspace.dataset_info(DEMO)
    return ImportReport(**{field: info[field] for field in ImportReport.__dataclass_fields__ if field != "dataset"}, dataset=DEMO)
