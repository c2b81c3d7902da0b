"""Settings by the size of the model and by what the device has."""

import pytest

from deft_core.cost import ModelSize
from deft_core.runs.defaults import rate, usual
from deft_core.runs.device import Device
from tests.runs.test_preflight import CPU, GPU, known

LARGE = ModelSize(parameters=8_000_000_000, layers=32, hidden=4096, vocabulary=128_256)


def test_a_small_model_learns_with_all_its_weights():
    settings = usual(known(), CPU)
    assert (settings.lora_rank, settings.lr, settings.guidance, settings.eval_rows) == (0, 2e-5, 0.0, 64)
    assert usual(known(), GPU).eval_rows == 256


@pytest.mark.parametrize(
    ("millions", "all_weights", "adapters"), [(200, 2e-5, None), (201, None, None), (999, None, None), (1000, 1e-6, 2e-5)]
)
def test_learning_rates_are_those_of_the_size(millions, all_weights, adapters):
    size = ModelSize(parameters=millions * 1_000_000, layers=2, hidden=8, vocabulary=100)
    assert (rate(size, False), rate(size, True)) == (all_weights, adapters)  # None: 5e-6 and 1e-4
    assert (rate(None, False), rate(None, True)) == (None, None)


def test_a_large_one_with_adapters_and_smaller_steps():
    # 6 + 4 + 8 bytes for each of 8 billion weights are 144 GB, above 80 % of 80 GB; the frozen halves are 16 GB, twice at the end
    settings = usual(known(size=LARGE), GPU)
    assert (settings.lora_rank, settings.lr, settings.gradient_checkpointing) == (16, 2e-5, False)
    assert usual(known(size=LARGE), Device("gpu", "many", 640e9, 640e9)).lr == 1e-6


def test_where_nothing_fits_it_is_what_needs_least():
    settings = usual(known(size=LARGE), CPU)
    assert (settings.lora_rank, settings.gradient_checkpointing) == (16, True)


@pytest.mark.parametrize(("rows", "epochs"), [(3, 3.0), (100, 3.0), (160, 2.0), (240, 1.0), (5000, 1.0)])
def test_epochs_make_sixty_steps_but_three_at_most(rows, epochs):
    # 160 rows are 40 steps an epoch: two make 80
    assert usual(known(rows=rows), CPU).epochs == epochs


def test_what_is_not_known_is_taken_to_fit():
    assert usual(known(size=None), CPU).lora_rank == 0
    assert usual(known(), Device("gpu", "GPU 0", None, None)).lora_rank == 0
