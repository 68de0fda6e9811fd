"""What accounts and providers of identity must be; see api/config/checks.py."""

from api.http.errors import invalid
from store.model import Account, Provider
from store.sqlite import SqliteWriter


def check_account(row: Account, writer: SqliteWriter) -> None:
    """Raise the Problem that it has."""
    if row.email != row.email.lower():
        raise invalid("email", "in lower case, so that nobody has two accounts")
    if row.role == "machine":
        raise invalid("role", "a program has a key, not an account")
    if (row.role == "operator") != (row.tenant is None):
        raise invalid("role", "the operator's accounts, and no others, belong to no company")
    if row.role == "user" and row.user is None:
        raise invalid("user", "the role is for somebody with telephones: name them")
    for index, queue in enumerate(row.queues or ()):
        if not writer.find("service", limit=1, tenant=row.tenant, id=queue, kind="queue"):
            raise invalid(f"queues[{index}]", f"there is no queue {queue}")


def check_provider(row: Provider) -> None:
    """Raise the Problem that it has."""
    if "?" in row.issuer or "#" in row.issuer:
        raise invalid("issuer", "an address without ? and #, as the provider itself writes it")
