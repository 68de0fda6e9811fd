"""What is sent to somebody who signs in, in their language."""

from typing import Final, NamedTuple

from store.model import Account, Delivery


class Words(NamedTuple):
    """Of one language; {name}, {url}, {code}."""

    invitation: str
    invitation_body: str
    reset: str
    reset_body: str
    code: str


WORDS: Final = {
    "sv": Words(
        invitation="Välj ett lösenord",
        invitation_body="Hej {name}!\n\nDu har fått ett konto. Välj ett lösenord här, inom tre "
                        "dygn:\n{url}\n",
        reset="Nytt lösenord",
        reset_body="Hej {name}!\n\nVälj ett nytt lösenord här, inom en timme:\n{url}\n\nHar du "
                   "inte bett om det behöver du inte göra något.\n",
        code="{code} är din kod för att logga in. Ge den aldrig till någon."),
    "en": Words(
        invitation="Choose a password",
        invitation_body="Hello {name},\n\nYou have been given an account. Choose a password here, "
                        "within three days:\n{url}\n",
        reset="A new password",
        reset_body="Hello {name},\n\nChoose a new password here, within an hour:\n{url}\n\nIf you "
                   "did not ask for it, there is nothing to do.\n",
        code="{code} is your code to sign in. Never give it to anybody."),
    "fi": Words(
        invitation="Valitse salasana",
        invitation_body="Hei {name}!\n\nSinulle on luotu tili. Valitse salasana täällä kolmen "
                        "vuorokauden kuluessa:\n{url}\n",
        reset="Uusi salasana",
        reset_body="Hei {name}!\n\nValitse uusi salasana täällä tunnin kuluessa:\n{url}\n\nJos et "
                   "pyytänyt sitä, sinun ei tarvitse tehdä mitään.\n",
        code="{code} on kirjautumiskoodisi. Älä anna sitä kenellekään."),
}
#: They are the operator's, so that nobody of a company reads another's link or code.
NO_TENANT: Final = 0


def invitation(account: Account, language: str, url: str, now_ms: int,
               reset: bool = False) -> Delivery:
    """A mail with the link by which a password is chosen."""
    words = WORDS[language]
    subject, body = (words.reset, words.reset_body) if reset else \
        (words.invitation, words.invitation_body)
    return Delivery(tenant=NO_TENANT, kind="mail", to=account.email, subject=subject,
                    body=body.format(name=account.name, url=url), created_ms=now_ms,
                    next_ms=now_ms)


def code(phone: str, language: str, digits: str, now_ms: int) -> Delivery:
    """An SMS with a code."""
    return Delivery(tenant=NO_TENANT, kind="sms", to=phone,
                    body=WORDS[language].code.format(code=digits), created_ms=now_ms,
                    next_ms=now_ms)
