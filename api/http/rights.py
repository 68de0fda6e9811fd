"""Who may do what: one table, and the one place that asks it.

A cell says what a role may do with an area of the API: R read, W write, in lower case only with the
person's own things (the own presence, telephones, calls, mailbox), "-" nothing.
"""

from typing import Final, get_args

from store.model import Role

#: What everybody who is anybody sees of the company stands in the last column too: programs.
TABLE: Final = """
area           operator administrator supervisor attendant user machine
tenants        RW       -             -          -         -    -
company        RW       RW            R          R         R    R
areas          RW       R             -          -         -    R
trunks         RW       -             -          -         -    -
routes         RW       -             -          -         -    -
plans          RW       R             -          -         -    R
keys           RW       RW            -          -         -    -
accounts       RW       RW            -          -         -    -
providers      RW       RW            -          -         -    -
users          RW       RW            R          R         R    R
devices        RW       RW            -          -         r    R
allotments     RW       R             -          -         -    R
numbers        RW       RW            R          R         R    R
activities     RW       RW            R          R         R    R
forwards       RW       RW            -          -         rw   R
caller-rules   RW       RW            -          -         rw   R
schedules      RW       RW            RW         R         -    R
groups         RW       RW            R          R         R    R
members        RW       RW            RW         R         r    R
prompts        RW       RW            R          -         -    R
services       RW       RW            R          R         -    R
queue-members  RW       RW            RW         R         r    R
contacts       RW       RW            RW         RW        rw   RW
webhooks       RW       RW            -          -         -    RW
presence       RW       RW            RW         RW        Rw   RW
lines          R        R             R          R         R    R
calls          RW       RW            RW         RW        rw   RW
records        RW       RW            R          R         r    R
recordings     RW       RW            R          -         r    R
mailboxes      RW       RW            -          -         rw   R
callbacks      RW       RW            RW         RW        -    RW
deliveries     R        R             -          -         -    R
events         R        R             R          R         -    R
queues         RW       RW            RW         R         r    RW
agents         RW       RW            RW         rw        rw   RW
attendants     RW       RW            RW         rw        rw   R
figures        R        R             R          R         r    R
proof          R        R             R          -         -    R
explain        R        R             R          -         -    R
revisions      RW       RW            -          -         -    R
planned        RW       RW            -          -         -    R
what-if        RW       RW            RW         -         -    -
transfer       RW       RW            -          -         -    -
audit          R        R             -          -         -    -
directory      RW       RW            R          R         R    R
sms            RW       RW            RW         RW        -    RW
operations     RW       -             -          -         -    -
me             RW       RW            RW         RW        RW   RW
"""
#: How far a right goes.
NO, OWN, ALL = 0, 1, 2

Grants = dict[str, int]


def _read() -> dict[str, Grants]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    found: dict[str, Grants] = {role: {} for role in head[1:]}
    for area, *cells in rows:
        for role, cell in zip(head[1:], cells, strict=True):
            for letter, access in (("r", "read"), ("w", "write")):
                found[role][f"{area}:{access}"] = (
                    ALL if letter.upper() in cell else OWN if letter in cell else NO)
    return found


#: {role: {right: how far}}
ROLES: Final = _read()
#: Every right there is.
RIGHTS: Final = frozenset(ROLES["operator"])
#: What needs no sign-in.
PUBLIC: Final = "public"
assert set(ROLES) == set(get_args(Role))


def grants(role: str, scopes: tuple[str, ...] = ()) -> Grants:
    """Of what the role may, only the scopes; all of it without any."""
    return {right: far for right, far in ROLES[role].items()
            if far and (not scopes or right in scopes or right.startswith("me:"))}


def within(made: Grants, maker: Grants) -> bool:
    """Whether nothing may be done with these that the maker may not do."""
    return all(maker.get(right, NO) >= far for right, far in made.items())
