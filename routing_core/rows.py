"""The columns that the compiler takes, per table and in this order.

The store selects them, the compiler unpacks them; nothing else is agreed between the two. A target
is four columns: kind (USER, GROUP, NUMBER, BUSY, SERVICE in lower case), user, group, text.
"""

from typing import Final


def _target(name: str) -> tuple[str, ...]:
    return (f"{name}_kind", f"{name}_user", f"{name}_group", f"{name}_text")


COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "tenant": ("id", "country", "language", "time_zone", "main_number", "support_number",
               "foreign_number", "activity_end", "area", "barred", "media", "callback_classes",
               "operator_barred"),
    "user": ("id", "tenant", "extension", "display", "barred", "area", "ring_s", "enabled",
             "record", "call_waiting", "language", "call_functions"),
    "device": ("id", "user", "kind", "username", "secret", "area", "display", "enabled",
               "digest", "contact"),
    "number": ("e164", "tenant", "kind", *_target("target"), "schedule",
               *_target("closed_target"), "record"),
    "activity": ("id", "tenant", "reachable", "in_groups", "role"),
    "forward": ("user", "event", "activity", "called", *_target("target")),
    "ring_group": ("id", "tenant", "extension", "strategy", "ring_s", "attempts", "skip_busy",
                   "record", *_target("no_answer"), *_target("nobody")),
    "member": ("ring_group", "id", "user", "priority", "device_kinds"),
    "schedule": ("id", "tenant", "time_zone", "state", "country", "rules"),
    "trunk": ("id", "tenant", "host", "port", "transport", "country", "identity", "diversion",
              "forwarded", "format", "media", "ring_s", "kind", "enabled",
              "username", "secret"),
    "trunk_source": ("source", "trunk"),
    "route": ("tenant", "prefix", "trunk", "position", "weight"),
    "area": ("id", "centre", "location", "trunk"),
    "caller_rule": ("user", "number", "rule"),
    "service": ("id", "tenant", "extension"),
    "contact": ("id", "tenant", "user", "shared", "name", "numbers"),
}

#: Rows of these come sorted by their first column; the compiler makes lists of them.
SORTED: Final = ("forward", "member", "route")

#: In the order of their index in a snapshot; a new one is appended.
COUNTRIES: Final = ("SE", "FI")
ZONES: Final = (
    "Europe/Stockholm", "Europe/Helsinki", "Europe/Mariehamn", "Europe/Oslo", "Europe/Copenhagen",
    "Europe/Tallinn", "Europe/London", "Europe/Berlin", "UTC",
)
LANGUAGES: Final = ("sv", "en", "fi")
DEVICE_KINDS: Final = ("desk", "soft", "mobile", "cordless")
TRANSPORTS: Final = ("udp", "tcp", "tls")
IDENTITIES: Final = ("pai", "rpid", "from")
DIVERSIONS: Final = ("diversion", "history", "none")
DIGESTS: Final = ("both", "md5", "sha256")
FORMATS: Final = ("plus", "e164", "national")
