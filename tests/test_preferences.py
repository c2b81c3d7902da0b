"""The vocabulary: ranks, identities, and what is no preference."""

import pytest

from deft_core.preferences import Message, Preference, Response, RowRefused, ranked, validate

HELLO = (Message("user", "Hello?"),)


def pair(chosen="Good day.", rejected="What?", prompt=HELLO):
    return Preference(prompt, ranked((chosen, rejected), (1, 0)))


def test_ranks_are_dense_and_ties_keep_the_order_of_the_source():
    responses = ranked(["a", "b", "c", "d"], [2.0, 5.0, 2.0, 1.0], [2.0, 5.0, 2.0, 1.0])
    assert [(r.text, r.rank, r.score) for r in responses] == [("b", 1, 5.0), ("a", 2, 2.0), ("c", 2, 2.0), ("d", 3, 1.0)]


def test_the_content_hash_counts_roles_texts_and_ranks_and_nothing_else():
    plain = pair()
    assert plain.content_hash() == Preference(HELLO, plain.responses, source="s", split="judge", extra={"a": 1}).content_hash()
    assert plain.content_hash() != pair(chosen="Good day!").content_hash()
    assert plain.content_hash() != pair(prompt=(Message("system", "Hello?"),)).content_hash()
    tied = Preference(HELLO, (Response("Good day.", 1), Response("What?", 1)))
    assert plain.content_hash() != tied.content_hash()
    assert len(plain.content_hash()) == 16


def test_a_conversation_is_known_by_its_first_user_turn():
    later = (Message("system", "Be kind."), *HELLO, Message("assistant", "Yes?"), Message("user", "Bye."))
    assert pair(prompt=later).conversation() == pair().conversation()
    assert pair(prompt=(Message("user", "Bye."),)).conversation() != pair().conversation()


@pytest.mark.parametrize(
    ("preference", "reason"),
    [
        (pair(prompt=()), "the prompt is empty"),
        (pair(prompt=(Message("user", " \n"),)), "the prompt is empty"),
        (pair(prompt=(Message("boss", "Hi"),)), "unknown role in the prompt: 'boss'; expected one of system, user, assistant, tool"),
        (Preference(HELLO, (Response("a", 1),)), "fewer than two responses: 1"),
        (pair(rejected=" "), "an answer is empty"),
        (pair("Same.", " Same."), "chosen and rejected are identical"),
        (Preference(HELLO, ranked(("a", "a", "a"), (3, 2, 1))), "all answers are identical"),
        (Preference(HELLO, ranked(("a", "b"), (1, 1))), "all answers are tied: nothing is preferred"),
    ],
)
def test_what_is_no_preference_is_refused_with_the_reason(preference, reason):
    with pytest.raises(RowRefused) as refused:
        validate(preference)
    assert str(refused.value) == reason


def test_half_a_surrogate_pair_is_refused_as_text():
    with pytest.raises(RowRefused, match="not UTF-8"):
        pair(chosen="\ud800").content_hash()


def test_a_refusal_keeps_the_countable_reason_apart_from_the_detail():
    refused = RowRefused("a message has an unknown role", "'boss'")
    assert (refused.reason, str(refused)) == ("a message has an unknown role", "a message has an unknown role: 'boss'")
