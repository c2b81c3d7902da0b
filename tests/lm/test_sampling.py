"""Answers as they come: greedy ones are those of generation, sampled ones go by their seed."""

import pytest
import torch

from deft_core.errors import InputError
from deft_core.lm import models, sampling
from deft_core.lm.generation import end_tokens, greedy
from deft_core.lm.sampling import prompt_ids, stream
from deft_core.lm.tokens import prompt_text

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is blue?"}]


@pytest.fixture(scope="module")
def lm(tiny):
    return models.load("tiny", tiny)


def answer(lm, **settings):
    return "".join(stream(lm, ASKED, **settings))


def test_at_temperature_0_it_is_the_greedy_answer(lm):
    ids = lm.tokenizer(prompt_text(lm.tokenizer, ASKED))["input_ids"]
    (expected,) = greedy(lm.model, [ids], end_tokens(lm.model, lm.tokenizer.eos_token_id), 20)
    assert answer(lm, new_tokens=20) == lm.tokenizer.decode(expected.ids, skip_special_tokens=True)


def test_the_seed_decides_and_nothing_else(lm):
    first, again, other = (answer(lm, seed=seed, temperature=1.0, new_tokens=24) for seed in (1, 1, 2))
    assert first == again != other


def test_it_is_drawn_by_the_softmax_at_the_temperature():
    logits, generator = torch.log(torch.tensor([0.7, 0.2, 0.1])), torch.Generator().manual_seed(0)
    drawn = [sampling._drawn(logits, 1.0, generator) for _ in range(4000)]
    # shares of 0.7, 0.2 and 0.1 of 4,000: standard errors below 0.8 points
    assert [drawn.count(token) / 4000 for token in range(3)] == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    # at 0.5 chances are squared: 0.49, 0.04, 0.01 of 0.54
    colder = [sampling._drawn(logits, 0.5, generator) for _ in range(4000)]
    assert [colder.count(token) / 4000 for token in range(3)] == pytest.approx([0.907, 0.074, 0.019], abs=0.02)
    assert sampling._drawn(logits * 1e8, 1e-6, generator) == 0


def test_pieces_are_whole_characters_and_end_before_the_end_token(lm, monkeypatch):
    euro = lm.tokenizer("a€b")["input_ids"]  # the sign is three bytes, a token each
    monkeypatch.setattr(sampling, "tokens", lambda *given: iter(euro))
    assert list(stream(lm, ASKED)) == ["a", "€", "b"]
    monkeypatch.setattr(sampling, "tokens", lambda *given: iter(euro[:3]))  # cut in the middle of a character
    assert "".join(stream(lm, ASKED)) == "a\ufffd"


def test_it_stops_at_an_end_token(lm, monkeypatch):
    said = iter([5, 6, lm.tokenizer.eos_token_id, 7])
    monkeypatch.setattr(sampling, "_drawn", lambda *given: next(said))
    assert list(sampling.tokens(lm.model, [1, 2], {lm.tokenizer.eos_token_id}, 0, 1.0, 10)) == [5, 6]


def test_a_long_prompt_is_cut_from_the_left(lm):
    ids = prompt_ids(lm, [{"role": "user", "content": "x" * 5000}], 64)
    assert len(ids) == 2048 - 64 and ids[-12:] == lm.tokenizer("<|assistant|>")["input_ids"][-12:]


@pytest.mark.parametrize(
    ("messages", "settings"),
    [([], {}), ([{"role": "user", "content": " "}], {}), (ASKED, {"temperature": -1}), (ASKED, {"new_tokens": 0})],
)
def test_what_cannot_be_asked(lm, messages, settings):
    with pytest.raises(InputError):
        list(stream(lm, messages, **settings))
