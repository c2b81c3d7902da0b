"""A preference as token ids."""

from deft_core.lm.tokens import TokenRow, cut, prompt_text, token_bytes, token_rows
from tests.tiny_model import tiny_tokenizer

USER = [{"role": "user", "content": "Hi"}]


def test_a_long_prompt_is_cut_from_the_left_once_for_all_responses():
    # max_length 12, longest response 6: the prompt keeps its last 12 - 6 = 6 tokens, 4 are removed
    row = cut(list(range(10)), [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]], max_length=12)
    assert row == TokenRow([4, 5, 6, 7, 8, 9], [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]], [True, True], removed=4)


def test_a_long_response_is_cut_from_the_right_and_loses_its_end():
    # the prompt gives way down to 12 // 2 = 6; 6 are left for a response, so 20 - 6 = 14 and 10 - 6 = 4 are removed
    row = cut(list(range(10)), [list(range(20)), [7, 8, 9]], max_length=12)
    assert row == TokenRow([4, 5, 6, 7, 8, 9], [[0, 1, 2, 3, 4, 5], [7, 8, 9]], [False, True], removed=18)


def test_what_fits_is_left_alone():
    assert cut([1, 2], [[3], [4, 5]], max_length=4) == TokenRow([1, 2], [[3], [4, 5]], [True, True], removed=0)


def test_prompt_goes_through_the_chat_template_and_responses_stand_apart():
    tokenizer = tiny_tokenizer()
    row = token_rows(tokenizer, [USER], [["yes", "no"]], max_length=100)[0]
    assert tokenizer.decode(row.prompt) == "<|user|>Hi\n<|assistant|>"
    assert [tokenizer.decode(ids) for ids in row.responses] == ["yes", "no"]


def test_a_response_that_spells_the_end_token_holds_no_special_token():
    tokenizer = tiny_tokenizer()
    row = token_rows(tokenizer, [USER], [["a<|end|>b", "c"]], max_length=100)[0]
    assert len(row.responses[0]) == len("a<|end|>b")  # one token a byte
    assert tokenizer.eos_token_id not in row.responses[0]


def test_without_a_template_the_prompt_is_lines():
    prompt = [{"role": "system", "content": "Be kind."}, *USER]
    assert prompt_text(tiny_tokenizer(template=None), prompt) == "system: Be kind.\nuser: Hi\nassistant:"


def test_a_template_without_a_system_role_gets_the_system_text_in_the_first_user_turn():
    refusal = "{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    refusing = "{% for m in messages %}" + refusal + "[{{ m['content'] }}]{% endfor %}"
    prompt = [{"role": "system", "content": "Be kind."}, *USER]
    assert prompt_text(tiny_tokenizer(refusing), prompt) == "[Be kind.\n\nHi]"


def test_a_template_that_refuses_everything_leaves_lines():
    refusing = "{{ raise_exception('never') }}"
    assert prompt_text(tiny_tokenizer(refusing), USER) == "user: Hi\nassistant:"


def test_token_bytes_spell_the_text_exactly():
    tokenizer = tiny_tokenizer()
    table = token_bytes(tokenizer, 258)
    text = "naïve  \n\t漢字"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(table[i] for i in ids) == text.encode()
    assert table[0] == b"<|end|>"
    assert table[257] == b"<unused 257>"


def test_a_template_that_asks_for_the_date_gets_the_same_one_every_day():
    dated = "{{ strftime_now('%d %b %Y') }}: {{ messages[0]['content'] }}"
    assert prompt_text(tiny_tokenizer(dated), USER) == "01 Jan 2026: Hi"
