"""The configuration files in docs/accelerate: what they say, and the real worker under one of them."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from deft_core.runs.spec import Settings
from tests.lm.run_folders import events, run_folder, weights

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs/accelerate"


@pytest.mark.parametrize(("name", "machines"), [("1x8", 1), ("2x8", 2)])
def test_the_files_are_what_accelerate_reads(name, machines):
    ddp, fsdp = (load_config_from_file(str(FILES / f"{kind}-{name}.yaml")) for kind in ("ddp", "fsdp"))
    assert [one.distributed_type for one in (ddp, fsdp)] == [DistributedType.MULTI_GPU, DistributedType.FSDP]
    for one in (ddp, fsdp):
        assert (one.num_machines, one.num_processes) == (machines, 8 * machines)
        assert (one.mixed_precision, one.use_cpu) == ("no", False)  # the run's settings have the precision
    assert fsdp.fsdp_config["fsdp_version"] == 2
    assert fsdp.fsdp_config["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert fsdp.fsdp_config["fsdp_state_dict_type"] == "SHARDED_STATE_DICT"


@pytest.mark.slow
def test_the_worker_on_two_machines_of_one_process_each_is_one_run(tiny, tmp_path):
    settings = Settings(steps=6, lr=1e-3, guidance=1.0, eval_steps=0, new_tokens=4, eval_rows=6)
    one, two = run_folder(tmp_path / "one", tiny, settings), run_folder(tmp_path / "two", tiny, settings)
    subprocess.run([sys.executable, "-m", "deft_core.runs.worker", str(one)], cwd=ROOT, capture_output=True, check=True, timeout=300)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(FILES / "ddp-2x8.yaml")]
    launch += ["--num_processes", "2", "--main_process_port", str(port)]  # one a machine, where the file has eight
    machines = [
        subprocess.Popen([*launch, "--machine_rank", rank, "-m", "deft_core.runs.worker", str(two)], cwd=ROOT, stderr=subprocess.DEVNULL)
        for rank in ("0", "1")
    ]
    try:
        assert [machine.wait(300) for machine in machines] == [0, 0]
    finally:
        for machine in machines:
            machine.kill()
    assert json.loads((two / "exit.json").read_text())["state"] == "finished"
    assert [events(folder, "start")[0]["processes"] for folder in (one, two)] == [1, 2]
    for name in ("loss", "grad_norm", "reward_chosen"):
        first, second = ([event[name] for event in events(folder, "step")] for folder in (one, two))
        assert len(second) == 6
        assert second == pytest.approx(first, rel=2e-4, abs=2e-5), name
    before = load_file(tiny / "model.safetensors")
    for name, value in weights(one).items():
        moved, apart = (value - before[name]).abs().max().item(), (value - weights(two)[name]).abs().max().item()
        assert apart < 0.02 * moved, name
    accuracy = [json.loads((folder / "evaluation.json").read_text())["alignment"]["accuracy_implicit"]["tuned"] for folder in (one, two)]
    assert accuracy[0]["value"] == accuracy[1]["value"]
