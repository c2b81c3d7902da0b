"""Judges by name: a sequence-classification model as reward model, a sequence-to-sequence model for BARTScore.

Weights come as safetensors only, and no code of a model's repository is run.

    BARTScore   (log p(reference | answer) / tokens + log p(answer | reference) / tokens) / 2      Yuan et al., arXiv 2106.11520, F-score
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from deft_core.errors import ModelError, first_line
from deft_core.lm import models
from deft_core.lm.tokens import Conversation

__all__ = ["RewardModel", "bart_scores", "load_reward_model"]


class RewardModel:
    """A sequence-classification model with one number as output; the higher, the better the answer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        tokenizer.truncation_side = "left"  # a long conversation loses its beginning, not the answer
        self.longest = _longest(model, tokenizer)

    @torch.inference_mode()
    def score(self, prompt: Conversation, answer: str) -> float:
        """One answer at a time: padding changes what some of these models say."""
        if self.tokenizer.chat_template:
            messages = [*prompt, {"role": "assistant", "content": answer}]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False)
            inputs = self.tokenizer(text, add_special_tokens=False, truncation=True, max_length=self.longest, return_tensors="pt")
        else:  # a pair of texts, as classifiers of the BERT family read
            question = "\n".join(message["content"] for message in prompt)
            inputs = self.tokenizer(question, answer, truncation=True, max_length=self.longest, return_tensors="pt")
        return float(self.model(**inputs.to(self.model.device)).logits[0, 0])


def load_reward_model(name: str, say: Callable[[str], None] = lambda _: None) -> RewardModel:
    from transformers import AutoModelForSequenceClassification

    model, tokenizer = _load(name, AutoModelForSequenceClassification, "a sequence-classification model", say)
    if model.config.num_labels != 1:
        remedy = "Name a reward model: a sequence-classification model trained on preferences."
        raise ModelError(f"one number as the output of {name}", f"{model.config.num_labels} labels", remedy)
    return RewardModel(model, tokenizer)


def bart_scores(name: str, references: Sequence[str], answers: Sequence[str], say: Callable[[str], None] = lambda _: None) -> list[float]:
    """BARTScore of each answer against its reference, by a sequence-to-sequence model."""
    from transformers import AutoModelForSeq2SeqLM

    model, tokenizer = _load(name, AutoModelForSeq2SeqLM, "a sequence-to-sequence model", say)
    longest = _longest(model, tokenizer)
    both = zip(references, answers, strict=True)
    return [(_mean_logp(model, tokenizer, a, b, longest) + _mean_logp(model, tokenizer, b, a, longest)) / 2 for a, b in both]


@torch.inference_mode()
def _mean_logp(model: Any, tokenizer: Any, source: str, target: str, longest: int) -> float:
    """log p(target | source) a token, the end token included."""
    inputs = tokenizer(source, truncation=True, max_length=longest, return_tensors="pt").to(model.device)
    labels = tokenizer(text_target=target, truncation=True, max_length=longest, return_tensors="pt")["input_ids"].to(model.device)
    return -float(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss)


def _load(name: str, kind: Any, words: str, say: Callable[[str], None]) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    folder = models.local_folder(name, say)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, found = kind.from_pretrained(folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = first_line(error)[:300]
        remedy = "Name another model, saved as safetensors, that needs no code of its own."
        raise ModelError(f"{words} in {folder}", reason, remedy) from error
    if found["missing_keys"]:  # transformers has filled them with random numbers
        missing = ", ".join(sorted(found["missing_keys"])[:3])
        raise ModelError(f"{words} in {folder}", f"no weights for {missing}", "Name a model that was trained for this.")
    return model.to(models.pick_device()).eval(), tokenizer


def _longest(model: Any, tokenizer: Any) -> int:
    """Tokens that fit: what the model has positions for, or less where its tokenizer says so."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1_000_000
    return int(min(positions, tokenizer.model_max_length))
