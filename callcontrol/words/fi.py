"""Finnish. Numbers below a million are one word; days are in the essive, which answers "when".

Names are never inflected: sentences are built so that they stand in the nominative.
"""

from datetime import date
from typing import Final

from callcontrol.words.language import Language

_ONES: Final = ("nolla", "yksi", "kaksi", "kolme", "neljä", "viisi", "kuusi", "seitsemän",
                "kahdeksan", "yhdeksän")
_LARGE: Final = ((10**9, "miljardi", "miljardia"), (10**6, "miljoona", "miljoonaa"))
#: Ordinals in the nominative and the essive: 1 and 2 alone, and the stems from which all are made.
_FIRST: Final = ({1: "ensimmäinen", 2: "toinen"}, {1: "ensimmäisenä", 2: "toisena"})
_STEMS: Final = (
    ("", "yhdes", "kahdes", "kolmas", "neljäs", "viides", "kuudes", "seitsemäs", "kahdeksas",
     "yhdeksäs"),
    ("", "yhdentenä", "kahdentena", "kolmantena", "neljäntenä", "viidentenä", "kuudentena",
     "seitsemäntenä", "kahdeksantena", "yhdeksäntenä"))
_TENTH: Final = ("kymmenes", "kymmenentenä")
_HUNDREDTH: Final = ("sadas", "sadantena")
_WEEKDAYS: Final = ("maanantaina", "tiistaina", "keskiviikkona", "torstaina", "perjantaina",
                    "lauantaina", "sunnuntaina")
_MONTHS: Final = ("tammi", "helmi", "maalis", "huhti", "touko", "kesä", "heinä", "elo", "syys",
                  "loka", "marras", "joulu")


def _cardinal(value: int, _common: bool) -> str:
    parts = []
    for size, one, several in _LARGE:
        count, value = divmod(value, size)
        if count:
            parts.append(one if count == 1 else f"{_below_million(count)} {several}")
    if value or not parts:
        parts.append(_below_million(value))
    return " ".join(parts)


def _below_million(value: int) -> str:
    thousands, rest = divmod(value, 1000)
    if not thousands:
        return _below_thousand(rest)
    said = "tuhat" if thousands == 1 else _below_thousand(thousands) + "tuhatta"
    return said + (_below_thousand(rest) if rest else "")


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    said = "" if not hundreds else "sata" if hundreds == 1 else f"{_ONES[hundreds]}sataa"
    if 10 < rest < 20:
        return f"{said}{_ONES[rest - 10]}toista"
    tens, ones = divmod(rest, 10)
    if tens:
        said += "kymmenen" if tens == 1 else f"{_ONES[tens]}kymmentä"
    return said + _ONES[ones] if ones or not said else said


def _ordinal(value: int) -> str:
    return _ordinal_in(0, value)


def _ordinal_in(case: int, value: int) -> str:
    """Every part is inflected, except the end of 11 to 19."""
    stems = _STEMS[case]
    hundreds, rest = divmod(value, 100)
    said = "" if not hundreds else (stems[hundreds] if hundreds > 1 else "") + _HUNDREDTH[case]
    if 10 < rest < 20:
        return f"{said}{stems[rest - 10]}toista"
    tens, ones = divmod(rest, 10)
    if tens:
        said += (stems[tens] if tens > 1 else "") + _TENTH[case]
    return said + _FIRST[case].get(ones, stems[ones])


def _clock(hour: int, minute: int) -> str:
    said = f"kello {_below_thousand(hour)}"
    if not minute:
        return said
    return f"{said} {'nolla ' if minute < 10 else ''}{_below_thousand(minute)}"


def _day(on: date, weekday: bool, year: bool) -> str:
    said = f"{_ordinal_in(1, on.day)} {_MONTHS[on.month - 1]}kuuta"
    if weekday:
        said = f"{_WEEKDAYS[on.weekday()]} {said}"
    return f"{said} vuonna {_cardinal(on.year, False)}" if year else said


def _messages(new: int, saved: int) -> str:
    if not new and not saved:
        return "Sinulla ei ole viestejä."
    kept = f"{_cardinal(saved, False)} " + (
        "tallennettu viesti" if saved == 1 else "tallennettua viestiä")
    if not new:
        return f"Sinulla ei ole uusia viestejä, mutta sinulla on {kept}."
    said = f"{_cardinal(new, False)} " + ("uusi viesti" if new == 1 else "uutta viestiä")
    return f"Sinulla on {said} ja {kept}." if saved else f"Sinulla on {said}."


PHRASES: Final = {
    # -- any service
    "not_understood": "Valintaa ei tunnistettu.",
    "no_input": "Valintaa ei ole tehty.",
    "goodbye": "Kiitos soitosta. Kuulemiin.",
    "please_wait": "Odottakaa hetki.",
    "code_unknown": "Koodi ei ole käytössä.",
    "not_allowed": "Sinulla ei ole oikeutta käyttää tätä palvelua.",
    "menu_prompt_missing": "Tälle valikolle ei ole äänitettä.",
    "exchange_fault": "On tapahtunut tekninen virhe. Yrittäkää hetken kuluttua uudelleen.",
    # -- calls
    "closed": "Palvelumme on nyt suljettu. Soittakaa uudelleen palveluaikanamme.",
    "busy_wait_offer": "Henkilö, jota tavoittelette, puhuu toista puhelua. Jos haluatte odottaa,"
                       " painakaa yksi. Jos haluatte, että teille soitetaan takaisin, painakaa"
                       " kaksi. Muussa tapauksessa sulkekaa puhelin.",
    "will_call_back": "Teille soitetaan takaisin heti, kun henkilö on vapaa.",
    "camped": "Odotamme, kunnes henkilö on vapaa.",
    "transferring": "Puhelu yhdistetään.",
    "transfer_failed": "Puhelua ei voitu yhdistää.",
    "parked": "Puhelu on pysäköity paikkaan {slot}.",
    "nothing_parked": "Paikassa ei ole pysäköityä puhelua.",
    "nobody_rings": "Poimittavaa puhelua ei ole.",
    "joined": "Osallistuja on liittynyt.",
    "left": "Osallistuja on poistunut neuvottelusta.",
    "conference_full": "Neuvottelu on täynnä.",
    "recording_on": "Puhelu nauhoitetaan.",
    "recording_off": "Nauhoitus on päättynyt.",
    "recording_paused": "Nauhoitus on keskeytetty.",
    "recording_resumed": "Nauhoitus jatkuu.",
    "forward_set": "Puhelusi siirretään numeroon {number}.",
    "forward_off": "Soitonsiirto on poistettu käytöstä.",
    # -- what a caller may choose
    "choice_voicemail": "Jos haluatte jättää viestin, painakaa {key}.",
    "choice_colleague": "Jos haluatte puhua kollegan kanssa, painakaa {key}.",
    "choice_attendant": "Jos haluatte vaihteeseen, painakaa {key}.",
    "callback_ask_number": "Näppäilkää numero, johon soitamme, ja painakaa lopuksi ruutua.",
    "callback_confirm": "Soitamme numeroon {number}. Vahvistakaa painamalla yksi tai muuttakaa"
                        " numeroa painamalla kaksi.",
    "callback_saved": "Kiitos. Soitamme teille takaisin.",
    # -- a queue, to those who wait
    "queue_welcome": "Tervetuloa. Puhelunne on nyt jonossa.",
    "queue_wait": "Kaikki asiakaspalvelijamme ovat varattuja. Pysykää linjalla, niin puheluunne"
                  " vastataan saapumisjärjestyksessä.",
    "queue_closed": "Palvelumme on nyt suljettu. Soittakaa myöhemmin uudelleen.",
    "queue_closed_night": "Palvelumme on suljettu. Soittakaa uudelleen palveluaikanamme.",
    "queue_no_agents": "Puheluunne ei voida nyt vastata. Soittakaa myöhemmin uudelleen.",
    "queue_rush": "Linjamme ovat ruuhkautuneet, ja jono on täynnä. Soittakaa myöhemmin uudelleen.",
    "queue_back": "Olette taas omalla paikallanne jonossa.",
    "queue_callback_offer": "Jos haluatte säilyttää paikkanne jonossa ja saada takaisinsoiton,"
                            " painakaa {key}.",
    "queue_callback_confirm_number": "Soitamme numeroon {number}. Hyväksykää painamalla yksi tai"
                                     " antakaa toinen numero painamalla kaksi.",
    "queue_callback_ask_number": "Näppäilkää numero, johon soitamme, ja painakaa lopuksi ruutua.",
    "queue_callback_saved": "Kiitos. Säilytätte paikkanne jonossa, ja soitamme teille takaisin."
                            " Voitte nyt sulkea puhelimen.",
    "queue_callback_exists": "Tähän numeroon on jo tilattu takaisinsoitto. Soitamme teille.",
    "queue_callback_hello": "Hei, täällä {name}. Pyysitte meitä soittamaan. Painakaa yksi, niin"
                            " yhdistämme puhelun.",
    # -- a queue, to its agents
    "queue_callback_whisper": "Takaisinsoitto jonosta {name} numeroon {number}. Soita painamalla"
                              " yksi tai kieltäydy painamalla kaksi.",
    "queue_missed_out": "Sinut on kirjattu ulos jonosta {name}, koska et vastannut.",
    "queue_missed_pause": "Sinut on asetettu tauolle, koska et vastannut.",
    "agent_menu": "Kirjaudu sisään painamalla yksi, kirjaudu ulos painamalla kaksi, aloita tauko"
                  " painamalla kolme, lopeta tauko painamalla neljä, päätä jälkityö painamalla"
                  " viisi. Kuuntele tilasi painamalla nolla.",
    "agent_logged_out": "Olet kirjautunut ulos.",
    "agent_resumed": "Tauko on päättynyt. Voit taas saada puheluita.",
    "agent_wrap_up_ended": "Jälkityö on päättynyt.",
    "agent_no_licence": "Et voi kirjautua sisään, koska kaikki agenttilisenssit ovat käytössä.",
    "agent_not_member": "Et ole minkään jonon jäsen.",
    # -- voicemail
    "mailbox_greeting": "Olette soittaneet vastaajaan: {name}. Jättäkää viesti äänimerkin jälkeen.",
    "mailbox_greeting_unnamed": "Olette soittaneet vastaajaan. Jättäkää viesti äänimerkin jälkeen.",
    "mailbox_full": "Vastaaja on täynnä, eikä siihen voi jättää uusia viestejä.",
    "message_saved_short": "Kiitos. Viestinne on tallennettu.",
    "message_too_short": "Viesti oli liian lyhyt, eikä sitä tallennettu.",
    "ask_extension": "Näppäile alanumerosi ja paina lopuksi ruutua.",
    "ask_pin": "Näppäile tunnuslukusi ja paina lopuksi ruutua.",
    "wrong_pin": "Tunnusluku on väärä. Yritä uudelleen.",
    "pin_locked": "Tunnusluku on lukittu liian monen yrityksen jälkeen. Ota yhteyttä"
                  " pääkäyttäjään.",
    "mailbox_menu": "Kuuntele uudet viestit painamalla yksi, tallennetut viestit painamalla kaksi."
                    " Tervehdykseen pääset painamalla kolme. Palaa takaisin"
                    " painamalla tähteä.",
    "message_menu": "Kuuntele viesti uudelleen painamalla yksi, tallenna painamalla kaksi, poista"
                    " painamalla kolme, soita takaisin painamalla neljä. Seuraavaan viestiin"
                    " pääset painamalla ruutua, edelliseen painamalla tähteä.",
    "message_menu_forward": "Välitä viesti eteenpäin painamalla viisi.",
    "message_deleted": "Viesti on poistettu.",
    "message_saved": "Viesti on tallennettu.",
    "no_more_messages": "Viestejä ei ole enempää.",
    "greeting_menu": "Kuuntele tervehdyksesi painamalla yksi, äänitä uusi painamalla kaksi, ota"
                     " vakiotervehdys käyttöön painamalla kolme. Palaa takaisin painamalla tähteä.",
    "record_after_tone": "Puhu äänimerkin jälkeen ja paina lopuksi ruutua.",
    "recorded_menu": "Kuuntele painamalla yksi, tallenna painamalla kaksi, äänitä uudelleen"
                     " painamalla kolme. Peruuta painamalla tähteä.",
    "prompt_saved": "Äänite on tallennettu.",
    # -- presence
    "presence_menu": "Valitse läsnäolotieto.",
    "presence_choice": "{activity}, paina {key}.",
    "presence_set": "Olet nyt {activity}{until}.",
    "presence_set_other": "Läsnäolotietosi on nyt: {activity}{until}.",
    "presence_available": "Olet nyt tavoitettavissa.",
    "presence_ask_end": "Näppäile päättymisaika neljällä numerolla: tunnit ja minuutit tai kuukausi"
                        " ja päivä. Jos päättymisaikaa ei ole, paina ruutua.",
    "presence_ask_time": "Näppäile päättymisaika neljällä numerolla: tunnit ja minuutit. Jos"
                         " päättymisaikaa ei ole, paina ruutua.",
    "presence_ask_date": "Näppäile päättymispäivä neljällä numerolla: kuukausi ja päivä. Jos"
                         " päättymispäivää ei ole, paina ruutua.",
    "bad_time": "Aikaa ei tunnistettu. Yritä uudelleen.",
}

LANGUAGE: Final = Language(
    digits=_ONES,
    keys={"*": "tähteä", "#": "ruutua"},
    signs={"+": "plus", "*": "tähti", "#": "ruutu"},
    minus="miinus",
    cardinal=_cardinal,
    ordinal=_ordinal,
    clock=_clock,
    before_clock="",
    day=_day,
    before_weekday="",
    before_date="",
    before_past="",
    near={-1: "eilen", 0: "tänään", 1: "huomenna"},
    units=(("päivä", "päivää"), ("tunti", "tuntia"), ("minuutti", "minuuttia"),
           ("sekunti", "sekuntia")),
    and_=" ja ",
    messages=_messages,
    back="takaisin {when}",
    away_back=" ja palaa {when}",
    is_="on",
    does={},
    away_other="{who} ei ole nyt tavoitettavissa: {activity}{back}.",
    nobody="henkilö, jota tavoittelette,",
    about_clock="noin ",
    queue_first="Olette jonossa ensimmäisenä.",
    queue_position="Olette jonossa sijalla {position}.",
    estimate_soon="Odotusaika on alle minuutin.",
    estimate_most="Odotusaika on enintään {high}.",
    estimate_about="Odotusaika on noin {high}.",
    estimate_between="Odotusaika on vähintään {low} ja enintään {high}.",
    queue_callback_offer_planned="Jos haluatte, että soitamme teille {when}, painakaa {key}.",
    queue_callback_planned="Kiitos. Soitamme teille {when}.",
    agent_logged_in="Olet kirjautunut sisään. Sinulla on {queues}.",
    queues=("jono", "jonoa"),
    agent_states={
        "free": "Olet vapaana puheluille.", "offered": "Sinulle soitetaan parhaillaan.",
        "talking": "Olet puhelussa.", "wrap_up": "Teet jälkityötä.",
        "rest": "Sinulla on lyhyt lepohetki puheluiden välillä.",
    },
    agent_paused="Olet tauolla.",
    agent_paused_for="Olet tauolla: {reason}.",
    pauses={"break": "tauko", "lunch": "lounas", "meeting": "kokous", "training": "koulutus"},
    waiting=("Yhtään puhelua ei ole jonossa.", "Yksi puhelu odottaa.", "{count} puhelua odottaa."),
    heading="Saapunut {when}{caller}.",
    from_both=", soittaja {name}, numero {number}",
    from_name=", soittaja {name}",
    from_number=" numerosta {number}",
    from_hidden=" salaisesta numerosta",
    activities={
        "available": "tavoitettavissa", "office": "toimistolla", "remote": "etätöissä",
        "busy": "varattu", "lunch": "lounaalla", "meeting": "kokouksessa", "off": "vapaalla",
        "vacation": "lomalla", "sick": "sairaana", "travel": "matkoilla",
        "parental": "vanhempainvapaalla", "training": "koulutuksessa",
        "gone": "lähtenyt tältä päivältä", "working": "töissä",
        "mobile": "tavoitettavissa matkapuhelimesta",
    },
    phrases=PHRASES,
)
