"""Labels and votes: the answer they name, or the reason why nobody can tell."""

import pytest

from deft_core.preferences import RowRefused
from deft_core.readers.two_outputs import reader

FIRST, SECOND = "first answer", "second answer"


def outcomes(columns, label, values):
    """What each row of a source with these labels prefers, or why it is refused."""
    rows = [{"prompt": "q", columns[0]: FIRST, columns[1]: SECOND, label: value} for value in values]
    read = reader(rows)
    return [outcome(read, row) for row in rows]


def outcome(read, row):
    try:
        return 1 if read(row).responses[0].text == FIRST else 2
    except RowRefused as refused:
        return refused.reason


EITHER = "the label could mean either answer"
TIE = "the label is a tie: nothing is preferred"
TIED = "the annotators' votes are tied"
OUTPUTS, LETTERS, ZERO = ("output_1", "output_2"), ("response_a", "response_b"), ("response_0", "response_1")


@pytest.mark.parametrize(
    ("columns", "label", "values", "expected"),
    [
        (OUTPUTS, "label", [1, 2], [1, 2]),
        (OUTPUTS, "label", ["1", "2.0", 2.0], [1, 2, 2]),
        (OUTPUTS, "label", [1, 1], [EITHER, EITHER]),  # of a source sorted by its label, or a shard of it
        (OUTPUTS, "label", ["1"], [EITHER]),
        (OUTPUTS, "label", [2], [2]),
        (OUTPUTS, "label", [0, 1, 2], [TIE, 1, 2]),
        (OUTPUTS, "winner", [0, 1, 2], [EITHER, EITHER, EITHER]),  # first, second, tie or tie, first, second
        (OUTPUTS, "choice", [0, 2], [EITHER, EITHER]),
        (OUTPUTS, "winner", [2], [EITHER]),
        (OUTPUTS, "winner", [1], [EITHER]),
        (OUTPUTS, "winner", [1, 2], [1, 2]),
        (LETTERS, "better_response_id", ["0", "1", "2"], [EITHER, EITHER, EITHER]),
        (OUTPUTS, "label", [0, 1], [EITHER, EITHER]),
        (OUTPUTS, "label", [0], [EITHER]),
        (OUTPUTS, "winner", [0, 1], [1, 2]),
        (OUTPUTS, "label", [True, False], [EITHER, EITHER]),
        (OUTPUTS, "label", [-1, 1], [EITHER, EITHER]),
        (OUTPUTS, "label", [1, 2, 3], [EITHER, EITHER, EITHER]),
        (OUTPUTS, "label", ["output_1", "output_2", "tie"], [1, 2, TIE]),
        (OUTPUTS, "label", ["output_1"], [1]),
        (OUTPUTS, "winner", ["Output 1", "output-2", "output1"], [1, 2, 1]),
        (OUTPUTS, "label", ["model_1", "model_2"], [1, 2]),
        (OUTPUTS, "label", ["first"], [1]),
        (OUTPUTS, "preferred", ["first", "Second", "both", "purple", None, ""], [1, 2, TIE, EITHER, *["there is no label"] * 2]),
        (("response1", "response2"), "preference", ["response1", "response2"], [1, 2]),
        (LETTERS, "winner", ["model_a", "model_b", "tie (bothbad)"], [1, 2, TIE]),
        (LETTERS, "label", ["A", "response_b"], [1, 2]),
        (LETTERS, "label", [1, 2], [1, 2]),
        (LETTERS, "label", [1], [EITHER]),
        (LETTERS, "label", [0, 1], [EITHER, EITHER]),
        (ZERO, "better_response_id", [0, 1], [1, 2]),
        (ZERO, "better_response_id", ["response_0", "response_1"], [1, 2]),
        (ZERO, "label", [1, 2], [EITHER, EITHER]),
        (("answer_0", "answer_1"), "label", [0, 1], [1, 2]),
        (("human_ref_A", "human_ref_B"), "labels", [1, 0], [1, 2]),
        (("response1", "response2"), "overall_preference", [-3, 2, 0], [1, 2, TIE]),
        (OUTPUTS, "votes", [[1, 2, 1], ["2", 2], [1, 2], [1, None]], [1, 2, TIED, 1]),
        (OUTPUTS, "votes", [{"ann": 1, "bob": 2, "eve": 2}, {"ann": 1, "bob": 1}], [2, 1]),
        (OUTPUTS, "votes", [{"output_1": 3, "output_2": 1}, {"output_1": 0, "output_2": 1}], [1, 2]),
        (OUTPUTS, "votes", [{"output_1": 2, "output_2": 2, "tie": 5}], [TIED]),
        (OUTPUTS, "votes", [{"1": 2, "2": 1}], [EITHER]),
        (OUTPUTS, "votes", [[], [[1]]], ["there is no label", EITHER]),
    ],
)
def test_labels_mean(columns, label, values, expected):
    assert outcomes(columns, label, values) == expected


def test_a_label_outside_the_alphabet_of_the_first_rows_is_refused():
    rows = [{"prompt": "q", "output_1": FIRST, "output_2": SECOND, "label": value} for value in (1, 2, 0)]
    assert [outcome(reader(rows[:2]), row) for row in rows] == [1, 2, EITHER]


def test_rows_after_a_sample_of_ones_are_not_turned_round():
    rows = [{"prompt": "q", "output_1": FIRST, "output_2": SECOND, "label": value} for value in [1] * 100 + [0]]
    read = reader(rows[:100])
    assert {outcome(read, row) for row in rows} == {EITHER}


def test_conversations_side_by_side_share_their_prompt():
    asked, answers = {"role": "user", "content": "q"}, [{"role": "assistant", "content": text} for text in (FIRST, SECOND)]
    row = {"conversation_a": [asked, answers[0]], "conversation_b": [asked, answers[1]], "winner": "model_b", "language": "English"}
    found = reader([row])(row)
    assert [message.content for message in found.prompt] == ["q"]
    assert found.responses[0].text == SECOND
    assert found.extra == {"winner": "model_b", "language": "English"}
