"""What is wrong with a value: in sentences, and all of it at once."""

import re
from typing import Any, Final

import msgspec

#: Told at once.
MAX_FAULTS: Final = 100
MAX_VALUE: Final = 60
#: What a text has to be, by the pattern that says so to programs.
SENTENCES: Final = {
    r"^[^\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]*\Z":
        "has characters that cannot be seen",
    r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z": "has characters that cannot be seen",
    r"^(\+[1-9][0-9]{5,14}|[1-9][0-9]{2,9})\Z":
        "is no number: write it with its country code, as +46812345678, or a short one, as 112",
    r"^\+[1-9][0-9]{5,14}\Z": "is no number: write it with its country code, as +46812345678",
    r"^(\+[1-9][0-9]{5,14}|[1-9][0-9]{1,5})\Z":
        "is no number: write it with its country code, as +46812345678, or an extension",
    r"^[0-9]{0,14}\Z": "is no beginning of a number: digits with the country code first, as 468",
    r"^[1-9][0-9]{1,5}\Z": "is no extension: two to six digits, the first not 0",
    r"^[0-9]{1,3}\Z": "is no code: one to three digits",
    r"^[0-9*#]\Z": "is no key: one of 0 to 9, * and #",
    r"^[!-~]*\Z": "has other characters than letters, digits and signs without a space",
    r"^[a-z0-9][a-z0-9_-]{0,29}\Z":
        "is no such word: up to 30 small letters a to z, digits, - and _",
    r"^[a-z0-9][a-z0-9._-]{2,39}\Z":
        "is no user name: 3 to 40 small letters a to z, digits, dots, - and _",
    r"^[a-z2-7]{26}\Z": "is no secret of a device: 26 letters a to z and digits 2 to 7",
    r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}\Z": "is no date: YYYY-MM-DD, or MM-DD every year",
    r"^[A-Za-z0-9.:\[\]-]{1,95}\Z": "is no host: a name or an address",
    r"^(ip:[0-9a-f.:]{3,45}|tls:[A-Za-z0-9.*-]{1,64})\Z":
        "is no source: ip:<address>, or tls:<name in the certificate>",
    r"^[a-z][a-z_-]{0,39}:(read|write)\Z": "is no right: <area>:read or <area>:write",
    r"^([0-9a-f]{64})?\Z": "is no SHA-256",
    r"""^[^@\s<>"']{1,64}@[A-Za-z0-9.-]{1,190}\Z""": "is no address of e-mail",
    r"^https?://[!-~]{1,400}\Z": "is no address: it begins with http:// or https://",
    r"^https?://[!-~]{1,200}\Z": "is no address: it begins with http:// or https://",
    r"^[a-z_]{1,40}\Z": "is no kind of event",
    r"^whsec_[A-Za-z0-9+/=]{32,88}\Z": "is no secret of a webhook: whsec_ and base64",
}
_PATTERN: Final = "matching regex "


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. line, column, value: where it stands in a sheet."""

    field: str
    detail: str
    line: int = 0
    column: str = ""
    value: str = ""


def fault_of(error: msgspec.ValidationError, where: str = "") -> Fault:
    """What msgspec says, at a field; where: the path that its own is under."""
    text, _, place = str(error).partition(" - at `")
    found = re.match(r"(?:key in )?\$\.?([^`]*)`", place)
    named = re.search(r"unknown field `([^`]+)`|missing required field `([^`]+)`", text)
    path = [where, found[1] if found else "", (named[1] or named[2]) if named else ""]
    return Fault(field=".".join(one for one in path if one).replace(".[", "["),
                 detail=_sentence(text))


def _sentence(text: str) -> str:
    _, mark, pattern = text.partition(_PATTERN)
    if not mark:
        return text
    written = pattern[1:-1].replace("\\\\", "\\").replace("\\'", "'")
    return SENTENCES.get(written, "is not written as it has to be")


def faults_of(value: Any, kind: Any, error: msgspec.ValidationError) -> list[Fault]:
    """Everything that is wrong with a value that is no such struct; error: what was found first."""
    first = fault_of(error)
    if not isinstance(value, dict) or not isinstance(kind, type) \
            or not issubclass(kind, msgspec.Struct):
        return [first]
    found = []
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in known.items():
        if name not in value:
            if field.required:
                found.append(Fault(field=name, detail="is missing"))
            continue
        try:
            msgspec.convert(value[name], field.type)
        except msgspec.ValidationError as wrong:
            found.append(fault_of(wrong, name))
    if kind.__struct_config__.forbid_unknown_fields:
        tag = kind.__struct_config__.tag_field
        found += [Fault(field=str(name)[:MAX_VALUE], detail="there is no such field")
                  for name in value if name not in known and name != tag]
    return found[:MAX_FAULTS] or [first]
