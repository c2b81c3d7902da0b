"""What the disk and the memory do to a run, in three parts."""

import errno

import pytest
import torch
from safetensors import SafetensorError

from deft_core.errors import InputError
from deft_core.lm.collator import Batching, batches_of
from deft_core.lm.failures import is_out_of_memory, out_of_memory, storing, writing
from deft_core.lm.losses import Objective
from tests.lm.test_train_step import train_rows


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: code 28"), RuntimeError("write failed")]
)
def test_weights_that_cannot_be_saved_are_a_matter_of_the_disk(tmp_path, error):
    with pytest.raises(InputError) as raised, storing(tmp_path, "room and leave to save checkpoint 3"):
        raise error
    assert raised.value.expected == f"room and leave to save checkpoint 3 ({tmp_path})"
    assert "MB free" in raised.value.found
    assert "resume the run" in raised.value.remedy


def test_a_real_full_device_is_felt_and_said(tmp_path):
    with pytest.raises(InputError, match="No space left on device"), writing(tmp_path), open("/dev/full", "w") as full:  # noqa: PTH123
        full.write("anything")
        full.flush()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_file_that_cannot_be_written_is_said_and_other_errors_pass(tmp_path, number):
    with pytest.raises(InputError, match="room and leave to write into"), writing(tmp_path):
        raise OSError(number, "why")
    with pytest.raises(ConnectionError), writing(tmp_path):
        raise ConnectionError(errno.ECONNREFUSED, "another matter")


def test_what_is_out_of_memory():
    words = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    assert all(map(is_out_of_memory, (torch.OutOfMemoryError("full"), MemoryError(), RuntimeError(words))))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(torch.OutOfMemoryError), storing(".", "room"):
        raise torch.OutOfMemoryError("full")


def test_out_of_memory_says_whose_tokens_they_were():
    batch = batches_of(train_rows(), Batching(Objective("dpo"), 0)).batches[0]
    error = out_of_memory(batch, 7, 2048)
    # the ranking "c" is 5 + 6 + 7 = 18 tokens as a pair, "a" 9 + 4 + 11 = 24, "b" 3 + 8 + 1 = 12: three lines as wide as "a"
    assert error.found == "none left in step 7, for rows a, c, b: 3 x 24 padded tokens, 37 in responses"
    assert error.remedy.startswith("Lower accumulation_tokens in run.json (now 2048) and resume the run")
    alone = out_of_memory(batches_of(train_rows()[:1], Batching(Objective("dpo"), 0)).batches[0], 7, 2048)
    assert alone.remedy.startswith("Set gradient_checkpointing to true in run.json")  # a smaller budget would change nothing
    assert "around step 1, outside its micro-batches" in out_of_memory(None, 1, 2048).found
