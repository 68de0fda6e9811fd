"""Swedish. Numbers below a million are one word, as Svenska skrivregler has it."""

from datetime import date
from typing import Final

from callcontrol.words.language import Language

_ONES: Final = (
    "noll", "ett", "två", "tre", "fyra", "fem", "sex", "sju", "åtta", "nio", "tio", "elva", "tolv",
    "tretton", "fjorton", "femton", "sexton", "sjutton", "arton", "nitton")
_TENS: Final = ("", "", "tjugo", "trettio", "fyrtio", "femtio", "sextio", "sjuttio", "åttio",
                "nittio")
_ORDINALS: Final = (
    "", "första", "andra", "tredje", "fjärde", "femte", "sjätte", "sjunde", "åttonde", "nionde",
    "tionde", "elfte", "tolfte", "trettonde", "fjortonde", "femtonde", "sextonde", "sjuttonde",
    "artonde", "nittonde")
_LARGE: Final = ((10**9, "miljard", "miljarder"), (10**6, "miljon", "miljoner"))
_WEEKDAYS: Final = ("måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag", "söndag")
_MONTHS: Final = ("januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti",
                  "september", "oktober", "november", "december")


def _cardinal(value: int, common: bool) -> str:
    parts = []
    for size, one, several in _LARGE:
        count, value = divmod(value, size)
        if count:
            parts.append(f"{_below_million(count, True)} {one if count == 1 else several}")
    if value or not parts:
        parts.append(_below_million(value, common))
    return " ".join(parts)


def _below_million(value: int, common: bool) -> str:
    thousands, rest = divmod(value, 1000)
    if not thousands:
        return _below_thousand(rest, common)
    # Three equal consonants are written as two: ett + tusen.
    said = (_below_thousand(thousands, False) + "tusen").replace("ttt", "tt")
    return said + (_below_thousand(rest, common) if rest else "")


def _below_thousand(value: int, common: bool) -> str:
    hundreds, rest = divmod(value, 100)
    said = _ONES[hundreds] + "hundra" if hundreds else ""
    if rest >= len(_ONES):
        said += _TENS[rest // 10]
        rest %= 10
    if rest == 1 and common:
        return said + "en"
    return said + _ONES[rest] if rest or not said else said


def _ordinal(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    said = (_ONES[hundreds] if hundreds > 1 else "") + "hundra" if hundreds else ""
    if not rest:
        return said + "de"
    if rest < len(_ORDINALS):
        return said + _ORDINALS[rest]
    return said + _TENS[rest // 10] + (_ORDINALS[rest % 10] if rest % 10 else "nde")


def _year(year: int) -> str:
    """1998 is nineteen hundred, 2026 twenty hundred, and 2005 two thousand."""
    if year % 1000 < 10 or year < 1000:
        return _cardinal(year, False)
    hundreds, rest = divmod(year, 100)
    return _below_thousand(hundreds, False) + "hundra" + (
        _below_thousand(rest, False) if rest else "")


def _clock(hour: int, minute: int) -> str:
    said = f"klockan {_cardinal(hour, False)}"
    return f"{said} och {_cardinal(minute, False)}" if minute else said


def _day(on: date, weekday: bool, year: bool) -> str:
    said = f"den {_ordinal(on.day)} {_MONTHS[on.month - 1]}"
    if weekday:
        said = f"{_WEEKDAYS[on.weekday()]} {said}"
    return f"{said} {_year(on.year)}" if year else said


def _messages(new: int, saved: int) -> str:
    if not new and not saved:
        return "Du har inga meddelanden."
    said = "inga nya meddelanden"
    if new:
        said = f"{_cardinal(new, False)} " + (
            "nytt meddelande" if new == 1 else "nya meddelanden")
    if saved:
        said += f" och {_cardinal(saved, False)} " + ("sparat" if saved == 1 else "sparade")
    return f"Du har {said}."


PHRASES: Final = {
    # -- any service
    "not_understood": "Valet kunde inte tolkas. Försök igen.",
    "no_input": "Du har inte gjort något val.",
    "goodbye": "Tack för samtalet. Hej då.",
    "please_wait": "Var god vänta.",
    "code_unknown": "Koden finns inte.",
    "not_allowed": "Du har inte behörighet till den här tjänsten.",
    "menu_prompt_missing": "Det finns ingen inspelning till den här menyn.",
    "exchange_fault": "Ett tekniskt fel har uppstått. Försök igen om en stund.",
    # -- calls
    "closed": "Vi har stängt just nu. Välkommen att ringa igen under våra öppettider.",
    "busy_wait_offer": "Den du söker är upptagen. Tryck ett för att vänta, två för att bli"
                       " uppringd, eller lägg på.",
    "will_call_back": "Du blir uppringd så snart personen är ledig.",
    "camped": "Vi väntar tills personen är ledig.",
    "transferring": "Samtalet kopplas.",
    "transfer_failed": "Samtalet kunde inte kopplas.",
    "parked": "Samtalet är parkerat på {slot}.",
    "nothing_parked": "Det finns inget parkerat samtal där.",
    "nobody_rings": "Det finns inget samtal att hämta.",
    "joined": "En deltagare har anslutit sig.",
    "left": "En deltagare har lämnat konferensen.",
    "conference_full": "Konferensen är full.",
    "recording_on": "Samtalet spelas in.",
    "recording_off": "Inspelningen är avslutad.",
    "recording_paused": "Inspelningen är pausad.",
    "recording_resumed": "Inspelningen fortsätter.",
    "forward_set": "Dina samtal kopplas till {number}.",
    "forward_off": "Vidarekopplingen är avstängd.",
    # -- what a caller may choose
    "choice_voicemail": "Tryck {key} för att lämna ett meddelande.",
    "choice_colleague": "Tryck {key} för att tala med en kollega.",
    "choice_attendant": "Tryck {key} för att komma till växeln.",
    "callback_ask_number": "Ange numret som vi ska ringa, och avsluta med fyrkant.",
    "callback_confirm": "Vi ringer {number}. Tryck ett för att bekräfta eller två för att ändra.",
    "callback_saved": "Tack. Vi ringer upp dig.",
    # -- a queue, to those who wait
    "queue_welcome": "Välkommen. Du är nu placerad i kö.",
    "queue_wait": "Alla våra medarbetare är upptagna just nu. Vänta kvar, så besvaras samtalet i"
                  " turordning.",
    "queue_closed": "Vi har stängt just nu. Välkommen att ringa igen senare.",
    "queue_closed_night": "Vi har stängt. Välkommen att ringa igen under våra öppettider.",
    "queue_no_agents": "Ingen kan svara just nu. Välkommen att ringa igen senare.",
    "queue_rush": "Många ringer just nu, och kön är full. Välkommen att ringa igen senare.",
    "queue_back": "Du är tillbaka på din plats i kön.",
    "queue_callback_offer": "Tryck {key} för att behålla din plats och bli uppringd.",
    "queue_callback_confirm_number": "Vi ringer dig på {number}. Tryck ett för att godkänna eller"
                                     " två för att ange ett annat nummer.",
    "queue_callback_ask_number": "Ange numret som vi ska ringa, och avsluta med fyrkant.",
    "queue_callback_saved": "Tack. Du behåller din plats i kön, och vi ringer upp dig. Du kan"
                            " lägga på nu.",
    "queue_callback_exists": "Det finns redan en återuppringning beställd till numret. Vi ringer"
                             " upp dig.",
    "queue_callback_hello": "Hej, det är {name}. Du bad oss att ringa. Tryck ett för att bli"
                            " kopplad.",
    # -- a queue, to its agents
    "queue_callback_whisper": "Återuppringning från kön {name} till nummer {number}. Tryck ett för"
                              " att ringa upp eller två för att avstå.",
    "queue_missed_out": "Du har loggats ut ur kön {name} eftersom du inte svarade.",
    "queue_missed_pause": "Du har satts i paus eftersom du inte svarade.",
    "agent_menu": "Tryck ett för att logga in, två för att logga ut, tre för paus, fyra för att"
                  " fortsätta, fem för att avsluta efterarbetet eller noll för att höra ditt"
                  " läge.",
    "agent_logged_out": "Du är utloggad.",
    "agent_resumed": "Pausen är slut. Du kan få samtal igen.",
    "agent_wrap_up_ended": "Efterarbetet är avslutat.",
    "agent_no_licence": "Du kan inte logga in, eftersom alla agentlicenser är upptagna.",
    "agent_not_member": "Du är inte med i någon kö.",
    # -- voicemail
    "mailbox_greeting": "Du har kommit till röstbrevlådan för {name}. Tala in ditt meddelande"
                        " efter tonen.",
    "mailbox_greeting_unnamed": "Du har kommit till en röstbrevlåda. Tala in ditt meddelande"
                                " efter tonen.",
    "mailbox_full": "Röstbrevlådan är full och kan inte ta emot fler meddelanden.",
    "message_saved_short": "Tack. Ditt meddelande är sparat.",
    "message_too_short": "Meddelandet var för kort och har inte sparats.",
    "ask_extension": "Ange ditt anknytningsnummer, och avsluta med fyrkant.",
    "ask_pin": "Ange din pinkod, och avsluta med fyrkant.",
    "wrong_pin": "Pinkoden är fel. Försök igen.",
    "pin_locked": "Pinkoden är spärrad efter för många försök. Kontakta din administratör.",
    "mailbox_menu": "Tryck ett för nya meddelanden, två för sparade meddelanden, tre för din"
                    " hälsning eller stjärna för att gå tillbaka.",
    "message_menu": "Tryck ett för att höra meddelandet igen, två för att spara det, tre för att"
                    " radera det, fyra för att ringa upp, fyrkant för nästa meddelande eller"
                    " stjärna för det föregående.",
    "message_menu_forward": "Tryck fem för att skicka meddelandet vidare.",
    "message_deleted": "Meddelandet är raderat.",
    "message_saved": "Meddelandet är sparat.",
    "no_more_messages": "Det finns inga fler meddelanden.",
    "greeting_menu": "Tryck ett för att höra din hälsning, två för att spela in en ny, tre för att"
                     " använda standardhälsningen eller stjärna för att gå tillbaka.",
    "record_after_tone": "Tala efter tonen och avsluta med fyrkant.",
    "recorded_menu": "Tryck ett för att lyssna, två för att spara, tre för att spela in igen eller"
                     " stjärna för att avbryta.",
    "prompt_saved": "Inspelningen är sparad.",
    # -- presence
    "presence_menu": "Välj din hänvisning.",
    "presence_choice": "{activity}, tryck {key}.",
    "presence_set": "Du är nu {activity}{until}.",
    "presence_set_other": "Din hänvisning är nu: {activity}{until}.",
    "presence_available": "Du är nu tillgänglig.",
    "presence_ask_end": "Ange sluttid med fyra siffror: timmar och minuter, eller månad och dag."
                        " Tryck fyrkant för ingen sluttid.",
    "presence_ask_time": "Ange sluttid med fyra siffror: timmar och minuter. Tryck fyrkant för"
                         " ingen sluttid.",
    "presence_ask_date": "Ange slutdatum med fyra siffror: månad och dag. Tryck fyrkant för inget"
                         " slutdatum.",
    "bad_time": "Tiden kunde inte tolkas. Försök igen.",
}

LANGUAGE: Final = Language(
    digits=_ONES[:10],
    keys={"*": "stjärna", "#": "fyrkant"},
    signs={"+": "plus", "*": "stjärna", "#": "fyrkant"},
    minus="minus",
    cardinal=_cardinal,
    ordinal=_ordinal,
    clock=_clock,
    before_clock="",
    day=_day,
    before_weekday="på ",
    before_date="",
    before_past="",
    near={-1: "i går", 0: "i dag", 1: "i morgon"},
    units=(("dag", "dagar"), ("timme", "timmar"), ("minut", "minuter"), ("sekund", "sekunder")),
    and_=" och ",
    messages=_messages,
    back="åter {when}",
    away_back=", åter {when}",
    is_="är",
    does={"remote": "arbetar på distans", "vacation": "har semester", "gone": "har gått för dagen",
          "mobile": "nås på mobilen"},
    away_other="{who} har hänvisat sin telefon: {activity}{back}.",
    nobody="den du söker",
    about_clock="omkring ",
    queue_first="Du är först i kön.",
    queue_position="Du är nummer {position} i kön.",
    estimate_soon="Väntetiden är mindre än en minut.",
    estimate_most="Väntetiden är högst {high}.",
    estimate_about="Väntetiden är ungefär {high}.",
    estimate_between="Väntetiden är mellan {low} och {high}.",
    queue_callback_offer_planned="Tryck {key} för att bli uppringd {when}.",
    queue_callback_planned="Tack. Vi ringer dig {when}.",
    agent_logged_in="Du är inloggad i {queues}.",
    queues=("kö", "köer"),
    agent_states={
        "free": "Du är ledig för samtal.", "offered": "Ett samtal ringer hos dig.",
        "talking": "Du är i samtal.", "wrap_up": "Du har efterarbete.",
        "rest": "Du har en kort vila mellan samtalen.",
    },
    agent_paused="Du har paus.",
    agent_paused_for="Du har paus: {reason}.",
    pauses={"break": "rast", "lunch": "lunch", "meeting": "möte", "training": "utbildning"},
    waiting=("Inget samtal väntar.", "Ett samtal väntar.", "{count} samtal väntar."),
    heading="Mottaget {when} {caller}.",
    from_both="från {name}, nummer {number}",
    from_name="från {name}",
    from_number="från {number}",
    from_hidden="från dolt nummer",
    activities={
        "available": "tillgänglig", "office": "på kontoret", "remote": "på distans",
        "busy": "upptagen", "lunch": "på lunch", "meeting": "på möte", "off": "ledig",
        "vacation": "på semester", "sick": "sjuk", "travel": "på resa",
        "parental": "föräldraledig", "training": "på utbildning", "gone": "borta för dagen",
        "working": "i tjänst", "mobile": "på mobilen",
    },
    phrases=PHRASES,
)
