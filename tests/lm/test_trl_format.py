"""What TRL's own formatting would make of an exported row."""

import pytest

from deft_core.lm.trl_format import ChatML, problem_of

STRINGS = {"prompt": "2+2?", "chosen": "4", "rejected": "5", "deft_id": "a"}
CHAT = {
    "prompt": [{"role": "user", "content": "2+2?"}],
    "chosen": [{"role": "assistant", "content": "4"}],
    "rejected": [{"role": "assistant", "content": "5"}],
    "extra_messages": "hello",
}


@pytest.mark.parametrize("row", [STRINGS, CHAT], ids=["strings", "messages"])
def test_rows_that_stay_as_they_are(row):
    assert problem_of(row, ChatML()) is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"prompt": "2+2?"}, "it takes the prompt from the answers"),
        (
            {"prompt": [{"role": "system", "content": "s"}]},
            "the chat template refuses the conversation: Invalid role in the last message: system",
        ),
        ({"rejected": CHAT["chosen"]}, "the chat template leaves the prompt empty, or the same text of both answers"),
    ],
)
def test_what_trl_would_change(change, words):
    assert problem_of(CHAT | change, ChatML()) == words


def test_the_stand_in_template():
    messages = [{"role": "user", "content": "2+2?"}]
    assert ChatML().apply_chat_template(messages, add_generation_prompt=True) == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    assert ChatML().apply_chat_template(messages, continue_final_message=True) == "<|im_start|>user\n2+2?"
