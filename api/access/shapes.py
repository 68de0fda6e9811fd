"""What the routes of sign-in take and answer."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from store.model import E164, Id, Language, Mail, Name, Role

Token = Annotated[str, Meta(min_length=20, max_length=100, pattern=r"^[A-Za-z0-9_-]*\Z")]
#: Longer than any that is taken: which is too long is said by the rules.
Secret = Annotated[str, Meta(min_length=1, max_length=1000)]
Code = Annotated[str, Meta(min_length=1, max_length=50)]
Factor = Literal["totp", "sms", "passkey", "recovery"]


class PasswordSignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address and its password."""

    email: Mail
    password: Secret


class SignIn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Signed in, with a token; or not yet, with a ticket and what is accepted with it. must_enrol:
    a second factor has to be set up before anything else."""

    token: str = ""
    ticket: str = ""
    second_factor: tuple[Factor, ...] = ()
    must_enrol: bool = False
    until_ms: int


class SecondFactor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code for a ticket."""

    ticket: Token
    factor: Literal["totp", "sms", "recovery"]
    code: Code


class SignInTicket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign-in under way."""

    ticket: Token


class PasskeyTicket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign-in under way; none: one that begins with a passkey."""

    ticket: Token | None = None


class Sent(Struct, frozen=True, kw_only=True):
    """A code is on its way. to: the end of the number."""

    to: str
    until_ms: int


class PasskeyOptions(Struct, frozen=True, kw_only=True):
    """For navigator.credentials: publicKey, as JSON."""

    ticket: str
    options: dict[str, Any]


class PasskeyAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What navigator.credentials.get() returned, as JSON."""

    ticket: Token
    credential: dict[str, Any]


class NewPasskey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What navigator.credentials.create() returned, as JSON."""

    ticket: Token
    name: Name
    credential: dict[str, Any]


class Reset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose password was forgotten."""

    email: Mail


class ChosenPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A password, for the token of an invitation or of a reset."""

    token: Token
    password: Secret


class Invitation(Struct, frozen=True, kw_only=True):
    """Shown once. mailed: it is on its way to the account's address too."""

    token: str
    url: str
    until_ms: int
    mailed: bool


class Accepted(Struct, frozen=True, kw_only=True):
    """It was understood; nothing more is told."""

    accepted: bool = True


class WhichProviders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """email: of who wants to sign in; only what follows the @ matters."""

    email: Annotated[Mail | None, Meta(description="only what follows the @ matters")] = None


class ProviderShown(Struct, frozen=True, kw_only=True):
    """A provider of identity."""

    id: int
    name: str


class ProvidersShown(Struct, frozen=True, kw_only=True):
    """Those that people with such an address may use."""

    items: list[ProviderShown]
    next: int | None = None


class Location(Struct, frozen=True, kw_only=True):
    """Where the browser goes to."""

    location: str
    until_ms: int


class Callback(Struct, frozen=True, kw_only=True):
    """What a provider sends back; it may send more."""

    state: Annotated[str, Meta(max_length=200)] = ""
    code: Annotated[str, Meta(max_length=4000)] = ""
    iss: Annotated[str, Meta(max_length=300)] = ""
    error: Annotated[str, Meta(max_length=200)] = ""


# -- the own account ---------------------------------------------------------------------------

class Me(Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do."""

    name: str
    by: str
    role: Role
    rights: list[str]
    tenant: Id | None = None
    account: Id | None = None
    user: Id | None = None
    email: str | None = None
    language: Language | None = None
    phone: E164 | None = None
    must_enrol: bool = False
    second_factor: tuple[Factor, ...] = ()
    recovery_codes: int = 0


class NewPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both, so that an open browser is not enough."""

    old: Secret
    new: Secret


class SessionShown(Struct, frozen=True, kw_only=True):
    """A place where somebody is signed in. current: this one."""

    id: int
    created_ms: int
    seen_ms: int
    until_ms: int
    factors: tuple[str, ...]
    agent: str
    address: str
    current: bool


class SessionsShown(Struct, frozen=True, kw_only=True):
    """Of one account."""

    items: list[SessionShown]
    next: int | None = None


class TotpSecret(Struct, frozen=True, kw_only=True):
    """Shown once; nothing asks for it until it is confirmed."""

    secret: str
    uri: str
    ticket: str
    until_ms: int


class TotpCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that the app shows."""

    ticket: Token
    code: Code


class PasskeyShown(Struct, frozen=True, kw_only=True):
    """One of the own."""

    id: int
    name: str
    created_ms: int
    used_ms: int


class PasskeysShown(Struct, frozen=True, kw_only=True):
    """All of the own."""

    items: list[PasskeyShown]
    next: int | None = None


class RecoveryCodes(Struct, frozen=True, kw_only=True):
    """Shown once; each works once. Earlier ones do not any more."""

    codes: list[str]
