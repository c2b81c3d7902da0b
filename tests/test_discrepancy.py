"""d and rewards from pooled states, with the arithmetic."""

import numpy as np
import pytest

from deft_core.discrepancy import discrepancy, find_tokens, head_vector, moved_tokens, read_table, readable, rescore, table
from deft_core.errors import InputError


def test_discrepancy_is_the_difference_of_frequencies():
    # chosen: 3 + 1 + 0 = 4 tokens -> 3/4, 1/4, 0; rejected: 1 + 1 + 2 = 4 -> 1/4, 1/4, 2/4
    d = discrepancy(np.array([3, 1, 0]), np.array([1, 1, 2]))
    assert d.tolist() == [0.5, 0.0, -0.5]
    assert d.sum() == 0


def test_a_side_without_tokens_is_an_error_in_three_parts():
    with pytest.raises(InputError, match="Expected at least one token on each side; found none"):
        discrepancy(np.array([0, 0]), np.array([1, 0]))


def test_head_vector_is_w_transposed_times_d():
    weight = np.array([[1, 2], [10, 20], [3, 5]], dtype=np.float32)
    # u = 0.5 * (1, 2) + 0 * (10, 20) - 0.5 * (3, 5) = (-1, -1.5)
    assert head_vector(weight, np.array([0.5, 0.0, -0.5])).tolist() == [-1.0, -1.5]


def test_rescore_equals_the_mean_log_probability_vector_dotted_with_d():
    weight = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=np.float32)
    bias, scale, d = np.array([0.1, 0.2, 0.3]), 2.0, np.array([0.5, -0.2, -0.3])
    states = np.array([[1.0, 2.0], [3.0, -1.0]])  # h_1, h_2; pooled (2, 0.5)
    logits = scale * (states @ weight.T + bias)
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    # u = 0.5 (1,0) - 0.2 (0,1) - 0.3 (1,1) = (0.2, -0.5); b . d = 0.05 - 0.04 - 0.09 = -0.08
    # R = 2 * (0.2 * 2 - 0.5 * 0.5 - 0.08) = 0.14
    rewards = rescore(states.mean(0, dtype=np.float32)[None], head_vector(weight, d), float(bias @ d), scale)
    assert rewards.tolist() == pytest.approx([0.14])
    assert rewards.tolist() == pytest.approx([float(logp.mean(0) @ d)])


def test_table_has_a_line_for_every_token():
    found = table([b"a", b" b", b"\n", b"\xe2"], np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]))
    assert found["token"].tolist() == ["a", "␣b", "⏎", "\\xe2"]
    assert found["d"].tolist() == [0.5, 0.5, -0.5, -0.5]
    assert found["bytes"].tolist()[3] == b"\xe2"


def test_readable_tokens():
    assert [readable(token) for token in (b"\tx", b"\r", "é".encode())] == ["⇥x", "␍", "é"]


def test_a_damaged_table_is_an_error_in_words(tmp_path):
    (tmp_path / "discrepancy.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"the token table in .*discrepancy\.parquet.*score the dataset again"):
        read_table(tmp_path)


def test_tokens_are_found_by_their_text_the_word_itself_first():
    tokens = [b"it", b" item", b" It", b"with", b" it.", b"kit"]
    made = table(tokens, np.array([1, 9, 4, 30, 2, 0]), np.array([0, 0, 1, 0, 0, 0]))
    assert find_tokens(made, "IT")["token"].tolist() == ["␣It", "it", "with", "␣item", "␣it."]  # "kit" was never counted
    assert find_tokens(made, " it")["token"].tolist() == ["␣It", "␣item", "␣it."]
    assert find_tokens(made, "(").empty and find_tokens(made, "␣with").empty


def test_moved_tokens_are_those_whose_d_changed_most():
    made = table([b"a", b"b", b"c"], np.array([3, 1, 0]), np.array([1, 1, 2]))  # d = 0.5, 0, -0.5
    found = moved_tokens(made, np.array([0.1, 0.3, -0.4]), 2)  # moved by -0.4, 0.3, 0.1
    assert found[["token", "d", "other"]].to_numpy().tolist() == [["a", 0.5, 0.1], ["b", 0.0, 0.3]]
