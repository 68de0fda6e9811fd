"""What callers in a queue and their agents hear, word by word, in its three languages."""

import string
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcontrol import words
from tests.test_words import LANGUAGE, NOW, speakable

THREE = ("sv", "en", "fi")
PHRASES = {
    "queue_welcome", "queue_wait", "queue_closed", "queue_closed_night", "queue_no_agents",
    "queue_rush", "queue_back", "queue_callback_offer", "queue_callback_confirm_number",
    "queue_callback_ask_number", "queue_callback_saved", "queue_callback_exists",
    "queue_callback_hello", "queue_callback_whisper", "queue_missed_out", "queue_missed_pause",
    "agent_menu", "agent_logged_out", "agent_resumed", "agent_wrap_up_ended", "agent_no_licence",
    "agent_not_member"}


@pytest.mark.parametrize(("position", "sv", "en", "fi"), [
    (0, "Du är först i kön.", "You are first in the queue.", "Olette jonossa ensimmäisenä."),
    (1, "Du är först i kön.", "You are first in the queue.", "Olette jonossa ensimmäisenä."),
    (3, "Du är nummer tre i kön.", "You are number three in the queue.",
     "Olette jonossa sijalla kolme."),
    (21, "Du är nummer tjugoett i kön.", "You are number twenty-one in the queue.",
     "Olette jonossa sijalla kaksikymmentäyksi."),
    (1000, "Du är nummer ettusen i kön.", "You are number one thousand in the queue.",
     "Olette jonossa sijalla tuhat."),
])
def test_position(position: int, sv: str, en: str, fi: str) -> None:
    """The first one has words of its own."""
    assert [words.queue_position(position, language) for language in THREE] == [sv, en, fi]


@pytest.mark.parametrize(("low_s", "high_s", "sv", "en", "fi"), [
    (0, 0, "", "", ""),
    (5, 40, "Väntetiden är mindre än en minut.", "The waiting time is less than a minute.",
     "Odotusaika on alle minuutin."),
    (50, 75, "Väntetiden är ungefär en minut.", "The waiting time is about one minute.",
     "Odotusaika on noin yksi minuutti."),
    (150, 200, "Väntetiden är ungefär tre minuter.", "The waiting time is about three minutes.",
     "Odotusaika on noin kolme minuuttia."),
    (120, 240, "Väntetiden är mellan två och fyra minuter.",
     "The waiting time is between two and four minutes.",
     "Odotusaika on vähintään kaksi ja enintään neljä minuuttia."),
    (119, 181, "Väntetiden är mellan en och fyra minuter.",
     "The waiting time is between one and four minutes.",
     "Odotusaika on vähintään yksi ja enintään neljä minuuttia."),
    (10, 130, "Väntetiden är högst tre minuter.", "The waiting time is at most three minutes.",
     "Odotusaika on enintään kolme minuuttia."),
    (500, 1000, "Väntetiden är mellan fem och tjugo minuter.",
     "The waiting time is between five and twenty minutes.",
     "Odotusaika on vähintään viisi ja enintään kaksikymmentä minuuttia."),
    (3000, 5000, "Väntetiden är mellan fyrtiofem och nittio minuter.",
     "The waiting time is between forty-five and ninety minutes.",
     "Odotusaika on vähintään neljäkymmentäviisi ja enintään yhdeksänkymmentä minuuttia."),
    (7000, 7300, "Väntetiden är ungefär två timmar.", "The waiting time is about two hours.",
     "Odotusaika on noin kaksi tuntia."),
    (5000, 10_000, "Väntetiden är mellan en och tre timmar.",
     "The waiting time is between one and three hours.",
     "Odotusaika on vähintään yksi ja enintään kolme tuntia."),
])
def test_estimate(low_s: int, high_s: int, sv: str, en: str, fi: str) -> None:
    """Rounded more, the longer it is."""
    assert [words.queue_estimate(low_s, high_s, language) for language in THREE] == [sv, en, fi]


@pytest.mark.parametrize(("at", "sv", "en", "fi"), [
    (datetime(2026, 2, 27, 15, 30), "omkring klockan femton och trettio",
     "at about three thirty p.m.", "noin kello viisitoista kolmekymmentä"),
    (datetime(2026, 2, 28, 8, 0), "i morgon omkring klockan åtta",
     "tomorrow at about eight a.m.", "huomenna noin kello kahdeksan"),
    (datetime(2026, 3, 2, 13, 0), "på måndag den andra mars omkring klockan tretton",
     "on Monday the second of March at about one p.m.",
     "maanantaina toisena maaliskuuta noin kello kolmetoista"),
    (NOW - timedelta(days=3), "i dag omkring klockan tio", "today at about ten a.m.",
     "tänään noin kello kymmenen"),
])
def test_planned(at: datetime, sv: str, en: str, fi: str) -> None:
    """A time is said as an approximate one, never as one that has been."""
    offers = [words.queue_callback_offer_planned("1", at, NOW, language) for language in THREE]
    assert offers == [
        f"Tryck ett för att bli uppringd {sv}.",
        f"Press one to be called back {en}".removesuffix(".") + ".",
        f"Jos haluatte, että soitamme teille {fi}, painakaa yksi."]
    assert [words.queue_callback_planned(at, NOW, language) for language in THREE] == [
        f"Tack. Vi ringer dig {sv}.",
        f"Thank you. We will call you {en}".removesuffix(".") + ".",
        f"Kiitos. Soitamme teille {fi}."]


def test_phrases_with_values() -> None:
    """Keys, numbers and names."""
    assert words.phrase("queue_callback_offer", "sv", key=1) == (
        "Tryck ett för att behålla din plats och bli uppringd.")
    assert words.phrase("queue_callback_offer", "fi", key="*") == (
        "Jos haluatte säilyttää paikkanne jonossa ja saada takaisinsoiton, painakaa tähteä.")
    assert words.phrase("queue_callback_confirm_number", "sv", number="0701234567") == (
        "Vi ringer dig på noll sju noll, ett två tre, fyra fem, sex sju. Tryck ett för att"
        " godkänna eller två för att ange ett annat nummer.")
    assert words.phrase("queue_callback_whisper", "sv", name="Support", number="0812345") == (
        "Återuppringning från kön Support till nummer noll åtta, ett två tre, fyra fem. Tryck ett"
        " för att ringa upp eller två för att avstå.")
    assert words.phrase("queue_callback_hello", "en", name="Berg & Co.") == (
        "Hello, this is Berg & Co. You asked us to call. Press one to be connected.")
    assert words.phrase("queue_missed_out", "sv", name="Support") == (
        "Du har loggats ut ur kön Support eftersom du inte svarade.")
    assert words.phrase("queue_missed_out", "fi", name="") == (
        "Sinut on kirjattu ulos jonosta, koska et vastannut.")


def test_agents() -> None:
    """Log-ins and pauses."""
    assert [words.agent_logged_in(1, language) for language in THREE] == [
        "Du är inloggad i en kö.", "You are logged in to one queue.",
        "Olet kirjautunut sisään. Sinulla on yksi jono."]
    assert [words.agent_logged_in(2, language) for language in THREE] == [
        "Du är inloggad i två köer.", "You are logged in to two queues.",
        "Olet kirjautunut sisään. Sinulla on kaksi jonoa."]
    assert words.agent_logged_in(0, "sv") == "Du är utloggad."
    assert [words.agent_paused("lunch", language) for language in THREE] == [
        "Du har paus: lunch.", "You are paused: lunch.", "Olet tauolla: lounas."]
    assert words.agent_paused("", "sv") == "Du har paus."
    assert words.agent_paused("kund_2", "sv") == "Du har paus: kund två."


@pytest.mark.parametrize(("state", "values", "said"), [
    ("free", {"queues": 3}, "Du är inloggad i tre köer. Du är ledig för samtal. Inget samtal"
                            " väntar."),
    ("paused", {"queues": 1, "reason": "break", "waiting": 1},
     "Du är inloggad i en kö. Du har paus: rast. Ett samtal väntar."),
    ("wrap_up", {"queues": 2, "waiting": 4},
     "Du är inloggad i två köer. Du har efterarbete. Fyra samtal väntar."),
    ("free", {"queues": 0, "waiting": 4}, "Du är utloggad."),
    ("offline", {"queues": 2}, "Du är utloggad."),
])
def test_status(state: str, values: dict[str, Any], said: str) -> None:
    """What an agent hears of himself."""
    assert words.agent_status(state, "sv", **values) == said


@pytest.mark.parametrize("state", ["free", "offered", "talking", "wrap_up", "rest", "paused"])
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_state_has_words(state: str, language: str) -> None:
    """Its own."""
    said = words.agent_status(state, language, queues=2, waiting=12)
    assert speakable(said) and said.count(".") >= 3


def test_languages_have_the_same_tables() -> None:
    """Keys, and fields in what is counted."""
    tables = [words.sv.LANGUAGE, words.en.LANGUAGE, words.fi.LANGUAGE]
    for table in tables:
        assert set(table.phrases) >= PHRASES
        assert list(table.agent_states) == list(tables[0].agent_states)
        assert list(table.pauses) == list(tables[0].pauses)
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name}
                  for text in table.waiting]
        assert fields == [set(), set(), {"count"}]
        assert len(set(table.waiting)) == 3 and len(set(table.agent_states.values())) == 5


@pytest.mark.parametrize("call", [
    lambda: words.queue_position(1, "de"), lambda: words.queue_estimate(0, 0, "de"),
    lambda: words.queue_callback_planned(NOW, NOW, "de"),
    lambda: words.queue_callback_offer_planned("1", NOW, NOW, "de"),
    lambda: words.agent_logged_in(1, "de"), lambda: words.agent_paused("", "de"),
    lambda: words.agent_status("free", "de", queues=1),
    lambda: words.agent_status("asleep", "sv", queues=1),
])
def test_refused(call: Any) -> None:
    """A language or a state that there is not."""
    with pytest.raises(ValueError):
        call()


@given(st.integers(-5, 10**6), st.integers(-5, 10**6), LANGUAGE)
def test_any_estimate(low_s: int, high_s: int, language: str) -> None:
    """Any range, also one that is upside down, has words when it is not nothing."""
    said = words.queue_estimate(low_s, high_s, language)
    assert speakable(said)
    assert bool(said) == (max(low_s, high_s) > 0)


@given(st.integers(1, 10**6), st.integers(0, 10**5))
def test_an_estimate_is_rounded_outwards(low_s: int, width_s: int) -> None:
    """What is said as a range contains what was meant."""
    values = {words.number(count, "sv", gender="en"): count for count in range(1, 400)}
    said = words.queue_estimate(low_s, low_s + width_s, "sv").rstrip(".")
    if " mellan " in said:
        first, last, unit = said.split(" mellan ")[1].replace(" och ", " ").split()
        unit_s = 60 if unit.startswith("minut") else 3600
        assert values[first] * unit_s <= low_s
        assert values[last] * unit_s >= low_s + width_s
        assert values[first] < values[last]


@given(st.datetimes(), st.datetimes(), st.text(), LANGUAGE)
def test_any_plan(at: datetime, now: datetime, key: str, language: str) -> None:
    """Any two moments."""
    assert speakable(words.queue_callback_planned(at, now, language))
    assert speakable(words.queue_callback_offer_planned(key, at, now, language))


@given(st.text(), st.integers(-3, 10**6), LANGUAGE)
def test_any_reason(reason: str, count: int, language: str) -> None:
    """Whatever a company calls its pauses."""
    assert speakable(words.agent_paused(reason, language))
    assert speakable(words.agent_status("paused", language, queues=count, reason=reason,
                                        waiting=count))
