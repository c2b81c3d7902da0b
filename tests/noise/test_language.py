"""Which texts are in another language than the set."""

from tests.noise.tables import column, notes, row

ENGLISH = "The train to the coast leaves at nine in the morning, so please be at the station a little earlier than that."
GERMAN = "Der Zug an die Küste fährt um neun Uhr morgens ab, sei also bitte ein wenig früher am Bahnhof als sonst."


def test_a_text_in_another_language_is_named_and_short_ones_are_not_judged(tmp_path):
    rows = [row(ENGLISH, ENGLISH, ENGLISH)] * 4
    rows += [row(ENGLISH, GERMAN, ENGLISH), row("Guten Tag", "Ja, gern", "Nein"), row(GERMAN, ENGLISH, ENGLISH)]
    assert column(tmp_path, "wrong_language", rows) == [None] * 4 + ["de", None, "de"]
    # judged: 4 x 3 English, then 2 English and 1 German, none, 2 English and 1 German: 16 of 18
    assert notes(tmp_path, rows)["wrong_language"] == "main language en, 88.9% of 18 texts judged"


def test_code_and_addresses_are_no_language(tmp_path):
    code = "```\n" + "for (int zug = 0; zug < bahnhof; zug++) { fahren(zug); warten(bahnhof); ankommen(zug); }\n" * 3 + "```"
    rows = [row(ENGLISH, ENGLISH, ENGLISH)] * 3 + [row(ENGLISH, code, "see https://example.org/der/zug/faehrt/um/neun/uhr/ab " * 3)]
    assert column(tmp_path, "wrong_language", rows) == [None] * 4


def test_a_set_of_several_languages_has_no_wrong_one(tmp_path):
    rows = [row(ENGLISH, ENGLISH, ENGLISH), row(GERMAN, GERMAN, GERMAN)]
    assert column(tmp_path, "wrong_language", rows) == [None, None]
    assert notes(tmp_path, rows)["wrong_language"] == "no main language: de, en"
