"""What the exchange says, word by word, in its three languages."""

import re
import string
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcontrol import words

#: A Friday.
NOW = datetime(2026, 2, 27, 10, 0)
TODAY = NOW.date()
BACK = datetime(2026, 2, 27, 15, 30)
BIG = 999_999_999_999
LANGUAGE = st.sampled_from(words.LANGUAGES)
#: What must not reach the speech engine: its phoneme brackets, markup, control characters.
HARMFUL = re.compile(r"[<>\[\]{}|\\\x00-\x1f]")


def speakable(text: str) -> bool:
    """No digit in any script, no markup, no doubled or stray spaces and stops."""
    return (not any(sign.isdigit() for sign in text) and not HARMFUL.search(text)
            and "  " not in text and text == text.strip() and not text.endswith(".."))


# -- numbers -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "sv", "en", "fi"), [
    (0, "noll", "zero", "nolla"),
    (1, "ett", "one", "yksi"),
    (10, "tio", "ten", "kymmenen"),
    (11, "elva", "eleven", "yksitoista"),
    (14, "fjorton", "fourteen", "neljätoista"),
    (18, "arton", "eighteen", "kahdeksantoista"),
    (20, "tjugo", "twenty", "kaksikymmentä"),
    (21, "tjugoett", "twenty-one", "kaksikymmentäyksi"),
    (40, "fyrtio", "forty", "neljäkymmentä"),
    (99, "nittionio", "ninety-nine", "yhdeksänkymmentäyhdeksän"),
    (100, "etthundra", "one hundred", "sata"),
    (101, "etthundraett", "one hundred and one", "satayksi"),
    (110, "etthundratio", "one hundred and ten", "satakymmenen"),
    (112, "etthundratolv", "one hundred and twelve", "satakaksitoista"),
    (200, "tvåhundra", "two hundred", "kaksisataa"),
    (223, "tvåhundratjugotre", "two hundred and twenty-three", "kaksisataakaksikymmentäkolme"),
    (1000, "ettusen", "one thousand", "tuhat"),
    (1002, "ettusentvå", "one thousand and two", "tuhatkaksi"),
    (1100, "ettusenetthundra", "one thousand one hundred", "tuhatsata"),
    (2026, "tvåtusentjugosex", "two thousand and twenty-six", "kaksituhattakaksikymmentäkuusi"),
    (21_000, "tjugoettusen", "twenty-one thousand", "kaksikymmentäyksituhatta"),
    (100_000, "etthundratusen", "one hundred thousand", "satatuhatta"),
    (101_000, "etthundraettusen", "one hundred and one thousand", "satayksituhatta"),
    (1_000_000, "en miljon", "one million", "miljoona"),
    (1_000_001, "en miljon ett", "one million and one", "miljoona yksi"),
    (1_000_100, "en miljon etthundra", "one million one hundred", "miljoona sata"),
    (2_000_000, "två miljoner", "two million", "kaksi miljoonaa"),
    (21_000_000, "tjugoen miljoner", "twenty-one million", "kaksikymmentäyksi miljoonaa"),
    (10**9, "en miljard", "one billion", "miljardi"),
    (3_000_000_004, "tre miljarder fyra", "three billion and four", "kolme miljardia neljä"),
    (-7, "minus sju", "minus seven", "miinus seitsemän"),
])
def test_numbers(value: int, sv: str, en: str, fi: str) -> None:
    """Cardinals."""
    assert [words.number(value, language) for language in ("sv", "en", "fi")] == [sv, en, fi]


def test_gender_of_a_swedish_number() -> None:
    """En dag, tjugoen dagar; ett meddelande. It changes nothing else."""
    assert words.number(1, "sv", gender="en") == "en"
    assert words.number(21, "sv", gender="en") == "tjugoen"
    assert words.number(1001, "sv", gender="en") == "ettusenen"
    assert words.number(11, "sv", gender="en") == "elva"
    assert words.number(1, "en", gender="en") == "one"
    assert words.number(1, "fi", gender="en") == "yksi"


@pytest.mark.parametrize(("value", "sv", "en", "fi"), [
    (1, "första", "first", "ensimmäinen"),
    (2, "andra", "second", "toinen"),
    (3, "tredje", "third", "kolmas"),
    (5, "femte", "fifth", "viides"),
    (8, "åttonde", "eighth", "kahdeksas"),
    (9, "nionde", "ninth", "yhdeksäs"),
    (10, "tionde", "tenth", "kymmenes"),
    (11, "elfte", "eleventh", "yhdestoista"),
    (12, "tolfte", "twelfth", "kahdestoista"),
    (19, "nittonde", "nineteenth", "yhdeksästoista"),
    (20, "tjugonde", "twentieth", "kahdeskymmenes"),
    (21, "tjugoförsta", "twenty-first", "kahdeskymmenesensimmäinen"),
    (22, "tjugoandra", "twenty-second", "kahdeskymmenestoinen"),
    (30, "trettionde", "thirtieth", "kolmaskymmenes"),
    (31, "trettioförsta", "thirty-first", "kolmaskymmenesensimmäinen"),
    (100, "hundrade", "one hundredth", "sadas"),
    (101, "hundraförsta", "one hundred and first", "sadasensimmäinen"),
    (112, "hundratolfte", "one hundred and twelfth", "sadaskahdestoista"),
    (200, "tvåhundrade", "two hundredth", "kahdessadas"),
    (999, "niohundranittionionde", "nine hundred and ninety-ninth",
     "yhdeksässadasyhdeksäskymmenesyhdeksäs"),
])
def test_ordinals(value: int, sv: str, en: str, fi: str) -> None:
    """First to nine hundred and ninety-ninth."""
    assert [words.ordinal(value, language) for language in ("sv", "en", "fi")] == [sv, en, fi]


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_two_numbers_never_sound_the_same(language: str) -> None:
    """One to one, over everything that is built from parts."""
    values = [*range(-20, 3000), *range(9000, 130_000, 37), *(10**power for power in range(5, 12))]
    assert len({words.number(value, language) for value in values}) == len(set(values))
    assert len({words.ordinal(value, language) for value in range(1, 1000)}) == 999


@pytest.mark.parametrize(("text", "said"), [
    ("0812345678", "noll åtta, ett två tre, fyra fem sex, sju åtta"),
    ("08-123 456 78", "noll åtta, ett två tre, fyra fem sex, sju åtta"),
    ("0701234567", "noll sju noll, ett två tre, fyra fem, sex sju"),
    ("+46701234567", "plus fyra sex, sju noll ett, två tre, fyra fem, sex sju"),
    ("+358401234567", "plus tre fem åtta, fyra noll ett, två tre, fyra fem, sex sju"),
    ("+14155550100", "plus ett, fyra ett fem, fem fem fem, noll ett, noll noll"),
    ("7", "sju"), ("12", "ett två"), ("101", "ett noll ett"), ("0042", "noll noll, fyra två"),
    ("12345", "ett två tre, fyra fem"), ("123456", "ett två, tre fyra, fem sex"),
    ("*21#", "stjärna två, ett fyrkant"), ("٣", "tre"),
    ("", ""), ("+", ""), ("anonymous", ""),
])
def test_digits(text: str, said: str) -> None:
    """Digit by digit, in groups that begin with the country or area code."""
    assert words.digits(text, "sv") == said


def test_digits_in_other_languages() -> None:
    """Their zeros and pluses."""
    assert words.digits("+44 207", "en") == "plus four four, two zero seven"
    assert words.digits("050", "fi") == "nolla viisi nolla"
    assert words.digits("*0#", "fi") == "tähti nolla ruutu"


@pytest.mark.parametrize(("seconds", "sv", "en", "fi"), [
    (0, "noll sekunder", "zero seconds", "nolla sekuntia"),
    (-5, "noll sekunder", "zero seconds", "nolla sekuntia"),
    (1, "en sekund", "one second", "yksi sekunti"),
    (61, "en minut och en sekund", "one minute and one second", "yksi minuutti ja yksi sekunti"),
    (130, "två minuter och tio sekunder", "two minutes and ten seconds",
     "kaksi minuuttia ja kymmenen sekuntia"),
    (1260, "tjugoen minuter", "twenty-one minutes", "kaksikymmentäyksi minuuttia"),
    (3600, "en timme", "one hour", "yksi tunti"),
    (3605, "en timme", "one hour", "yksi tunti"),
    (7199, "en timme och femtionio minuter", "one hour and fifty-nine minutes",
     "yksi tunti ja viisikymmentäyhdeksän minuuttia"),
    (86400, "en dag", "one day", "yksi päivä"),
    (90000, "en dag och en timme", "one day and one hour", "yksi päivä ja yksi tunti"),
    (259200, "tre dagar", "three days", "kolme päivää"),
])
def test_durations(seconds: int, sv: str, en: str, fi: str) -> None:
    """At most two units, of which the smaller is the next one."""
    assert [words.duration(seconds, language) for language in ("sv", "en", "fi")] == [sv, en, fi]


# -- when --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("at", "sv", "en", "fi"), [
    (time(0, 0), "klockan noll", "midnight", "kello nolla"),
    (time(0, 5), "klockan noll och fem", "twelve oh five a.m.", "kello nolla nolla viisi"),
    (time(1, 0), "klockan ett", "one a.m.", "kello yksi"),
    (time(8, 0, 59), "klockan åtta", "eight a.m.", "kello kahdeksan"),
    (time(12, 0), "klockan tolv", "noon", "kello kaksitoista"),
    (time(12, 30), "klockan tolv och trettio", "twelve thirty p.m.",
     "kello kaksitoista kolmekymmentä"),
    (time(15, 0), "klockan femton", "three p.m.", "kello viisitoista"),
    (time(15, 5), "klockan femton och fem", "three oh five p.m.",
     "kello viisitoista nolla viisi"),
    (time(15, 30), "klockan femton och trettio", "three thirty p.m.",
     "kello viisitoista kolmekymmentä"),
    (time(23, 59), "klockan tjugotre och femtionio", "eleven fifty-nine p.m.",
     "kello kaksikymmentäkolme viisikymmentäyhdeksän"),
])
def test_times(at: time, sv: str, en: str, fi: str) -> None:
    """As a clock is read."""
    assert [words.time_of_day(at, language) for language in ("sv", "en", "fi")] == [sv, en, fi]


@pytest.mark.parametrize(("on", "today", "sv", "en", "fi"), [
    (TODAY, TODAY, "i dag", "today", "tänään"),
    (date(2026, 2, 28), TODAY, "i morgon", "tomorrow", "huomenna"),
    (date(2026, 2, 26), TODAY, "i går", "yesterday", "eilen"),
    (date(2026, 3, 3), TODAY, "tisdag den tredje mars", "Tuesday the third of March",
     "tiistaina kolmantena maaliskuuta"),
    (date(2026, 3, 5), TODAY, "torsdag den femte mars", "Thursday the fifth of March",
     "torstaina viidentenä maaliskuuta"),
    (date(2026, 3, 6), TODAY, "den sjätte mars", "the sixth of March",
     "kuudentena maaliskuuta"),
    (date(2026, 2, 23), TODAY, "måndag den tjugotredje februari",
     "Monday the twenty-third of February",
     "maanantaina kahdentenakymmenentenäkolmantena helmikuuta"),
    (date(2026, 12, 31), TODAY, "den trettioförsta december", "the thirty-first of December",
     "kolmantenakymmenentenäensimmäisenä joulukuuta"),
    (date(2026, 8, 21), TODAY, "den tjugoförsta augusti", "the twenty-first of August",
     "kahdentenakymmenentenäensimmäisenä elokuuta"),
    # Another year, near and far.
    (date(2027, 1, 1), date(2026, 12, 31), "i morgon", "tomorrow", "huomenna"),
    (date(2027, 1, 4), date(2026, 12, 30), "måndag den fjärde januari",
     "Monday the fourth of January", "maanantaina neljäntenä tammikuuta"),
    (date(2027, 1, 11), date(2026, 12, 30), "den elfte januari", "the eleventh of January",
     "yhdentenätoista tammikuuta"),
    (date(2025, 12, 24), TODAY, "den tjugofjärde december", "the twenty-fourth of December",
     "kahdentenakymmenentenäneljäntenä joulukuuta"),
    (date(2027, 1, 2), TODAY, "den andra januari tjugohundratjugosju",
     "the second of January twenty twenty-seven",
     "toisena tammikuuta vuonna kaksituhattakaksikymmentäseitsemän"),
    (date(2028, 2, 29), TODAY, "den tjugonionde februari tjugohundratjugoåtta",
     "the twenty-ninth of February twenty twenty-eight",
     "kahdentenakymmenentenäyhdeksäntenä helmikuuta vuonna kaksituhattakaksikymmentäkahdeksan"),
    (date(2005, 5, 1), TODAY, "den första maj tvåtusenfem",
     "the first of May two thousand and five",
     "ensimmäisenä toukokuuta vuonna kaksituhattaviisi"),
    (date(1905, 6, 7), TODAY, "den sjunde juni nittonhundrafem",
     "the seventh of June nineteen oh five",
     "seitsemäntenä kesäkuuta vuonna tuhatyhdeksänsataaviisi"),
    (date(2100, 10, 10), TODAY, "den tionde oktober tjugoetthundra",
     "the tenth of October twenty-one hundred",
     "kymmenentenä lokakuuta vuonna kaksituhattasata"),
    # A leap day, and the day after it.
    (date(2028, 2, 29), date(2028, 2, 27), "tisdag den tjugonionde februari",
     "Tuesday the twenty-ninth of February",
     "tiistaina kahdentenakymmenentenäyhdeksäntenä helmikuuta"),
    (date(2028, 3, 1), date(2028, 2, 29), "i morgon", "tomorrow", "huomenna"),
])
def test_dates(on: date, today: date, sv: str, en: str, fi: str) -> None:
    """Near dates by their weekday, far ones with their year."""
    assert [words.date_words(on, today, language) for language in ("sv", "en", "fi")] == [
        sv, en, fi]


@pytest.mark.parametrize(("end", "sv", "en", "fi"), [
    (BACK, "åter klockan femton och trettio", "back at three thirty p.m.",
     "takaisin kello viisitoista kolmekymmentä"),
    (datetime(2026, 2, 27, 12), "åter klockan tolv", "back at noon",
     "takaisin kello kaksitoista"),
    (datetime(2026, 2, 28), "åter i morgon", "back tomorrow", "takaisin huomenna"),
    (datetime(2026, 2, 28, 8), "åter i morgon klockan åtta", "back tomorrow at eight a.m.",
     "takaisin huomenna kello kahdeksan"),
    (datetime(2026, 3, 2), "åter på måndag den andra mars", "back on Monday the second of March",
     "takaisin maanantaina toisena maaliskuuta"),
    (datetime(2026, 3, 3, 8), "åter på tisdag den tredje mars klockan åtta",
     "back on Tuesday the third of March at eight a.m.",
     "takaisin tiistaina kolmantena maaliskuuta kello kahdeksan"),
    (datetime(2026, 8, 3), "åter den tredje augusti", "back on the third of August",
     "takaisin kolmantena elokuuta"),
    (datetime(2027, 1, 7, 8), "åter den sjunde januari tjugohundratjugosju klockan åtta",
     "back on the seventh of January twenty twenty-seven at eight a.m.",
     "takaisin seitsemäntenä tammikuuta vuonna kaksituhattakaksikymmentäseitsemän"
     " kello kahdeksan"),
    (datetime(2026, 2, 27), "", "", ""),
    (NOW, "", "", ""),
    (NOW - timedelta(days=400), "", "", ""),
    (None, "", "", ""),
])
def test_until(end: datetime | None, sv: str, en: str, fi: str) -> None:
    """Back today, tomorrow, on a weekday, on a date; nothing once it is past."""
    assert [words.until(end, NOW, language) for language in ("sv", "en", "fi")] == [sv, en, fi]


def test_until_over_the_turn_of_the_year() -> None:
    """A year is said of what is more than half a year off only."""
    now = datetime(2026, 12, 31, 23, 59)
    assert words.until(datetime(2027, 1, 1), now, "sv") == "åter i morgon"
    assert words.until(datetime(2027, 1, 4, 8), now, "sv") == (
        "åter på måndag den fjärde januari klockan åtta")
    assert words.until(datetime(2027, 1, 11), now, "en") == "back on the eleventh of January"


def test_times_in_a_zone() -> None:
    """Aware times are said as they stand."""
    zone = ZoneInfo("Europe/Stockholm")
    assert words.until(BACK.replace(tzinfo=zone), NOW.replace(tzinfo=zone), "sv") == (
        "åter klockan femton och trettio")


# -- voicemail and presence --------------------------------------------------------------------

@pytest.mark.parametrize(("new", "saved", "sv", "en", "fi"), [
    (0, 0, "Du har inga meddelanden.", "You have no messages.", "Sinulla ei ole viestejä."),
    (1, 0, "Du har ett nytt meddelande.", "You have one new message.",
     "Sinulla on yksi uusi viesti."),
    (2, 0, "Du har två nya meddelanden.", "You have two new messages.",
     "Sinulla on kaksi uutta viestiä."),
    (1, 3, "Du har ett nytt meddelande och tre sparade.",
     "You have one new message and three saved messages.",
     "Sinulla on yksi uusi viesti ja kolme tallennettua viestiä."),
    (21, 1, "Du har tjugoett nya meddelanden och ett sparat.",
     "You have twenty-one new messages and one saved message.",
     "Sinulla on kaksikymmentäyksi uutta viestiä ja yksi tallennettu viesti."),
    (0, 1, "Du har inga nya meddelanden och ett sparat.",
     "You have no new messages and one saved message.",
     "Sinulla ei ole uusia viestejä, mutta sinulla on yksi tallennettu viesti."),
    (0, 2, "Du har inga nya meddelanden och två sparade.",
     "You have no new messages and two saved messages.",
     "Sinulla ei ole uusia viestejä, mutta sinulla on kaksi tallennettua viestiä."),
])
def test_messages(new: int, saved: int, sv: str, en: str, fi: str) -> None:
    """None, one and several of both kinds."""
    assert [words.messages(new, saved, language) for language in ("sv", "en", "fi")] == [
        sv, en, fi]


@pytest.mark.parametrize(("when", "number", "name", "sv", "en", "fi"), [
    (datetime(2026, 2, 27, 9, 15), "0812345", None,
     "Mottaget i dag klockan nio och femton från noll åtta, ett två tre, fyra fem.",
     "Received today at nine fifteen a.m. from zero eight, one two three, four five.",
     "Saapunut tänään kello yhdeksän viisitoista numerosta nolla kahdeksan, yksi kaksi kolme,"
     " neljä viisi."),
    (datetime(2026, 2, 26, 15), None, None,
     "Mottaget i går klockan femton från dolt nummer.",
     "Received yesterday at three p.m. from a withheld number.",
     "Saapunut eilen kello viisitoista salaisesta numerosta."),
    (datetime(2026, 2, 24, 0, 0), "101", "Anna Berg",
     "Mottaget tisdag den tjugofjärde februari klockan noll från Anna Berg, nummer ett noll ett.",
     "Received on Tuesday the twenty-fourth of February at midnight from Anna Berg, number one"
     " zero one.",
     "Saapunut tiistaina kahdentenakymmenentenäneljäntenä helmikuuta kello nolla, soittaja"
     " Anna Berg, numero yksi nolla yksi."),
    (datetime(2026, 1, 2, 8), "anonymous", "Anna Berg",
     "Mottaget den andra januari klockan åtta från Anna Berg.",
     "Received on the second of January at eight a.m. from Anna Berg.",
     "Saapunut toisena tammikuuta kello kahdeksan, soittaja Anna Berg."),
])
def test_message_headings(when: datetime, number: str | None, name: str | None, sv: str, en: str,
                          fi: str) -> None:
    """When, and from whom as far as that is known."""
    assert [words.message_heading(when, NOW, number, name, language)
            for language in ("sv", "en", "fi")] == [sv, en, fi]


@pytest.mark.parametrize(("name", "activity", "end", "sv", "en", "fi"), [
    ("Anna Berg", "meeting", BACK,
     "Anna Berg är på möte, åter klockan femton och trettio.",
     "Anna Berg is in a meeting, back at three thirty p.m.",
     "Anna Berg on kokouksessa ja palaa kello viisitoista kolmekymmentä."),
    ("Anna Berg", "lunch", None, "Anna Berg är på lunch.", "Anna Berg is at lunch.",
     "Anna Berg on lounaalla."),
    (None, "vacation", datetime(2026, 3, 2),
     "Den du söker har semester, åter på måndag den andra mars.",
     "The person you are calling is on holiday, back on Monday the second of March.",
     "Henkilö, jota tavoittelette, on lomalla ja palaa maanantaina toisena maaliskuuta."),
    ("Anna Berg", "Parental leave", NOW, "Anna Berg är föräldraledig.",
     "Anna Berg is on parental leave.", "Anna Berg on vanhempainvapaalla."),
    ("Anna Berg", "gone for today", datetime(2026, 2, 28, 8),
     "Anna Berg har gått för dagen, åter i morgon klockan åtta.",
     "Anna Berg has left for the day, back tomorrow at eight a.m.",
     "Anna Berg on lähtenyt tältä päivältä ja palaa huomenna kello kahdeksan."),
    ("Anna Berg", "remote", BACK, "Anna Berg arbetar på distans.",
     "Anna Berg is working remotely.", "Anna Berg on etätöissä."),
    ("Anna Berg", "Mässan 2026.", BACK,
     "Anna Berg har hänvisat sin telefon: Mässan tvåtusentjugosex, åter klockan femton och"
     " trettio.",
     "Anna Berg has left the notice: Mässan two thousand and twenty-six, back at three thirty"
     " p.m.",
     "Anna Berg ei ole nyt tavoitettavissa: Mässan kaksituhattakaksikymmentäkuusi, takaisin kello"
     " viisitoista kolmekymmentä."),
    (" ", "  ", None, "Den du söker är upptagen.", "The person you are calling is busy.",
     "Henkilö, jota tavoittelette, on varattu."),
])
def test_away(name: str | None, activity: str, end: datetime | None, sv: str, en: str,
              fi: str) -> None:
    """The spoken referral."""
    assert [words.away(name, activity, end, NOW, language) for language in ("sv", "en", "fi")] == [
        sv, en, fi]


def test_presence() -> None:
    """What is said to the one who sets it."""
    assert words.presence_now("meeting", BACK, NOW, "sv") == (
        "Du är nu på möte, åter klockan femton och trettio.")
    assert words.presence_now("Meeting", BACK, NOW, "en") == (
        "You are now in a meeting, back at three thirty p.m.")
    assert words.presence_now("sick", None, NOW, "fi") == "Olet nyt sairaana."
    assert words.presence_now("Kundbesök", BACK, NOW, "sv") == (
        "Din hänvisning är nu: Kundbesök, åter klockan femton och trettio.")
    assert words.presence_now("available", BACK, NOW, "sv") == "Du är nu tillgänglig."
    assert words.activity_name("travelling", "fi") == "matkoilla"
    assert words.activity_name("Rum 12", "sv") == "Rum tolv"


# -- fixed sentences ---------------------------------------------------------------------------

def test_phrases_with_values() -> None:
    """Keys, numbers and slots become words, whether they come as text or as numbers."""
    assert words.phrase("parked", "sv", slot=701) == "Samtalet är parkerat på sju noll ett."
    assert words.phrase("forward_set", "sv", number="0701234567") == (
        "Dina samtal kopplas till noll sju noll, ett två tre, fyra fem, sex sju.")
    assert words.phrase("forward_set", "en", number="the voicemail") == (
        "Your calls are forwarded to the voicemail.")
    assert words.phrase("choice_attendant", "sv", key="0") == (
        "Tryck noll för att komma till växeln.")
    assert words.phrase("choice_attendant", "fi", key="*") == (
        "Jos haluatte vaihteeseen, painakaa tähteä.")
    assert words.phrase("presence_choice", "sv", key=3, activity="på möte") == (
        "På möte, tryck tre.")
    assert words.phrase("presence_choice", "en", key="#", activity="busy") == "Busy, press hash."
    assert words.phrase("mailbox_greeting", "sv", name="Anna Berg") == (
        "Du har kommit till röstbrevlådan för Anna Berg. Tala in ditt meddelande efter tonen.")
    said = words.until(BACK, NOW, "en")
    assert words.phrase("presence_set", "en", activity="busy", until=said) == (
        "You are now busy, back at three thirty p.m.")
    assert words.phrase("presence_set", "en", activity="busy", until="") == "You are now busy."
    assert words.phrase("busy_wait_offer", "sv") == (
        "Den du söker är upptagen. Tryck ett för att vänta, två för att bli uppringd, eller lägg"
        " på.")


def test_referral_choices() -> None:
    """Only those that there are."""
    assert words.referral_choices("sv", voicemail="1", attendant="0") == (
        "Tryck ett för att lämna ett meddelande. Tryck noll för att komma till växeln.")
    assert words.referral_choices("en", colleague="2") == "Press two to speak to a colleague."
    assert words.referral_choices("fi") == ""


def fields(template: str) -> set[str]:
    """The placeholders of a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_languages_have_the_same_tables() -> None:
    """Keys, placeholders, activities; and nothing in them that would be read wrongly."""
    tables = [words.sv.LANGUAGE, words.en.LANGUAGE, words.fi.LANGUAGE]
    first = tables[0]
    for table in tables:
        assert list(table.phrases) == list(first.phrases)
        assert list(table.activities) == list(first.activities)
        assert table.keys.keys() == first.keys.keys() and table.signs.keys() == first.signs.keys()
        for key, template in table.phrases.items():
            assert fields(template) == fields(first.phrases[key]), key
            assert speakable(re.sub(r"\{\w+\}", "x", template)), key
            assert template.endswith("."), key
        for name in table._fields:
            if isinstance(text := getattr(table, name), str):
                assert fields(text) == fields(getattr(first, name)), name
        assert set(table.does) <= set(table.activities)


NEEDED = (
    "not_understood no_input goodbye please_wait closed busy_wait_offer will_call_back camped "
    "transfer_failed transferring parked nothing_parked nobody_rings joined left conference_full "
    "recording_on recording_off recording_paused recording_resumed choice_voicemail "
    "choice_colleague choice_attendant mailbox_greeting mailbox_greeting_unnamed mailbox_full "
    "message_saved_short message_too_short ask_extension ask_pin wrong_pin pin_locked "
    "mailbox_menu message_menu "
    "message_deleted message_saved no_more_messages greeting_menu record_after_tone recorded_menu "
    "prompt_saved presence_menu presence_choice presence_set presence_available presence_ask_end "
    "bad_time forward_set forward_off code_unknown not_allowed callback_ask_number "
    "callback_confirm callback_saved menu_prompt_missing exchange_fault")


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_phrase_can_be_said(language: str) -> None:
    """Also with digits and marks in every value."""
    values = dict.fromkeys(("key", "number", "slot", "name", "activity", "until"), "7 [[a]] <b> 12")
    phrases = words.sv.LANGUAGE.phrases
    assert set(NEEDED.split()) <= set(phrases)
    assert set().union(*map(fields, phrases.values())) <= set(values)
    for key in phrases:
        assert speakable(words.phrase(key, language, **values)), key


# -- refusals and properties -------------------------------------------------------------------

@pytest.mark.parametrize("call", [
    lambda: words.number(1, "de"), lambda: words.ordinal(1, ""), lambda: words.digits("1", "SV"),
    lambda: words.time_of_day(time(), "no"), lambda: words.date_words(TODAY, TODAY, "no"),
    lambda: words.until(None, NOW, "no"), lambda: words.duration(0, "no"),
    lambda: words.messages(0, 0, "no"), lambda: words.away(None, "busy", None, NOW, "no"),
    lambda: words.message_heading(NOW, NOW, None, None, "no"),
    lambda: words.phrase("goodbye", "no"), lambda: words.activity_name("busy", "no"),
    lambda: words.referral_choices("no"), lambda: words.presence_now("busy", None, NOW, "no"),
    lambda: words.phrase("no such", "sv"), lambda: words.phrase("parked", "sv"),
    lambda: words.number(BIG + 1, "sv"), lambda: words.number(-BIG - 1, "sv"),
    lambda: words.ordinal(0, "sv"), lambda: words.ordinal(1000, "sv"),
])
def test_refused(call: Any) -> None:
    """A language, a phrase or a number that there is not."""
    with pytest.raises(ValueError):
        call()


@given(st.integers(-BIG, BIG), st.integers(-BIG, BIG), LANGUAGE, st.sampled_from(["en", "ett"]))
def test_any_number(one: int, other: int, language: str, gender: Any) -> None:
    """Every number has words, and its own."""
    said = words.number(one, language, gender=gender)
    assert said and speakable(said)
    assert (said == words.number(other, language, gender=gender)) == (one == other)


@given(st.text(), LANGUAGE)
def test_any_digits(text: str, language: str) -> None:
    """As many words as there are digits, in groups of three at most."""
    said = words.digits(text, language)
    assert speakable(said)
    count = sum(sign.isdigit() for sign in text)
    spoken = [group.split() for group in said.split(", ") if group]
    assert sum(map(len, spoken)) >= count
    assert all(len(group) <= 4 for group in spoken)


@given(st.datetimes(), st.datetimes(), LANGUAGE)
def test_any_moment(one: datetime, other: datetime, language: str) -> None:
    """Every pair of dates and times."""
    for said in (words.until(one, other, language),
                 words.date_words(one.date(), other.date(), language),
                 words.time_of_day(one.time(), language)):
        assert speakable(said)
    assert bool(words.until(one, other, language)) == (one > other)


@given(st.integers(0, 10**12), LANGUAGE)
def test_any_duration(seconds: int, language: str) -> None:
    """One or two units."""
    said = words.duration(seconds, language)
    joint = {"sv": " och ", "en": " and ", "fi": " ja "}[language]
    assert speakable(said)
    if language != "en":  # whose numbers have an "and" of their own
        assert said.count(joint) <= 1


@given(st.none() | st.text(), st.sampled_from(words.ACTIVITIES) | st.text(),
       st.none() | st.datetimes(), st.datetimes(), LANGUAGE)
def test_any_person(name: str | None, activity: str, end: datetime | None, now: datetime,
                    language: str) -> None:
    """Whatever a company calls its people and what they do."""
    assert speakable(words.away(name, activity, end, now, language))
    assert speakable(words.presence_now(activity, end, now, language))
    assert speakable(words.activity_name(activity, language))
    assert speakable(words.message_heading(now, end or now, activity, name, language))


@given(st.integers(0, 10**6), st.integers(0, 10**6), LANGUAGE)
def test_any_mailbox(new: int, saved: int, language: str) -> None:
    """Any count of messages."""
    assert speakable(words.messages(new, saved, language))


@given(st.sampled_from(sorted(words.sv.LANGUAGE.phrases)), LANGUAGE, st.text(),
       st.text() | st.integers(-BIG, BIG))
def test_any_phrase(key: str, language: str, name: str, value: str | int) -> None:
    """Any value in any place."""
    assert speakable(words.phrase(key, language, key=value, number=value, slot=value, name=name,
                                  activity=name, until=name))
