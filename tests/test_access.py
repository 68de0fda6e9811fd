"""Signing in below HTTP: the real store, the real argon2, a passkey in software; time is passed
in."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import argon2
import msgspec
import pyotp
import pytest

from api.access import factors, locks, passwords
from api.access.checks import check_account, check_provider
from api.access.locks import Budget, Lock
from api.access.own import Own
from api.access.passwords import Passwords, refusal
from api.access.sessions import Where, who
from api.access.shapes import SignIn
from api.access.sign_in import FREE_OF_ACCOUNT, FREE_OF_PLACE, SMS_AN_HOUR, TICKET_MS, TRIES, Access
from api.http.errors import Problem
from store import NotFound, SqliteStore
from store.accounts import MAX_SESSIONS, Session
from store.model import Account, Delivery, Provider, Queue, Service, Tenant, User
from store.sqlite import SqliteWriter
from tests.authenticator import Authenticator
from tests.test_store import put, remove, swap

NOW = 1_800_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
PASSWORD = "a long enough phrase"
ORIGIN = "https://pbx.example"
HOME = Where("192.0.2.1", "a browser")
AWAY = Where("203.0.113.9", "another browser")
PHONE = "+46701234567"

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

_T = TypeVar("_T")


class Desk:
    """Access with a store, a company and Anna's account, whose password is set."""

    def __init__(self, path: Path | str = ":memory:", hasher: argon2.PasswordHasher = CHEAP,
                 **settings: Any) -> None:
        self.store = SqliteStore(path)
        self.store.migrate()
        self.loop = asyncio.new_event_loop()
        self.now = NOW
        self.access = Access(self.store, {
            "public_url": ORIGIN, "smtp_host": "mail.example", "sms_url": "https://sms.example"}
            | settings, self._keep, random.Random(1).randbytes, hasher)
        self.tenant: Tenant = put(self.store, Tenant(name="Company"))
        self.anna = self.account("anna@example.com", "Anna Berg", phone=PHONE)
        self.set_password(self.anna, PASSWORD)

    async def _keep(self, work: Callable[[], _T]) -> _T:
        with self.store.writing():
            return work()

    def run(self, work: Awaitable[_T]) -> _T:
        """To its end, with what it left for later."""
        async def all_of_it() -> _T:
            try:
                return await work
            finally:
                await self.access.settled()

        return self.loop.run_until_complete(all_of_it())

    def account(self, email: str, name: str, **more: Any) -> Account:
        """A new one, of the company."""
        found: Account = put(self.store, Account(
            tenant=self.tenant.id, email=email, name=name, role="administrator", **more))
        return found

    def set_password(self, account: Account, password: str) -> None:
        """By an invitation."""
        token = self.access.invite(account, self.now).token
        self.run(self.access.choose(token, password, self.now))

    def sign_in(self, password: str = PASSWORD, email: str = "anna@example.com",
                where: Where = HOME) -> SignIn:
        """The first step."""
        return self.run(self.access.password(email, password, where, self.now)).answer

    def code(self, ticket: str, code: str, factor: str = "totp", where: Where = HOME) -> SignIn:
        """The second step."""
        return self.run(self.access.code(ticket, factor, code, where, self.now)).answer

    def refused(self, work: Callable[[], Any]) -> Problem:
        """Why it was not done."""
        with pytest.raises(Problem) as caught:
            work()
        return caught.value

    def session(self, token: str) -> Session:
        """It runs."""
        found = who(self.store, token, self.now)
        assert found is not None
        return found

    def own(self, token: str, account: Account | None = None) -> Own:
        """What the person does in that session."""
        return Own(self.access, account or self.anna, self.session(token).digest, self.now)

    def set_up_totp(self, token: str) -> pyotp.TOTP:
        """An authenticator app; the next codes are of the next step."""
        own = self.own(token)
        begun = own.new_totp()
        app = pyotp.TOTP(begun.secret)
        own.confirm_totp(begun.ticket, app.at(self.now // 1000))
        self.now += 30_000
        return app

    def add_passkey(self, token: str, key: Authenticator, account: Account | None = None) -> None:
        """A passkey."""
        own = self.own(token, account)
        begun = own.new_passkey()
        own.add_passkey(begun.ticket, "Key", key.create(begun.options, ORIGIN))

    def passkey(self, key: Authenticator, ticket: str | None = None,
                origin: str = ORIGIN) -> SignIn:
        """Sign in with it."""
        begun = self.run(self.access.passkey_options(ticket, self.now))
        return self.run(self.access.passkey(begun.ticket, key.get(begun.options, origin), HOME,
                                            self.now)).answer

    def sent(self, kind: str) -> list[Delivery]:
        """What is to be sent."""
        return [one for one in self.store.deliveries(0, limit=1000) if one.kind == kind]

    def texted(self) -> str:
        """The code of the newest SMS."""
        return str(self.sent("sms")[-1].body)[:6]

    def close(self) -> None:
        """Give everything back."""
        self.access.passwords.close()
        self.store.close()
        self.loop.close()


@pytest.fixture(name="desk")
def a_desk() -> Iterator[Desk]:
    """With mail and SMS."""
    desk = Desk()
    yield desk
    desk.close()


# -- passwords ---------------------------------------------------------------------------------

@pytest.mark.parametrize(("password", "taken"), [
    ("elevenchars", False), ("twelve chars", True), ("å" * 3 + "bcdefghij", True),
    ("x" * 201, False), ("abcdefgh " * 22, True), ("PassWord1234", False),
    ("aaaaaaaaaaaaaaa", False),
    ("anna.berg@example.com", False), ("anna.berg1234", False), ("Annaanna2024", False),
    ("Berg och dal och hav", True), ("correct battery staple", True),
    ("ＰＡＳＳＷＯＲＤ１２３４", False)], ids=str)
def test_which_passwords_are_taken(password: str, taken: bool) -> None:
    """Length, what everybody tries first, and the own names; nothing about kinds of characters."""
    assert (refusal(password, "anna.berg@example.com", "Anna Berg") == "") is taken


def test_a_password_is_the_same_however_it_was_composed(desk: Desk) -> None:
    """One keyboard sends one character, another two."""
    desk.set_password(desk.anna, "lösenfras för växeln")
    assert desk.sign_in("lo\u0308senfras fo\u0308r va\u0308xeln").token
    assert desk.refused(lambda: desk.sign_in("losenfras for vaxeln")).status == 401


def test_the_right_password_opens_a_session(desk: Desk) -> None:
    """The address is the same in capitals."""
    answer = desk.sign_in(email="Anna@Example.com")
    assert answer.token.startswith("vs_")
    assert not answer.ticket
    session = desk.session(answer.token)
    assert (session.account, session.factors) == (desk.anna.id, ("password",))
    assert not session.second
    assert (session.address, session.agent) == (HOME.address, HOME.agent)
    assert who(desk.store, answer.token + "x", NOW) is None
    assert who(desk.store, "", NOW) is None


def test_nobody_learns_which_addresses_exist(desk: Desk) -> None:
    """Unknown, without a password, not enabled, wrong: the same answer, after the same work."""
    class Counting(argon2.PasswordHasher):
        count = 0

        def verify(self, *given: Any) -> Any:
            """One more."""
            Counting.count += 1
            return super().verify(*given)

    desk.access.passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    desk.account("bo@example.com", "Bo")
    away = desk.account("cia@example.com", "Cia", enabled=False)
    desk.store.set_password(away.id, argon2.PasswordHasher().hash(PASSWORD), NOW)
    said = []
    for number, email in enumerate(("anna", "bo", "cia", "nobody"), 1):
        problem = desk.refused(lambda email=email: desk.sign_in(  # type: ignore[misc]
            PASSWORD if email == "cia" else "a wrong phrase", f"{email}@example.com"))
        said.append((problem.status, problem.code, problem.detail, problem.headers))
        assert Counting.count == number
    assert len({str(one) for one in said}) == 1
    assert said[0][:2] == (401, "wrong_credentials")


def test_an_old_hash_is_made_anew() -> None:
    """With today's parameters, once the password is known."""
    desk = Desk(hasher=passwords.HASHER)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    desk.store.set_password(desk.anna.id, weak, NOW)
    assert desk.refused(lambda: desk.sign_in("a wrong phrase")).status == 401
    assert desk.store.credentials(desk.anna.id, "password")[0].data == weak
    assert desk.sign_in().token
    stored = desk.store.credentials(desk.anna.id, "password")[0].data
    assert "m=19456,t=2,p=1" in stored
    assert desk.sign_in().token
    assert desk.store.credentials(desk.anna.id, "password")[0].data == stored
    desk.close()


def test_too_many_at_once_are_told_so() -> None:
    """Two hashes run, some wait, and the rest is turned away."""
    async def crowd() -> list[Any]:
        keeper = Passwords(CHEAP)
        try:
            return await asyncio.gather(*(keeper.right(None, "x") for _ in range(
                passwords.AT_ONCE + passwords.WAITING + 3)), return_exceptions=True)
        finally:
            keeper.close()

    found = asyncio.run(crowd())
    assert [one.code for one in found if isinstance(one, Problem)] == ["busy"] * 3
    assert found.count(False) == passwords.AT_ONCE + passwords.WAITING


# -- lockout -----------------------------------------------------------------------------------

@pytest.mark.parametrize("email", ["anna@example.com", "nobody@example.com"])
def test_who_fails_too_often_waits(desk: Desk, email: str) -> None:
    """After ten failures a minute, then twice as long, at most a quarter of an hour; known or
    not."""
    for _ in range(FREE_OF_ACCOUNT):
        assert desk.refused(lambda: desk.sign_in("wrong", email)).status == 401
    waits = []
    for _ in range(6):
        problem = desk.refused(lambda: desk.sign_in(PASSWORD, email))
        assert (problem.status, problem.code) == (429, "locked")
        waits.append(int(problem.headers["Retry-After"]) - 1)
        desk.now += waits[-1] * 1000
        assert desk.refused(lambda: desk.sign_in("wrong", email)).status == 401
    assert waits == [60, 120, 240, 480, 900, 900]


def test_many_guesses_at_once_are_no_way_round(desk: Desk) -> None:
    """They are counted before any of them is known to be wrong."""
    async def guess(number: int) -> str:
        try:
            await desk.access.password("anna@example.com", f"guess {number}", HOME, desk.now)
        except Problem as problem:
            return problem.code
        return ""

    async def crowd() -> list[str]:
        return await asyncio.gather(*map(guess, range(30)))

    found = desk.run(crowd())
    assert found.count("wrong_credentials") == FREE_OF_ACCOUNT
    assert found.count("locked") == 30 - FREE_OF_ACCOUNT


def test_a_lock_ends_by_itself_and_with_the_right_password(desk: Desk) -> None:
    """Nobody is locked out for ever, and a success begins the count anew."""
    for _ in range(FREE_OF_ACCOUNT):
        desk.refused(lambda: desk.sign_in("wrong"))
    assert desk.refused(desk.sign_in).code == "locked"
    desk.now += MINUTE
    assert desk.sign_in().token
    assert desk.refused(lambda: desk.sign_in("wrong")).status == 401
    assert desk.sign_in().token


def test_strangers_do_not_lock_out_who_is_known(desk: Desk) -> None:
    """From where Anna was signed in before, only that place's own failures count."""
    desk.sign_in(where=HOME)
    for _ in range(FREE_OF_ACCOUNT + 5):
        desk.refused(lambda: desk.sign_in("wrong", where=AWAY))
    assert desk.refused(lambda: desk.sign_in(where=AWAY)).code == "locked"
    assert desk.sign_in(where=HOME).token


def test_a_place_that_fails_too_often_waits(desk: Desk) -> None:
    """However many accounts it tries; others do not wait for it."""
    for number in range(FREE_OF_PLACE):
        desk.refused(lambda number=number: desk.sign_in(  # type: ignore[misc]
            "wrong", f"somebody{number}@example.com", AWAY))
    assert desk.refused(lambda: desk.sign_in(where=AWAY)).code == "locked"
    assert desk.sign_in(where=HOME).token
    desk.now += MINUTE
    assert desk.sign_in(where=AWAY).token


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and what is long ago."""
    monkeypatch.setattr(locks, "MAX_REMEMBERED", 3)
    lock, budget = Lock(1), Budget(1, HOUR)
    for key in "abcd":
        lock.failed(key, NOW)
        assert budget.take(key, NOW)
        assert not budget.take(key, NOW)
    assert [bool(lock.wait_ms(key, NOW)) for key in "abcd"] == [False, True, True, True]
    assert lock.wait_ms("d", NOW + locks.DAY_MS + 1) == 0
    lock.failed("d", NOW + 2 * locks.DAY_MS)
    assert lock.wait_ms("d", NOW + 2 * locks.DAY_MS) == locks.FIRST_MS
    assert budget.take("a", NOW)
    assert budget.take("d", NOW + HOUR)


# -- an authenticator app ----------------------------------------------------------------------

def test_an_authenticator_app(desk: Desk) -> None:
    """Not asked for before it is confirmed; then always."""
    first = desk.sign_in().token
    own = desk.own(first)
    begun = own.new_totp()
    assert begun.uri.startswith("otpauth://totp/vaxel:anna%40example.com?secret=" + begun.secret)
    assert desk.sign_in().token
    app = pyotp.TOTP(begun.secret)
    wrong = desk.refused(lambda: own.confirm_totp(begun.ticket, app.at(NOW // 1000 + 300)))
    assert (wrong.status, wrong.field) == (422, "code")
    own.confirm_totp(begun.ticket, app.at(NOW // 1000))
    assert desk.refused(lambda: own.confirm_totp(begun.ticket, app.at(NOW // 1000))).status == 401
    assert desk.session(first).second
    answer = desk.sign_in()
    assert not answer.token
    assert answer.second_factor == ("totp", "sms")
    assert desk.refused(lambda: desk.code(answer.ticket, app.at(NOW // 1000))).status == 401
    desk.now += 30_000
    done = desk.code(answer.ticket, app.at(desk.now // 1000))
    assert desk.session(done.token).factors == ("password", "totp")
    assert desk.refused(
        lambda: desk.code(answer.ticket, app.at(desk.now // 1000))).code == "ticket_expired"


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True),
                                              (2, False)])
def test_a_clock_may_be_a_step_off(steps: int, taken: bool) -> None:
    """And no more."""
    app, now = pyotp.TOTP("JBSWY3DPEHPK3PXP" * 2), NOW // 1000
    step = factors.totp_step(app.secret, app.at(now + 30 * steps), NOW)
    assert step == (now // 30 + steps if taken else 0)


def test_a_code_is_taken_once(desk: Desk) -> None:
    """Nor is an earlier one any more, with whichever ticket."""
    app = desk.set_up_totp(desk.sign_in().token)
    desk.now += MINUTE
    code, earlier = app.at(desk.now // 1000), app.at(desk.now // 1000 - 30)
    assert desk.code(desk.sign_in().ticket, f"{code[:3]} {code[3:]}").token
    for used in (code, earlier):
        assert desk.refused(lambda used=used: desk.code(  # type: ignore[misc]
            desk.sign_in().ticket, used)).code == "wrong_credentials"


def test_a_ticket_takes_some_tries_and_some_minutes(desk: Desk) -> None:
    """The right code is of no use after that."""
    app = desk.set_up_totp(desk.sign_in().token)
    ticket, other = desk.sign_in().ticket, desk.sign_in().ticket
    for _ in range(TRIES):
        assert desk.refused(lambda: desk.code(ticket, "000000")).code == "wrong_credentials"
    right = app.at(desk.now // 1000)
    assert desk.refused(lambda: desk.code(ticket, right)).code == "ticket_expired"
    assert desk.refused(lambda: desk.code("x" * 43, right)).code == "ticket_expired"
    desk.now += TICKET_MS
    assert desk.refused(
        lambda: desk.code(other, app.at(desk.now // 1000))).code == "ticket_expired"


def test_codes_are_not_guessed_with_many_tickets(desk: Desk) -> None:
    """Wrong codes count like wrong passwords; the right password alone does not end the count."""
    desk.set_up_totp(desk.sign_in(where=HOME).token)
    tries = 0
    with pytest.raises(Problem) as caught:
        while tries < 20:
            ticket = desk.sign_in(where=AWAY).ticket
            tries += 1
            assert desk.refused(lambda ticket=ticket: desk.code(  # type: ignore[misc]
                ticket, "000000", where=AWAY)).code == "wrong_credentials"
    assert caught.value.code == "locked"
    assert tries == FREE_OF_ACCOUNT // 2


# -- SMS ---------------------------------------------------------------------------------------

def test_a_code_by_sms(desk: Desk) -> None:
    """Where a second factor must be, and there is a telephone."""
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    ticket = desk.sign_in().ticket
    sent = desk.run(desk.access.text(ticket, desk.now))
    assert sent.to == PHONE[-3:]
    letter = desk.sent("sms")[0]
    assert (letter.tenant, letter.to) == (0, PHONE)
    code = desk.texted()
    assert letter.body == f"{code} är din kod för att logga in. Ge den aldrig till någon."
    assert desk.refused(lambda: desk.code(ticket, "x", "sms")).code == "wrong_credentials"
    assert desk.session(desk.code(ticket, code, "sms").token).factors == ("password", "sms")


def test_a_code_by_sms_holds_for_five_minutes(desk: Desk) -> None:
    """And for its own ticket; a newer one replaces it."""
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    ticket, other = desk.sign_in().ticket, desk.sign_in().ticket
    desk.run(desk.access.text(ticket, desk.now))
    first = desk.texted()
    assert desk.refused(lambda: desk.code(other, first, "sms")).code == "wrong_credentials"
    desk.run(desk.access.text(ticket, desk.now))
    assert desk.refused(lambda: desk.code(ticket, first, "sms")).code == "wrong_credentials"
    second = desk.texted()
    desk.now += 5 * MINUTE
    assert desk.refused(lambda: desk.code(ticket, second, "sms")).code == "wrong_credentials"


def test_so_many_sms_an_hour(desk: Desk) -> None:
    """Whatever the ticket."""
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    for _ in range(SMS_AN_HOUR):
        desk.run(desk.access.text(desk.sign_in().ticket, desk.now))
    ticket = desk.sign_in().ticket
    assert desk.refused(lambda: desk.run(desk.access.text(ticket, desk.now))).code == "too_many"
    assert len(desk.sent("sms")) == SMS_AN_HOUR
    desk.now += HOUR
    desk.run(desk.access.text(desk.sign_in().ticket, desk.now))
    assert len(desk.sent("sms")) == SMS_AN_HOUR + 1


def test_no_sms_without_a_gateway() -> None:
    """Who must have a second factor then sets another one up."""
    desk = Desk(sms_url="")
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    answer = desk.sign_in()
    assert answer.must_enrol
    desk.set_up_totp(answer.token)
    again = desk.sign_in()
    assert again.second_factor == ("totp",)
    assert desk.refused(
        lambda: desk.run(desk.access.text(again.ticket, desk.now))).code == "not_now"
    desk.close()


# -- recovery codes ----------------------------------------------------------------------------

def test_recovery_codes(desk: Desk) -> None:
    """Ten, each once, however they are written; new ones replace them."""
    token = desk.sign_in().token
    assert desk.refused(desk.own(token).new_recovery_codes).code == "not_now"
    desk.set_up_totp(token)
    codes = desk.own(token).new_recovery_codes().codes
    assert len(set(codes)) == 10
    answer = desk.sign_in()
    assert answer.second_factor == ("totp", "sms", "recovery")
    done = desk.code(answer.ticket, codes[0].upper().replace("-", " "), "recovery")
    assert desk.session(done.token).second
    for again in (codes[0], "aaaa-bbbb-cccc-dddd"):
        assert desk.refused(lambda again=again: desk.code(  # type: ignore[misc]
            desk.sign_in().ticket, again, "recovery")).code == "wrong_credentials"
    newer = desk.own(done.token).new_recovery_codes().codes
    assert desk.refused(
        lambda: desk.code(desk.sign_in().ticket, codes[1], "recovery")).status == 401
    assert desk.code(desk.sign_in().ticket, newer[1], "recovery").token


# -- passkeys ----------------------------------------------------------------------------------

def test_a_passkey_alone_is_both_factors(desk: Desk) -> None:
    """When it has verified the person."""
    key = Authenticator()
    desk.add_passkey(desk.sign_in().token, key)
    session = desk.session(desk.passkey(key).token)
    assert (session.account, session.factors, session.second) == (desk.anna.id, ("passkey",), True)
    key.verifies = False
    assert desk.refused(lambda: desk.passkey(key)).code == "wrong_credentials"


def test_a_passkey_as_second_factor(desk: Desk) -> None:
    """After the password it need not verify the person."""
    key = Authenticator(verifies=False)
    desk.add_passkey(desk.sign_in().token, key)
    answer = desk.sign_in()
    assert answer.second_factor == ("passkey", "sms")
    done = desk.passkey(key, answer.ticket)
    assert desk.session(done.token).factors == ("password", "passkey")


def test_passkeys_that_are_not_right(desk: Desk) -> None:
    """Another page, an unknown key, another key's signature, a copy whose counter is behind."""
    key, stranger = Authenticator(), Authenticator(b"unknown")
    desk.add_passkey(desk.sign_in().token, key)
    for origin in ("https://pbx.example.evil", "http://pbx.example", "https://evil.example"):
        assert desk.refused(
            lambda origin=origin: desk.passkey(key, origin=origin)).status == 401  # type: ignore[misc]
    assert desk.refused(lambda: desk.passkey(stranger)).status == 401
    stranger.handle = key.handle
    assert desk.refused(lambda: desk.passkey(stranger)).status == 401
    assert desk.passkey(key).token
    key.counter -= 3
    assert desk.refused(lambda: desk.passkey(key)).status == 401


def test_a_challenge_is_answered_once(desk: Desk) -> None:
    """What was seen on the way cannot be sent again."""
    key = Authenticator(counts=False)
    desk.add_passkey(desk.sign_in().token, key)
    begun = desk.run(desk.access.passkey_options(None, desk.now))
    signed = key.get(begun.options, ORIGIN)
    work = lambda: desk.run(desk.access.passkey(begun.ticket, signed, HOME, desk.now))  # noqa: E731
    assert work().answer.token
    assert desk.refused(work).code == "ticket_expired"


def test_a_passkey_of_somebody_else_is_no_second_factor(desk: Desk) -> None:
    """A ticket is one person's."""
    key, bos = Authenticator(), Authenticator(b"bo's")
    bo = desk.account("bo@example.com", "Bo")
    desk.set_password(bo, PASSWORD)
    desk.add_passkey(desk.sign_in().token, key)
    desk.add_passkey(desk.sign_in(email=bo.email).token, bos, bo)
    assert desk.refused(lambda: desk.passkey(bos, desk.sign_in().ticket)).status == 401
    ticket = desk.sign_in().ticket
    assert desk.passkey(key, ticket).token
    assert desk.session(desk.passkey(bos).token).account == bo.id


@pytest.mark.parametrize("credential", [
    {}, {"id": 5}, {"id": "aGFuZGxl"}, {"id": "aGFuZGxl", "rawId": "aGFuZGxl", "type": "public-key",
                                        "response": {"clientDataJSON": "!", "signature": "e30",
                                                     "authenticatorData": "e30"}},
    {"id": "aGFuZGxl", "rawId": "aGFuZGxl", "type": "public-key", "response": None},
    {"id": "aGFuZGxl", "rawId": "aGFuZGxl", "type": "public-key", "response": {
        "clientDataJSON": "W" * 40_000, "attestationObject": "gYGB" * 40_000,
        "authenticatorData": "gYGB" * 40_000, "signature": ""}}],
    ids=["empty", "number", "bare", "garbage", "null", "deep"])
def test_passkey_answers_that_cannot_be_read(desk: Desk, credential: dict[str, Any]) -> None:
    """Refused like any other, on both ways."""
    token = desk.sign_in().token
    begun = desk.own(token).new_passkey()
    assert desk.refused(
        lambda: desk.own(token).add_passkey(begun.ticket, "Key", credential)).status == 422
    desk.add_passkey(token, Authenticator())
    for ticket in (None, desk.sign_in().ticket):
        asked = desk.run(desk.access.passkey_options(ticket, desk.now))
        assert desk.refused(lambda asked=asked: desk.run(desk.access.passkey(  # type: ignore[misc]
            asked.ticket, credential, HOME, desk.now))).code == "wrong_credentials"


# -- a second factor that must be --------------------------------------------------------------

def test_who_must_have_a_second_factor_sets_one_up() -> None:
    """The session says so until then; a company's wish holds for sessions that run."""
    desk = Desk(sms_url="")
    token = desk.sign_in().token
    assert not desk.session(token).must_enrol
    swap(desk.store, msgspec.structs.replace(desk.tenant, second_factor=True))
    assert desk.session(token).must_enrol
    assert desk.sign_in().must_enrol
    app = desk.set_up_totp(token)
    assert not desk.session(token).must_enrol
    done = desk.code(desk.sign_in().ticket, app.at(desk.now // 1000))
    assert not done.must_enrol
    own = desk.own(done.token)
    with pytest.raises(Problem, match="a second factor is needed"), desk.store.writing():
        own.remove_totp()
    assert desk.access.options(desk.anna) == ("totp",)
    desk.close()


def test_a_password_alone_does_not_change_factors(desk: Desk) -> None:
    """Once there is one: an earlier session does not take it away or add another."""
    earlier, token = desk.sign_in().token, desk.sign_in().token
    desk.set_up_totp(token)
    own = desk.own(earlier)
    for work in (own.new_totp, own.remove_totp, own.new_passkey, own.new_recovery_codes):
        assert desk.refused(work).code == "second_factor_required"
    codes = desk.own(token).new_recovery_codes().codes
    desk.own(token).remove_totp()
    assert desk.sign_in().token
    assert desk.store.credentials(desk.anna.id, "recovery") == [], codes


# -- sessions ----------------------------------------------------------------------------------

def test_a_session_ends(tmp_path: Path) -> None:
    """After so long, and after so long without a request; also when the process began anew."""
    desk = Desk(tmp_path / "vaxel.db", session_s=4 * 3600, session_idle_s=3600)
    token, idle = desk.sign_in().token, desk.sign_in().token
    for _ in range(4):
        desk.now += HOUR - 1
        assert who(desk.store, token, desk.now)
    assert who(desk.store, idle, desk.now) is None
    assert [one.seen_ms for one in desk.store.sessions(desk.anna.id, desk.now)] == [desk.now]
    desk.store.tend_accounts(desk.now)
    desk.close()
    again = SqliteStore(tmp_path / "vaxel.db")
    assert who(again, token, desk.now + 3)
    assert who(again, token, desk.now + 4) is None
    again.close()


def test_changes_of_an_account_act_at_once(desk: Desk) -> None:
    """Who is not enabled is nobody; what belongs to an account goes with it."""
    token = desk.sign_in().token
    swap(desk.store, msgspec.structs.replace(desk.anna, enabled=False))
    assert who(desk.store, token, desk.now) is None
    assert desk.refused(desk.sign_in).code == "wrong_credentials"
    swap(desk.store, desk.anna)
    assert who(desk.store, token, desk.now)
    ticketless = desk.access.invite(desk.anna, desk.now).token
    remove(desk.store, "account", desk.anna.id)
    assert who(desk.store, token, desk.now) is None
    assert desk.store.pending(ticketless, desk.now, "invitation") is None
    assert desk.store.credentials(desk.anna.id) == []
    assert desk.refused(desk.sign_in).code == "wrong_credentials"


def test_signing_out(desk: Desk) -> None:
    """Here, at one other place, everywhere else; nobody ends another's session."""
    bo = desk.account("bo@example.com", "Bo")
    desk.set_password(bo, PASSWORD)
    bos = desk.sign_in(email=bo.email).token
    tokens = [desk.sign_in().token for _ in range(4)]
    own = desk.own(tokens[0])
    own.end_session(desk.session(tokens[1]).id)
    runs = lambda: [who(desk.store, token, desk.now) is not None for token in tokens]  # noqa: E731
    assert runs() == [True, False, True, True]
    assert desk.refused(lambda: own.end_session(desk.session(bos).id)).status == 404
    desk.own(tokens[2]).sign_out()
    assert runs() == [True, False, False, True]
    own.end_others()
    assert runs() == [True, False, False, False]
    assert who(desk.store, bos, desk.now)


def test_a_new_password_ends_other_sessions(desk: Desk) -> None:
    """And links and tickets of before; the old one must be known."""
    here, there = desk.sign_in().token, desk.sign_in().token
    link = desk.access.invite(desk.anna, desk.now).token
    change = lambda old, new: desk.run(desk.access.changed(  # noqa: E731
        desk.anna, old, new, HOME, desk.now))
    assert desk.refused(lambda: change("wrong", "another long phrase")).status == 401
    assert desk.refused(lambda: change(PASSWORD, "short")).code == "weak_password"
    desk.own(here).set_password(change(PASSWORD, "another long phrase"))
    assert who(desk.store, here, desk.now)
    assert who(desk.store, there, desk.now) is None
    assert desk.refused(lambda: desk.run(
        desk.access.choose(link, PASSWORD, desk.now))).code == "ticket_expired"
    assert desk.refused(desk.sign_in).status == 401
    assert desk.sign_in("another long phrase").token


def test_so_many_sessions_at_most(desk: Desk) -> None:
    """The oldest end."""
    tokens = [desk.sign_in().token for _ in range(MAX_SESSIONS + 2)]
    assert [who(desk.store, token, desk.now) is None for token in tokens] \
        == [True, True] + [False] * MAX_SESSIONS


# -- invitations and forgotten passwords -------------------------------------------------------

def test_an_invitation(desk: Desk) -> None:
    """A link that works once, within 72 hours, also by mail; a weak password does not use it up."""
    bo = desk.account("bo@example.com", "Bo", language="en")
    made = desk.access.invite(bo, desk.now)
    assert made.url == f"{ORIGIN}/sign-in/password#token={made.token}"
    assert made.until_ms == NOW + 72 * HOUR
    letter = desk.sent("mail")[-1]
    assert (letter.tenant, letter.to, letter.subject) == (0, bo.email, "Choose a password")
    assert made.url in str(letter.body)
    desk.now = made.until_ms - 1
    choose = lambda password: desk.run(  # noqa: E731
        desk.access.choose(made.token, password, desk.now))
    assert desk.refused(lambda: choose("short")).field == "password"
    assert choose(PASSWORD).id == bo.id
    assert desk.refused(lambda: choose(PASSWORD)).code == "ticket_expired"
    assert desk.sign_in(email=bo.email).token
    late = desk.access.invite(bo, desk.now).token
    desk.now += 72 * HOUR
    assert desk.refused(
        lambda: desk.run(desk.access.choose(late, PASSWORD, desk.now))).code == "ticket_expired"


def test_a_forgotten_password(desk: Desk) -> None:
    """Mailed to who has an account, a few times an hour; the second factor stays."""
    desk.set_up_totp(desk.sign_in().token)
    before = len(desk.sent("mail"))

    async def ask(email: str) -> None:
        desk.access.forgotten(email, desk.now)

    for email in ("nobody@example.com", *["anna@example.com"] * 5):
        desk.run(ask(email))
    letters = desk.sent("mail")[before:]
    assert [(one.to, one.subject) for one in letters] == [("anna@example.com", "Nytt lösenord")] * 3
    token = str(letters[0].body).partition("#token=")[2].split()[0]
    desk.run(desk.access.choose(token, "another long phrase", desk.now))
    assert desk.sign_in("another long phrase").second_factor
    other = str(letters[1].body).partition("#token=")[2].split()[0]
    assert desk.refused(lambda: desk.run(
        desk.access.choose(other, PASSWORD, desk.now))).code == "ticket_expired"
    desk.now += HOUR
    desk.run(ask("anna@example.com"))
    assert len(desk.sent("mail")) == before + 4


# -- what is kept ------------------------------------------------------------------------------

def test_nothing_secret_is_in_the_database(desk: Desk) -> None:
    """No password, token, ticket or code; what was sent is forgotten once it was."""
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    link = desk.access.invite(desk.anna, desk.now).token
    answer = desk.sign_in()
    desk.run(desk.access.text(answer.ticket, desk.now))
    code = desk.texted()
    token = desk.code(answer.ticket, code, "sms").token
    pending = desk.sign_in().ticket
    desk.set_up_totp(token)
    codes = desk.own(token).new_recovery_codes().codes
    for letter in desk.store.deliveries(0):
        assert letter.body
        desk.store.delivery_done(letter.id, desk.now)
    desk.store.tend_accounts(desk.now)
    assert {one.body for one in desk.store.deliveries(0)} == {""}
    kept = "\n".join(desk.store._db.iterdump())
    assert desk.anna.email in kept
    for secret in (PASSWORD, link, token, token[3:], answer.ticket, pending, f"'{code} ", *codes,
                   *(code.replace("-", "") for code in codes)):
        assert secret not in kept
    assert "argon2" not in str(desk.store.revisions())


def test_what_is_over_is_forgotten(desk: Desk) -> None:
    """Sessions, tickets and links whose time has come."""
    swap(desk.store, msgspec.structs.replace(desk.anna, second_factor=True))
    desk.sign_in()
    desk.run(desk.access.passkey_options(None, desk.now))
    desk.access.invite(desk.anna, desk.now)
    desk.store.tend_accounts(NOW + 73 * HOUR)
    for table in ("account_session", "account_pending"):
        assert not list(desk.store._db.execute(f"SELECT * FROM {table}"))


# -- rows --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("fields", "field"), [
    ({"email": "Bo@example.com"}, "email"), ({"role": "machine"}, "role"),
    ({"role": "operator"}, "role"), ({"tenant": None}, "role"), ({"role": "user"}, "user"),
    ({"queues": (99,)}, "queues[0]"), ({}, ""), ({"role": "operator", "tenant": None}, "")],
    ids=str)
def test_what_an_account_must_be(desk: Desk, fields: dict[str, Any], field: str) -> None:
    """One address, one person; the operator's people belong to no company."""
    row = Account(**{"tenant": desk.tenant.id, "email": "bo@example.com", "name": "Bo",
                     "role": "administrator"} | fields)
    found = ""
    try:
        check_account(row, SqliteWriter(desk.store._db))
    except Problem as problem:
        found = problem.field
    assert found == field


def test_accounts_of_users_and_supervisors(desk: Desk) -> None:
    """They name what is there; a provider's address is the one that it writes itself."""
    user = put(desk.store, User(tenant=desk.tenant.id, name="Bo"))
    queue = put(desk.store, Service(tenant=desk.tenant.id, name="Sales", settings=Queue()))
    writer = SqliteWriter(desk.store._db)
    check_account(Account(tenant=desk.tenant.id, email="bo@example.com", name="Bo", role="user",
                          user=user.id), writer)
    check_account(Account(tenant=desk.tenant.id, email="cia@example.com", name="Cia",
                          role="supervisor", queues=(queue.id,)), writer)
    check_provider(Provider(name="X", issuer="https://id.example/a", client_id="c"))
    for issuer in ("https://id.example/?a=1", "https://id.example/#a"):
        with pytest.raises(Problem):
            check_provider(Provider(name="X", issuer=issuer, client_id="c"))


def test_who_is_gone_is_nobody(desk: Desk) -> None:
    """A passkey's challenge outlives nobody's account."""
    key = Authenticator()
    desk.add_passkey(desk.sign_in().token, key)
    remove(desk.store, "account", desk.anna.id)
    with pytest.raises(NotFound):
        desk.store.get("account", desk.anna.id)
    assert desk.refused(lambda: desk.passkey(key)).status == 401
