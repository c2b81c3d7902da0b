"""Prompts on both sides of the split."""

from tests.noise.tables import SENTENCE, column, row

NEARLY = SENTENCE.replace("aboard", "inside")  # the last of 20 words: 17 of 19 shingles, 0.89


def test_the_same_or_nearly_the_same_prompt_on_both_sides(tmp_path):
    rows = [
        row("How are you?", "a", "b"),
        row("how are  you?", "c", "d", split="heldout"),  # leak 1: the same but for case and space
        row("Only in training", "a", "b"),
        row("Only in training", "c", "d"),
        row("Held out and judged", "a", "b", split="heldout"),
        row("Held out and judged", "a", "b", split="judge"),  # no training row: no leak
        row(SENTENCE, "a", "b"),
        row(NEARLY, "a", "b", split="judge"),  # leak 2
        row(SENTENCE, "e", "f"),  # the prompt of leak 2 once more
    ]
    assert column(tmp_path, "leak", rows) == [1, 1, None, None, None, None, 2, 2, 2]


def test_two_prompts_of_training_that_are_alike_are_no_leak(tmp_path):
    assert column(tmp_path, "leak", [row(SENTENCE, "a", "b"), row(NEARLY, "a", "b")]) == [None, None]


def test_one_held_out_prompt_joins_the_training_prompts_it_leaks_into(tmp_path):
    other = SENTENCE.replace("the kettle", "a kettle")  # the first word: 17 of 19
    rows = [row(NEARLY, "a", "b"), row(other, "a", "b"), row(SENTENCE, "a", "b", split="heldout")]
    assert column(tmp_path, "leak", rows) == [1, 1, 1]
