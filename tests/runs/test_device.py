"""What a run can have on this machine."""

import psutil

from deft_core.runs.device import device, free_disk_bytes, gpu_of

LISTED = "0, NVIDIA A100-SXM4-80GB, 81920, 80500\n1, NVIDIA A100-SXM4-80GB, 81920, 1024\n"


def test_a_gpu_by_its_number():
    found = gpu_of(LISTED, "1")
    assert (found.kind, found.name, found.total_bytes, found.free_bytes) == ("gpu", "NVIDIA A100-SXM4-80GB", 85_899_345_920, 1_073_741_824)


def test_a_gpu_that_nobody_can_ask():
    assert (gpu_of("", "0").name, gpu_of("", "0").total_bytes) == ("GPU 0", None)


def test_without_a_gpu_it_is_the_memory_of_the_machine(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = device()
    assert found.kind == "cpu"
    assert 0 < found.free_bytes <= found.total_bytes <= psutil.virtual_memory().total


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk_bytes(tmp_path / "a" / "b") > 0
