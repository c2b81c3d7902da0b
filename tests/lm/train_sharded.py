"""One process of a run under FSDP 2: `torchrun -m tests.lm.train_sharded FOLDER [evaluated]`.

accelerate takes FSDP for GPUs alone. Here it takes it for gloo on a CPU too; all that comes after, accelerate's and the Trainer's, is
what runs on GPUs.
"""

import os
import runpy
from unittest.mock import patch

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

SHARDED = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",  # as `accelerate launch` says unless it is told otherwise
}
made = AcceleratorState.__init__


def made_sharded(self, *arguments, fsdp_plugin=None, **others):
    made(self, *arguments, fsdp_plugin=fsdp_plugin, **others)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
    if hasattr(self, "fsdp_plugin"):  # each use makes the one state anew
        self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if __name__ == "__main__":
    os.environ |= SHARDED
    with patch.object(AcceleratorState, "__init__", made_sharded):
        runpy.run_module("tests.lm.train_once", run_name="__main__")
