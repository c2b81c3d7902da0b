"""Each format: one row in, one preference or one reason out."""

import json
import re
from pathlib import Path

import pytest

from deft_core.errors import InputError
from deft_core.preferences import RowRefused, validate
from deft_core.readers.detection import FORMATS, choose, detect
from deft_core.readers.fields import FIELDS

DOC = Path(__file__).parents[2] / "docs" / "formats.md"


def read(record, format=None, fields=None, sample=None):
    return validate(choose(sample or [record], format, fields)[1](record))


def sides(preference):
    return [(response.text, response.rank) for response in preference.responses]


def turns(preference):
    return [(message.role, message.content) for message in preference.prompt]


def refusal(record, **options):
    with pytest.raises(RowRefused) as refused:
        read(record, **options)
    return str(refused.value)


def messages(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


def documented():
    """The example rows of docs/formats.md by format."""
    sections = re.split(r"^### ", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        part.split()[0]: [json.loads(row) for row in re.search(r"```json\n(.*?)```", part, re.DOTALL)[1].splitlines()] for part in sections
    }


def test_the_documentation_has_two_rows_of_every_format_in_the_order_of_detection():
    assert list(documented()) == list(FORMATS)
    assert {name: len(rows) for name, rows in documented().items()} == dict.fromkeys(FORMATS, 2)


@pytest.mark.parametrize("name", FORMATS)
def test_documented_rows_are_recognised_and_read(name):
    rows = documented()[name]
    assert detect(rows) == name
    if name == "kto":
        assert [refusal(row, sample=rows) for row in rows] == ["single-label rows (KTO) are no pairs"] * 2
    else:
        assert all(len(read(row, sample=rows).responses) >= 2 for row in rows)


def test_hh_splits_at_the_last_assistant_turn_and_keeps_a_shared_opening_in_both_answers():
    opening = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Can you?"
    found = read({"chosen": opening + "\n\nAssistant: I'm sorry, no.", "rejected": opening + "\n\nAssistant: I'm sorry, yes."})
    assert turns(found) == [("user", "Hi"), ("assistant", "Hello."), ("user", "Can you?")]
    assert sides(found) == [("I'm sorry, no.", 1), ("I'm sorry, yes.", 2)]


def test_hh_refuses_prompts_that_differ_and_transcripts_that_end_with_the_human():
    row = {"chosen": "\n\nHuman: Hi\n\nAssistant: a", "rejected": "\n\nHuman: Hi!\n\nAssistant: b"}
    assert refusal(row) == "the two prompts differ"
    row = {"chosen": "\n\nHuman: Hi\n\nAssistant: a\n\nHuman: b", "rejected": "\n\nHuman: Hi\n\nAssistant: a"}
    assert refusal(row) == "the transcript does not end with an assistant turn"


def test_a_transcript_in_the_prompt_column_becomes_turns():
    found = read({"prompt": "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Bye\n\nAssistant:", "chosen": " a", "rejected": " b"})
    assert turns(found) == [("user", "Hi"), ("assistant", "Yes?"), ("user", "Bye")]


def test_a_prompt_column_that_the_conversations_repeat_is_not_said_twice():
    conversation = messages(("system", "Be kind."), ("user", "Hi"))
    row = {
        "prompt": "Hi",
        "chosen": [*conversation, *messages(("assistant", "a"))],
        "rejected": [*conversation, *messages(("assistant", "b"))],
    }
    assert turns(read(row)) == [("system", "Be kind."), ("user", "Hi")]


def test_a_text_prompt_goes_before_message_answers_and_a_message_prompt_before_text():
    assert turns(read({"prompt": "Hi", "chosen": messages(("assistant", "a")), "rejected": messages(("assistant", "b"))})) == [
        ("user", "Hi")
    ]
    assert sides(read({"prompt": messages(("user", "Hi")), "chosen": "a", "rejected": "b"})) == [("a", 1), ("b", 2)]


def test_a_question_column_is_a_prompt_too():
    row = {"system": "Be kind.", "question": "Hi", "chosen": "a", "rejected": "b"}
    assert detect([row]) == "trl"
    assert turns(read(row)) == [("system", "Be kind."), ("user", "Hi")]


def test_conversations_with_different_prompts_or_no_answer_are_refused():
    first, second = (messages(("user", asked), ("assistant", said)) for asked, said in (("Hi", "a"), ("Hi?", "b")))
    assert refusal({"chosen": first, "rejected": second}) == "the two prompts differ"
    assert refusal({"chosen": first[:1], "rejected": first[:1]}) == "the conversation does not end with an assistant turn"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "boss", "content": "x"}, "a message has an unknown role: 'boss'"),
        ({"role": "assistant", "content": 3}, "a message's content is not text: a number"),
        ({"role": "assistant", "content": [{"type": "image"}]}, "a part of a message is not text: 'image'"),
        ({"role": "assistant", "content": [7]}, "a part of a message is not an object: a number"),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}, "a message calls a tool outside its text: tool_calls"),
        ("x", "a message is not an object: text"),
    ],
)
def test_messages_that_are_not_text_are_refused_by_what_they_are(message, reason):
    assert refusal({"chosen": [*messages(("user", "Hi")), message], "rejected": messages(("user", "Hi"), ("assistant", "b"))}) == reason


def test_sharegpt_roles_become_ours():
    said = [("human", "Hi"), ("function_call", "{}"), ("observation", "42")]
    row = {"conversations": [{"from": who, "value": what} for who, what in said], "system": "Be kind."}
    row |= {side: {"from": "gpt", "value": side} for side in ("chosen", "rejected")}
    assert turns(read(row)) == [("system", "Be kind."), ("user", "Hi"), ("assistant", "{}"), ("tool", "42")]


def test_alpaca_joins_instruction_and_input_and_keeps_the_output_column():
    found = read({"instruction": "Add.", "input": "2+2", "output": "4", "chosen": "4", "rejected": "5", "system": "Be brief."})
    assert turns(found) == [("system", "Be brief."), ("user", "Add.\n\n2+2")]
    assert found.extra == {"output": "4"}
    assert turns(read({"instruction": "Add.", "input": "", "chosen": "4", "rejected": "5"})) == [("user", "Add.")]


@pytest.mark.parametrize("given", [42, 0, True, ["2+2"], {"text": "2+2"}])
def test_an_input_that_is_not_text_refuses_the_row(given):
    alpaca = {"instruction": "Add.", "input": given, "chosen": "4", "rejected": "5"}
    ranking = {"instruction": "Add.", "input": given, "responses": ["4", "5"], "scores": [1, 0]}
    for row in (alpaca, ranking):
        assert refusal(row).startswith("column 'input' is not text: ")


@pytest.mark.parametrize("more", [{}, {"input": None}, {"input": ""}])
def test_an_instruction_may_stand_alone(more):
    assert turns(read({"instruction": "Add.", "chosen": "4", "rejected": "5"} | more)) == [("user", "Add.")]
    assert turns(read({"instruction": "Add.", "responses": ["4", "5"], "scores": [1, 0]} | more)) == [("user", "Add.")]


def test_an_input_beside_an_instruction_of_messages_is_not_dropped():
    row = {"instruction": messages(("user", "Add.")), "input": "2+2", "responses": ["4", "5"], "scores": [1, 0]}
    assert refusal(row) == "column 'instruction' is not text: a list"


def test_an_input_without_an_instruction_is_said_once():
    assert turns(read({"input": "2+2?", "responses": ["4", "5"], "scores": [1, 0]})) == [("user", "2+2?")]


def test_message_objects_keep_what_they_carried():
    row = {
        "chosen_messages": messages(("user", "Hi"), ("assistant", "a")),
        "rejected_messages": messages(("user", "Hi"), ("assistant", "b")),
    }
    row["chosen_messages"][1]["loss_weight"] = 0.5
    assert read(row).extra == {"chosen_messages": [{}, {"loss_weight": 0.5}]}


@pytest.mark.parametrize(
    ("order", "expected", "scores"),
    [
        ({"scores": [1, 3, 3]}, [("b", 1), ("c", 1), ("a", 2)], [3, 3, 1]),
        ({"ranks": [2, 1, 3]}, [("b", 1), ("a", 2), ("c", 3)], [None] * 3),
        ({"rank": [2, 1, 2]}, [("b", 1), ("a", 2), ("c", 2)], [None] * 3),
        ({"comparisons": [[0, 1, "second"], [1, 2, "first"], [0, 2, "tie"]]}, [("b", 1), ("a", 2), ("c", 2)], [None] * 3),
        ({"comparisons": [[0, 1, "second"], [0, 2, "first"]]}, [("b", 1), ("a", 2), ("c", 3)], [None] * 3),
    ],
)
def test_rankings_from_scores_ranks_and_comparisons(order, expected, scores):
    found = read({"prompt": "q", "responses": ["a", "b", "c"]} | order)
    assert sides(found) == expected
    assert [response.score for response in found.responses] == scores


def test_response_objects_keep_their_other_keys_best_first():
    answers = [{"text": "a", "score": 1, "model": "m1"}, {"text": "b", "score": "2.5", "model": "m2"}]
    found = read({"prompt": "q", "responses": answers})
    assert sides(found) == [("b", 1), ("a", 2)]
    assert found.extra == {"response_order": [1, 0], "responses": [{"score": "2.5", "model": "m2"}, {"score": 1, "model": "m1"}]}


def test_a_response_object_loses_only_the_key_that_held_its_text():
    answers = [{"response": "a", "answer": "gold", "score": 2}, "b"]
    found = read({"prompt": "q", "responses": answers, "scores": [1, 2]})
    assert found.extra["responses"] == [{}, {"answer": "gold", "score": 2}]
    completions = [{"response": "a", "text": "raw", "score": 2}, {"response": "b", "score": 1}]
    assert read({"instruction": "q", "completions": completions}).extra["completions"] == [{"text": "raw", "score": 2}, {"score": 1}]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"comparisons": [[0, 1, "first"], [1, 2, "first"], [2, 0, "first"]]}, "the comparisons are no weak order"),
        ({"comparisons": [[0, 1, "tie"], [1, 2, "tie"], [0, 2, "first"]]}, "the comparisons are no weak order"),
        ({"comparisons": [[0, 1, "first"], [0, 2, "first"]]}, "the comparisons leave the order of two answers open"),
        ({"comparisons": [[0, 3, "first"]]}, "a comparison names answers that are not there: 0 and 3 of 3, counted from 0"),
        ({"comparisons": [[0, 1, "left"]]}, "a comparison's outcome is none of first, second, tie: 'left'"),
        ({"scores": [1, 2]}, "column 'scores' is not as long as the responses: 2 against 3"),
        ({"scores": [1, 2, None]}, "a value of 'scores' is not a number"),
        ({"scores": [1, 1, 1]}, "all answers are tied: nothing is preferred"),
    ],
)
def test_rankings_that_order_nothing_are_refused(order, reason):
    assert refusal({"prompt": "q", "responses": ["a", "b", "c"]} | order) == reason


def test_ultrafeedback_takes_the_first_score_that_all_completions_have():
    completions = [{"response": "a", "overall_score": 9, "fine-grained_score": 2.0}, {"response": "b", "fine-grained_score": 4.0}]
    found = read({"instruction": "q", "completions": completions})
    assert [(r.text, r.score) for r in found.responses] == [("b", 4.0), ("a", 2.0)]


def test_qa_feedback_comparisons_become_tiers_and_everything_else_survives():
    row = {"question": "q", "passages": ["p"], "gold": "g"} | {f"prediction {i}": f"p{i}" for i in range(1, 5)}
    found = read(row | {"preference": [0, 1, 2, 1, 2, 2]})
    assert sides(found) == [("p4", 1), ("p1", 2), ("p2", 2), ("p3", 3)]
    assert found.extra == {"passages": ["p"], "gold": "g", "preference": [0, 1, 2, 1, 2, 2], "response_order": [3, 0, 1, 2]}
    assert refusal(row | {"preference": [1, 2, 0, 1, 0, 0]}) == "the comparisons are no weak order"
    assert refusal(row | {"preference": [0] * 6}) == "all answers are tied: nothing is preferred"
    assert refusal(row | {"preference": [3] * 6}).startswith("column 'preference' is not six comparisons of 0, 1 or 2")


def test_source_and_split_are_taken_and_other_words_stay_in_the_extras():
    row = {"prompt": "q", "chosen": "a", "rejected": "b"}
    taken = read(row | {"source": "web", "split": "train"})
    assert (taken.source, taken.split, taken.extra) == ("web", "train", {})
    kept = read(row | {"source": 7, "split": "spring"})
    assert (kept.source, kept.split, kept.extra) == (None, None, {"source": 7, "split": "spring"})
    assert read(row | {"split": "validation"}).split == "heldout"
    assert read(row | {"split": "train_prefs"}).split == "train"
    assert read(row | {"split": "trainer"}).split is None
    assert read(row | {"source": "long " * 50}).source is None


def test_fields_name_the_columns_and_the_rest_survives():
    row = {"question": "q", "better": "a", "worse": "b", "from": "web", "prompt": "not this", "good": 3, "bad": "1.5"}
    fields = {
        "prompt": "question",
        "chosen": "better",
        "rejected": "worse",
        "source": "from",
        "score_chosen": "good",
        "score_rejected": "bad",
    }
    found = read(row, fields=fields)
    assert turns(found) == [("user", "q")]
    assert [(r.text, r.score) for r in found.responses] == [("a", 3.0), ("b", 1.5)]
    assert (found.source, found.extra) == ("web", {"prompt": "not this", "good": 3, "bad": "1.5"})


def test_fields_can_name_two_answers_and_a_label():
    rows = [{"q": "q", "x": "a", "y": "b", "pick": pick} for pick in ("first", "second")]
    fields = {"prompt": "q", "response_1": "x", "response_2": "y", "label": "pick"}
    assert [read(row, fields=fields).responses[0].text for row in rows] == ["a", "b"]


def test_the_documented_fields_are_written_as_the_command_takes_them():
    text = DOC.read_text(encoding="utf-8")
    fields = dict(pair.split("=") for pair in re.search(r"`--fields (.*?)`", text)[1].split())
    row = {"question": "q", "better": "a", "worse": "b"}
    assert sides(read(row, fields=fields)) == [("a", 1), ("b", 2)]
    assert [field for field in FIELDS if f"`{field}`" not in text] == []


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b", "colour": "c"}, "'colour'"),
        ({"prompt": "q", "chosen": "a", "rejected": "z"}, "the columns q, a, b"),
        ({"prompt": "q", "chosen": "a"}, "the fields prompt, chosen"),
    ],
)
def test_fields_that_cannot_be_used_say_what_there_is(fields, found):
    with pytest.raises(InputError, match=re.escape(found)):
        choose([{"q": "q", "a": "a", "b": "b"}], None, fields)


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(InputError, match="hh, trl, trl-chat"):
        choose([], "llama", None)


def test_the_format_of_most_rows_wins():
    plain, ranking = {"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "q", "responses": ["a", "b"], "scores": [1, 2]}
    assert detect([plain, ranking, ranking]) == "ranking"
    assert detect([plain, ranking]) == "trl"
    assert detect([{"x": 1}]) is None
