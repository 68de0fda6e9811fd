"""Every code that an error can have: its status, what it means, and what to do.

Codes are API: docs, the pages at /v1/problems/<code>, and clients hold on to them.
"""

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """status: the HTTP status; title: in a few words; text: for the page."""

    status: int
    title: str
    text: str


PROBLEMS: Final[dict[str, Kind]] = {
    "malformed": Kind(400, "The request cannot be read", "The body is not JSON, or not what its "
                      "Content-Type says. Nothing was changed."),
    "unauthenticated": Kind(401, "Nobody we know", "Send a key or a session as Authorization: "
                            "Bearer <token>. Keys and sessions end; sign in again."),
    "wrong_credentials": Kind(401, "Not signed in", "The address, the password, the code or the "
                              "passkey is wrong; which one is not told."),
    "ticket_expired": Kind(401, "Begin again", "This sign-in, invitation or link was used, has "
                           "ended, or never was."),
    "forbidden": Kind(403, "Not allowed", "The role or the scopes of the key do not allow this. An "
                      "administrator of the company can give more rights."),
    "beyond_own_rights": Kind(403, "More than the own rights", "Nobody can give a right that they "
                              "do not have themselves."),
    "second_factor_required": Kind(403, "A second factor is needed", "The company asks for one: "
                                   "set it up under /v1/me first."),
    "sign_in_refused": Kind(403, "The provider's answer is not enough", "The provider of identity "
                            "did not let the person in, has not verified an e-mail address, or "
                            "the address is nobody's who may sign in with it."),
    "not_found": Kind(404, "Not there", "It does not exist, or it is another company's."),
    "unknown_command": Kind(404, "No such command", "See the commands to a call."),
    "method_not_allowed": Kind(405, "Not with this method", "Allow names the methods."),
    "conflict": Kind(409, "Taken", "Something else has this name, number or key."),
    "still_referenced": Kind(409, "Still in use", "The detail names what uses it: change that "
                             "first."),
    "not_now": Kind(409, "Not now", "It exists, but it is not in a state for this."),
    "in_progress": Kind(409, "Being done", "A request with this Idempotency-Key has not ended yet: "
                        "ask again in a moment."),
    "in_doubt": Kind(409, "It may have been done", "The exchange stopped while it did this for the "
                     "same Idempotency-Key: look whether it was done, then use a new key."),
    "stale": Kind(412, "Changed meanwhile", "If-Match names an earlier state: read it again."),
    "too_large": Kind(413, "Too large", "The detail names the limit."),
    "unsupported_media": Kind(415, "Not this kind of body", "The detail names what is taken."),
    "range": Kind(416, "No such part", "Range names bytes that there are not."),
    "invalid": Kind(422, "Not acceptable", "`field` names what is to blame. Nothing was changed."),
    "weak_password": Kind(422, "Choose another password", "12 to 200 characters, not what "
                          "everybody tries first, not the own name or address."),
    "unknown_reference": Kind(422, "No such thing", "`field` names a thing that does not exist in "
                              "this company."),
    "unsafe_routing": Kind(422, "Callers would be lost", "The change would lead calls round in a "
                           "circle or into a queue that cannot work; the detail has a call."),
    "key_reused": Kind(422, "Another request had this key", "An Idempotency-Key stands for one "
                       "request; use a new one."),
    "too_many": Kind(429, "Too many requests", "Retry-After says when to go on; RateLimit how many "
                     "are left."),
    "locked": Kind(429, "Too many attempts have failed", "Retry-After says when to try again; it "
                   "is a quarter of an hour at most. A passkey alone still works."),
    "internal": Kind(500, "A fault of ours", "It was logged. Nothing was acknowledged."),
    "provider_failed": Kind(502, "The provider of identity failed", "It cannot be reached, or what "
                            "it says cannot be accepted; the detail says why."),
    "busy": Kind(503, "Busy", "Ask again in a moment."),
    "no_call_control": Kind(503, "No call control", "No process has the company's calls or queues "
                            "at the moment: ask again."),
    "http": Kind(400, "Refused by the server", "The detail says why."),
}
