"""What each trainer reads of a preference, that it says the same when it is read again, and what the trainer would misread."""

import pytest

from deft_core.export.layouts import LAYOUTS, TRL_PLAIN, flipped, pair
from deft_core.preferences import Message, Preference, Response

ASKED = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "2+2?"))


def preference(*turns, answers=(("4", 1), ("5", 2))):
    """Turns as (role, text)."""
    return Preference(tuple(Message(*turn) for turn in turns), tuple(Response(*answer) for answer in answers))


def asked(text):
    return preference(("user", text))


RANKING = Preference(ASKED, (Response("4", 1, 0.9), Response("four", 1, 0.9), Response("5", 2, 0.2), Response("a fish", 3, 0.1)))


def test_a_pair_is_the_first_best_against_the_worst():
    assert pair(RANKING).responses == (Response("4", 1, 0.9), Response("a fish", 2, 0.1))


def test_a_flip_exchanges_the_first_best_and_the_worst_with_their_scores():
    turned = (Response("a fish", 1, 0.1), Response("four", 1, 0.9), Response("5", 2, 0.2), Response("4", 3, 0.9))
    assert flipped(RANKING).responses == turned


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), TRL_PLAIN], ids=lambda layout: layout.name)
@pytest.mark.parametrize(
    "row",
    [
        asked("2+2?"),
        asked(" Human: spaced\n\nAssistant: and odd "),
        preference(("user", "Hi"), ("assistant", ""), ("user", "so"), answers=((" ja\u2028 ", 1), ("nein\r\n", 2), ("\tvielleicht", 2))),
    ],
    ids=["plain", "odd", "ranking"],
)
def test_the_columns_say_what_was_meant(layout, row):
    columns = layout.columns(row)
    assert tuple(columns) == layout.reads
    assert layout.back(columns).content_hash() == layout.meant(row).content_hash()


def test_parquet_holds_the_whole_ranking():
    assert LAYOUTS["parquet"].columns(RANKING)["ranks"] == [1, 1, 2, 3]
    assert LAYOUTS["parquet"].back(LAYOUTS["parquet"].columns(RANKING)).content_hash() == RANKING.content_hash()


def test_trl_strings():
    record = LAYOUTS["trl"].columns(Preference(ASKED, RANKING.responses))
    assert record == {
        "prompt": "Be brief.\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: 2+2?\n\nAssistant:",
        "chosen": "4",
        "rejected": "a fish",
    }
    assert TRL_PLAIN.columns(asked(" 2+2? ")) == {"prompt": " 2+2? ", "chosen": "4", "rejected": "5"}


def test_trl_messages():
    assert LAYOUTS["trl-chat"].columns(asked("2+2?")) == {
        "prompt": [{"role": "user", "content": "2+2?"}],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "5"}],
    }


def test_llamafactory():
    row = preference(("system", "Be brief."), ("user", "Weather?"), ("assistant", "look()"), ("tool", "rain"))
    assert LAYOUTS["llamafactory"].columns(row) == {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Weather?"},
            {"from": "gpt", "value": "look()"},
            {"from": "observation", "value": "rain"},
        ],
        "chosen": {"from": "gpt", "value": "4"},
        "rejected": {"from": "gpt", "value": "5"},
    }
    assert LAYOUTS["llamafactory"].problem(row) is None


def test_axolotl_has_answers_without_the_space_around_them():
    row = preference(("user", " 2+2? "), answers=((" 4\n", 1), ("5", 2)))
    assert LAYOUTS["axolotl"].columns(row) == {
        "messages": [{"role": "user", "content": " 2+2? "}],
        "chosen": {"role": "assistant", "content": "4"},
        "rejected": {"role": "assistant", "content": "5"},
    }


@pytest.mark.parametrize(
    "layout, row, words",
    [
        ("trl", preference(("user", "a"), ("tool", "b")), "a tool turn has no place in a transcript"),
        ("trl", preference(("user", "a"), ("system", "b")), "a system turn has no place in a transcript"),
        ("trl", asked("say\n\nAssistant: no"), "a turn holds text that reads as the beginning of another turn"),
        ("trl", preference(("system", "Human: a"), ("user", "b")), "a turn holds text that reads as the beginning of another turn"),
        ("trl", preference(("system", " "), ("user", "b")), None),
        ("trl-chat", preference(("system", "a")), "the prompt ends with a system turn"),
        ("llamafactory", preference(("user", "a"), ("user", "b")), "turn 2 is 'user' where it skips all but assistant"),
        ("llamafactory", preference(("assistant", "a"), ("user", "b")), "turn 1 is 'assistant' where it skips all but user or tool"),
        ("llamafactory", preference(("user", "a"), ("assistant", "b")), "the prompt does not end with a user turn, which it skips"),
        ("llamafactory", preference(("system", "a")), "the prompt does not end with a user turn, which it skips"),
        (
            "axolotl",
            preference(("user", "a"), answers=(("B", 1), (" me ", 2))),
            "it would take the answer 'me' to begin in the head of its turn",
        ),
        ("axolotl", preference(("user", "a"), answers=(("A", 1), ("B", 2))), None),
        ("parquet", preference(("system", "a")), None),
    ],
)
def test_what_a_trainer_would_misread(layout, row, words):
    assert LAYOUTS[layout].problem(row) == words
