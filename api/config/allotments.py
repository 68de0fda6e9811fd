"""Numbers are the operator's to give (N9): a company has those only that were allotted to it.

A port has its date by Effective-From: a number that comes is allotted then, one that goes is taken
away then.
"""

from api.http.errors import Problem, invalid
from routing_core import numbers
from store.model import Allotment, Number
from store.sqlite import SqliteWriter

#: Numbers of a range: all of an area code with seven digits behind it.
MAX_RANGE = 10_000_000


def allotted(row: Number, writer: SqliteWriter) -> None:
    """The number is the company's; Problem, the same whosever it is."""
    found = writer.allotments_in(row.e164, row.e164)
    if [one.tenant for one in found] != [row.tenant]:
        raise invalid("e164", f"{row.e164} is not allotted to the company")


def allot(row: Number, writer: SqliteWriter) -> None:
    """What the operator gives a company is allotted to it in the same step; Problem when it is
    another company's."""
    found = writer.allotments_in(row.e164, row.e164)
    if not found and numbers.routed(row.e164) == row.e164:
        writer.create(Allotment(tenant=row.tenant, first=row.e164, last=row.e164))
    elif found and found[0].tenant != row.tenant:
        raise Problem(409, "conflict", f"{row.e164} is allotted to the company "
                      f"{found[0].tenant}", "e164")


def check_allotment(row: Allotment, writer: SqliteWriter, before: Allotment | None) -> None:
    """A range, of numbers that nobody else has; Problem."""
    for field in ("first", "last"):
        number = getattr(row, field)
        if numbers.routed(number) != number:
            raise invalid(field, f"write it as {numbers.routed(number)}" if numbers.routed(number)
                          else "there are no such numbers")
    if len(row.first) != len(row.last) or row.first > row.last:
        raise invalid("last", "as many digits as the first, and not before it")
    if int(row.last) - int(row.first) >= MAX_RANGE:
        raise invalid("last", f"at most {MAX_RANGE} numbers in a range")
    for other in writer.allotments_in(row.first, row.last):
        if other.id != row.id:
            raise Problem(409, "conflict", f"{other.first} to {other.last} are allotted to the "
                          f"company {other.tenant}", "first")
    if before is not None:
        check_taken(before, writer)


def check_taken(before: Allotment, writer: SqliteWriter) -> None:
    """Nothing is taken away that the company still has; Problem."""
    number = writer.number_without(before.tenant, before.first, before.last)
    if number:
        raise Problem(409, "still_referenced", f"the company still has {number}: delete it first",
                      "first")
