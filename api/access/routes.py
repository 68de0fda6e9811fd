"""Signing in, and the own account, over HTTP.

A token goes into the Authorization header, nowhere else: no page of another site can send it. Only
sign-in with a provider sets a cookie, which proves that the same browser came back.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final

from api.access import own, shapes
from api.access.oidc import CALLBACK, Identity
from api.access.own import Own
from api.access.sessions import Where
from api.access.sign_in import Access, Outcome
from api.http import rights
from api.http.errors import Problem
from api.http.route import Call, Handler, Reply, route
from store import NotFound
from store.model import Account

COOKIE: Final = "vaxel_oidc"
_SECRET: Final = {"Cache-Control": "no-store"}


def access_of(call: Call) -> Access:
    """Of this process."""
    context = call.request.app.ctx
    if not hasattr(context, "access"):
        context.access = Access(call.store, call.parts.settings,
                                call.parts.publisher.commits.run, secrets.token_bytes)
    found: Access = context.access
    return found


def _identity(call: Call) -> Identity:
    context = call.request.app.ctx
    if not hasattr(context, "identity"):
        context.identity = Identity(access_of(call), call.parts.settings)
    found: Identity = context.identity
    return found


def _where(call: Call) -> Where:
    return Where(call.request.ip or "", call.request.headers.get("user-agent", ""))


def _audit(call: Call, account: Account | None, what: str) -> None:
    """In the company's own audit, when it is somebody's."""
    if account is not None:
        call.tenant = account.tenant or 0
        what = f"account {account.id}: {what}"
    call.note_audit(what)


def _said(call: Call, what: str, outcome: Outcome) -> Reply:
    """For the audit, and the answer."""
    account, answer = outcome
    _audit(call, account, f"{what}, " + ("signed in" if answer.token else "second factor asked"))
    return Reply(answer, headers=_SECRET)


# -- signing in --------------------------------------------------------------------------------

@route("POST", "/v1/sign-in", "public", body=shapes.PasswordSignIn, answer=shapes.SignIn,
       errors=("wrong_credentials", "locked", "busy"))
async def password(call: Call) -> Reply:
    """Sign in with a password.

    The answer has a token, to be sent as Authorization: Bearer; or a ticket, when a second
    factor is needed.
    """
    access = access_of(call)
    _audit(call, access.account_of(call.body.email), "password refused")
    return _said(call, "password", await access.password(
        call.body.email, call.body.password, _where(call), call.now_ms))


@route("POST", "/v1/sign-in/second", "public", body=shapes.SecondFactor, answer=shapes.SignIn,
       errors=("wrong_credentials", "ticket_expired", "locked"))
async def second(call: Call) -> Reply:
    """Show the second factor: a code of the authenticator app, of an SMS, or for recovery.

    A ticket takes five tries and ten minutes; a code is taken once.
    """
    access = access_of(call)
    _audit(call, access.whose(call.body.ticket, call.now_ms), f"{call.body.factor} refused")
    return _said(call, call.body.factor, await access.code(
        call.body.ticket, call.body.factor, call.body.code, _where(call), call.now_ms))


@route("POST", "/v1/sign-in/sms", "public", body=shapes.SignInTicket, answer=shapes.Sent, acts=True,
       errors=("ticket_expired", "not_now", "too_many"))
async def sms(call: Call) -> shapes.Sent:
    """Send a code by SMS to the account's telephone.

    It holds for five minutes; five are sent in an hour.
    """
    access = access_of(call)
    _audit(call, access.whose(call.body.ticket, call.now_ms), "code by SMS")
    return await access.text(call.body.ticket, call.now_ms)


@route("POST", "/v1/sign-in/passkey/options", "public", body=shapes.PasskeyTicket,
       answer=shapes.PasskeyOptions, errors=("ticket_expired",))
async def passkey_options(call: Call) -> shapes.PasskeyOptions:
    """What navigator.credentials.get() is called with.

    With a ticket for the second factor; without one to sign in with a passkey alone.
    """
    return await access_of(call).passkey_options(call.body.ticket, call.now_ms)


@route("POST", "/v1/sign-in/passkey", "public", body=shapes.PasskeyAnswer, answer=shapes.SignIn,
       errors=("wrong_credentials", "ticket_expired", "locked"))
async def passkey(call: Call) -> Reply:
    """Show a passkey.

    Alone it stands for both factors: it has verified the person.
    """
    access = access_of(call)
    _audit(call, access.whose(call.body.ticket, call.now_ms), "passkey refused")
    return _said(call, "passkey", await access.passkey(
        call.body.ticket, call.body.credential, _where(call), call.now_ms))


@route("POST", "/v1/sign-in/reset", "public", body=shapes.Reset, answer=shapes.Accepted,
       status=202, acts=True)
async def reset(call: Call) -> shapes.Accepted:
    """Ask for a link by which a new password is chosen.

    It is mailed when the address is an account's; the answer is the same when it is not.
    """
    call.note_audit("password reset asked")
    access_of(call).forgotten(call.body.email, call.now_ms)
    return shapes.Accepted()


@route("POST", "/v1/sign-in/password", "public", body=shapes.ChosenPassword, status=204,
       errors=("ticket_expired", "weak_password", "busy"))
async def choose(call: Call) -> None:
    """Choose a password, with the token of an invitation or of a reset.

    Everybody who is signed in to the account is signed out.
    """
    call.note_audit("password not chosen")
    account = await access_of(call).choose(call.body.token, call.body.password, call.now_ms)
    call.parts.identities.forget()
    _audit(call, account, "password chosen")


# -- with a provider of identity ---------------------------------------------------------------

@route("GET", "/v1/sign-in/providers", "public", query=shapes.WhichProviders,
       answer=shapes.ProvidersShown)
async def providers(call: Call) -> shapes.ProvidersShown:
    """The providers of identity for e-mail addresses of a domain.

    They are listed when all accounts of the domain belong to one company. Whether the address
    itself has an account is not told.
    """
    return shapes.ProvidersShown(items=_identity(call).offered(call.query.email))


@route("POST", "/v1/sign-in/oidc/{provider}", "public", answer=shapes.Location,
       errors=("not_found", "provider_failed"))
async def oidc(call: Call) -> Reply:
    """Begin to sign in with a provider (OpenID Connect): the browser that gets this answer, and its
    cookie, goes to `location` and comes back to the callback."""
    location, binding, until_ms = await _identity(call).begin(call.id("provider"), call.now_ms)
    secure = "; Secure" if access_of(call).public_url.startswith("https:") else ""
    return Reply(shapes.Location(location=location, until_ms=until_ms), headers=_SECRET | {
        "Set-Cookie": f"{COOKIE}={binding}; Path={CALLBACK}; HttpOnly; SameSite=Lax; "
                      f"Max-Age={(until_ms - call.now_ms) // 1000}{secure}"})


@route("GET", CALLBACK, "public", query=shapes.Callback, answer=shapes.SignIn,
       errors=("ticket_expired", "sign_in_refused", "provider_failed"))
async def callback(call: Call) -> Reply:
    """Where a provider sends the browser back to.

    Signed in is who has an account with the e-mail address that the provider has verified, in
    the provider's company.
    """
    call.note_audit("provider refused")
    return _said(call, "provider", await _identity(call).finish(
        call.query, call.request.cookies.get(COOKIE) or "", _where(call), call.now_ms))


# -- the own account ---------------------------------------------------------------------------

async def _own(call: Call) -> Own:
    if call.who.account is None:
        raise Problem(403, "forbidden", "this is for people who are signed in, not for keys")
    account: Account = call.store.get("account", call.who.account)
    return Own(access_of(call), account, call.who.session, call.now_ms)


async def _kept(call: Call, work: Any, what: str) -> Any:
    """What a durable change answered, and who is who anew."""
    result = await call.keep(work)
    call.parts.identities.forget()
    call.note_audit(what)
    return result


@route("GET", "/v1/me", "me:read", answer=shapes.Me)
async def me(call: Call) -> shapes.Me:
    """Who asks, and what they may do."""
    who = call.who
    shown: dict[str, Any] = {}
    if who.account is not None:
        account: Account = call.store.get("account", who.account)
        kinds = [one.kind for one in call.store.credentials(account.id)]
        shown = {"email": account.email, "language": account.language, "phone": account.phone,
                 "second_factor": access_of(call).options(account),
                 "recovery_codes": kinds.count("recovery")}
    return shapes.Me(
        name=who.name, by=who.by, role=who.role,  # type: ignore[arg-type]
        tenant=who.tenant, account=who.account, user=who.user, must_enrol=who.enrol,
        rights=sorted(right for right, far in who.grants.items() if far != rights.NO), **shown)


@route("PUT", "/v1/me/password", "me:write", body=shapes.NewPassword, status=204,
       errors=("wrong_credentials", "weak_password", "locked", "busy"))
async def set_password(call: Call) -> None:
    """Change the own password.

    Everybody else who is signed in to the account is signed out.
    """
    mine = await _own(call)
    hashed = await access_of(call).changed(mine.account, call.body.old, call.body.new,
                                           _where(call), call.now_ms)
    await _kept(call, lambda: mine.set_password(hashed), "password changed")


@route("GET", "/v1/me/sessions", "me:read", answer=shapes.SessionsShown)
async def sessions(call: Call) -> shapes.SessionsShown:
    """Where the own account is signed in."""
    mine = await _own(call)
    return shapes.SessionsShown(items=own.shown(
        call.store.sessions(mine.account.id, call.now_ms), call.who.session))


@route("DELETE", "/v1/me/sessions", "me:write", status=204)
async def end_others(call: Call) -> None:
    """Sign out everywhere but here."""
    mine = await _own(call)
    await _kept(call, mine.end_others, "signed out elsewhere")


@route("DELETE", "/v1/me/sessions/{session}", "me:write", status=204, errors=("not_found",))
async def end_session(call: Call) -> None:
    """Sign out at one place."""
    mine = await _own(call)
    await _kept(call, lambda: mine.end_session(call.id("session")), "signed out at one place")


@route("POST", "/v1/sign-out", "me:write", status=204)
async def sign_out(call: Call) -> None:
    """Sign out here: the token is of no use any more."""
    mine = await _own(call)
    await _kept(call, mine.sign_out, "signed out")


@route("POST", "/v1/me/totp", "me:write", answer=shapes.TotpSecret)
async def new_totp(call: Call) -> Reply:
    """A secret for an authenticator app, shown once, also as the URI of a QR code.

    It is asked for after it was confirmed.
    """
    mine = await _own(call)
    return await _secret(call, mine.new_totp, "authenticator app begun")


@route("POST", "/v1/me/totp/confirm", "me:write", body=shapes.TotpCode, status=204,
       errors=("ticket_expired", "second_factor_required"))
async def confirm_totp(call: Call) -> None:
    """Confirm it with a code.

    From now on it is asked for; an earlier app is not any more.
    """
    mine = await _own(call)
    await _kept(call, lambda: mine.confirm_totp(call.body.ticket, call.body.code),
                "authenticator app set up")


@route("DELETE", "/v1/me/totp", "me:write", status=204,
       errors=("not_found", "not_now", "second_factor_required"))
async def remove_totp(call: Call) -> None:
    """No authenticator app any more."""
    mine = await _own(call)
    await _kept(call, mine.remove_totp, "authenticator app removed")


@route("GET", "/v1/me/passkeys", "me:read", answer=shapes.PasskeysShown)
async def passkeys(call: Call) -> shapes.PasskeysShown:
    """The own passkeys."""
    return shapes.PasskeysShown(items=(await _own(call)).passkeys())


@route("POST", "/v1/me/passkeys/options", "me:write", answer=shapes.PasskeyOptions,
       errors=("not_now", "second_factor_required"))
async def new_passkey(call: Call) -> Reply:
    """What navigator.credentials.create() is called with."""
    mine = await _own(call)
    return await _secret(call, mine.new_passkey, "passkey begun")


@route("POST", "/v1/me/passkeys", "me:write", body=shapes.NewPasskey, answer=shapes.PasskeyShown,
       status=201, errors=("ticket_expired", "second_factor_required", "conflict"))
async def add_passkey(call: Call) -> shapes.PasskeyShown:
    """Keep the passkey that the browser has made."""
    mine = await _own(call)
    body: shapes.NewPasskey = call.body
    made: shapes.PasskeyShown = await _kept(
        call, lambda: mine.add_passkey(body.ticket, body.name, body.credential), "passkey added")
    return made


@route("DELETE", "/v1/me/passkeys/{passkey}", "me:write", status=204,
       errors=("not_found", "not_now", "second_factor_required"))
async def remove_passkey(call: Call) -> None:
    """One that was lost, or is not wanted any more."""
    mine = await _own(call)
    await _kept(call, lambda: mine.remove_passkey(call.id("passkey")), "passkey removed")


@route("POST", "/v1/me/recovery-codes", "me:write", answer=shapes.RecoveryCodes,
       errors=("not_now", "second_factor_required"))
async def recovery_codes(call: Call) -> Reply:
    """Ten codes for a day without the second factor, shown once.

    Earlier ones are of no use any more.
    """
    mine = await _own(call)
    return await _secret(call, mine.new_recovery_codes, "recovery codes made")


async def _secret(call: Call, work: Any, what: str) -> Reply:
    return Reply(await _kept(call, work, what), headers=_SECRET)


# -- others' accounts, for administrators ------------------------------------------------------

def _account(call: Call) -> Account:
    """Of this company; somebody with more rights than the caller is out of reach."""
    try:
        row: Account = call.visible("account", call.id("account"))
    except NotFound as error:
        raise Problem(404, "not_found", "there is no such account") from error
    if not rights.within(rights.grants(row.role), call.who.grants):
        raise Problem(403, "beyond_own_rights", f"this account is an {row.role}'s")
    return row


def _both(method: str, path: str, right: str, **more: Any) -> Callable[[Handler], Handler]:
    """The same of a company and for the operator's own accounts."""
    def declare(handler: Handler) -> Handler:
        name = f"access_{getattr(handler, '__name__', '')}"
        route(method, "/v1/tenants/{tenant}/accounts/{account}" + path, right, name=name,
              **more)(handler)
        return route(method, "/v1/accounts/{account}" + path, right, own="operator",
                     name=f"{name}_of_any", **more)(handler)

    return declare


@_both("POST", "/invitation", "accounts:write", answer=shapes.Invitation, status=201,
       errors=("not_found", "not_now"))
async def invite(call: Call) -> Reply:
    """Invite somebody to choose a password: a link that works once, within 72 hours.

    It is shown only now, and mailed when there is a mail server. The password they have works
    until then.
    """
    account = _account(call)
    if not account.enabled:
        raise Problem(409, "not_now", "the account is not enabled")
    answer = await call.keep(lambda: access_of(call).invite(account, call.now_ms))
    call.note_audit(f"account {account.id} invited")
    return Reply(answer, 201, _SECRET)


@_both("GET", "/sessions", "accounts:read", answer=shapes.SessionsShown, errors=("not_found",))
async def their_sessions(call: Call) -> shapes.SessionsShown:
    """Where somebody is signed in."""
    return shapes.SessionsShown(items=own.shown(
        call.store.sessions(_account(call).id, call.now_ms), call.who.session))


@_both("DELETE", "/sessions", "accounts:write", status=204, errors=("not_found",))
async def end_their_sessions(call: Call) -> None:
    """Sign somebody out everywhere."""
    account = _account(call)
    await _kept(call, lambda: _end(call, account),
                f"account {account.id} signed out")


@_both("DELETE", "/second-factor", "accounts:write", status=204, errors=("not_found",))
async def remove_their_factors(call: Call) -> None:
    """Somebody has lost the second factor: app, passkeys and recovery codes are forgotten, and
    they are signed out."""
    account = _account(call)

    def work() -> None:
        for kind in ("totp", "passkey", "recovery"):
            call.store.remove_credentials(account.id, kind)
        _end(call, account)

    await _kept(call, work, f"second factor of account {account.id} removed")


def _end(call: Call, account: Account) -> None:
    call.store.end_sessions(account.id)
    call.store.end_pendings(account.id, "second", "totp", "enrol")
