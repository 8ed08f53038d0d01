"""Words as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.domain.words import OPT_OUTS, STANDARD, Meaning, fold, is_doubtful

STOPS = [word for word, meaning in STANDARD.items() if meaning in OPT_OUTS]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("STOP", "stop"),
        ("Stop.", "stop"),
        (" stop!!\r\n", "stop"),
        ("s t o p", "stop"),
        ("ＳＴＯＰ", "stop"),
        ("“Stop”", "stop"),
        ("STOP \U0001f6d1", "stop"),
        ("\u200bstop", "stop"),
        ("Stop all", "stopall"),
        ("opt-out", "optout"),
        ("UN SUBSCRIBE", "unsubscribe"),
        ("Arrêt", "arret"),
        ("arre\u0302t", "arret"),
        ("İNFO", "info"),
        ("Straße", "strasse"),
        ("СТОП", "стоп"),
        ("停止", "停止"),
        ("...", ""),
        ("", ""),
    ],
)
def test_a_word_is_one_however_it_is_typed(text: str, word: str) -> None:
    assert fold(text) == word


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_every_standard_word_is_folded_and_each_meaning_is_there() -> None:
    assert [word for word in STANDARD if fold(word) != word] == []
    assert set(STANDARD.values()) == {Meaning.STOP, Meaning.STOP_ALL, Meaning.START, Meaning.HELP}


@pytest.mark.parametrize(
    "text",
    [
        "STOPP",
        "sotp",
        "stp",
        "shop",
        "unsubscrbe",
        "Unsubscribed",
        "please stop",
        "Stop texting me!",
        "STOP, I never asked for this",
        "I want to opt out",
        "opt-out please",
        "revoke my consent",
        "stop all of it",
    ],
)
def test_what_may_be_meant_as_a_stop_is_flagged(text: str) -> None:
    assert is_doubtful(text, STOPS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        "and",
        "ends",
        "send",
        "see you at the end",
        "cancel my order of Monday",
        "a stopover in Oslo",
        "I waited for an hour at the bus stop and nobody ever came to pick me up",
        "stop " * 100,
    ],
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_doubtful(text, STOPS)
