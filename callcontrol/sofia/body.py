"""What the bodies of messages say: session descriptions and keys (pure)."""

from typing import Final

SDP_TYPE: Final = "application/sdp"
MAX_INFO: Final = 200
#: Of a multipart body: what we know sends three at the most (a description, ISUP, a location).
MAX_PARTS: Final = 16


def sdp_of(kind: str, boundary: str, body: str) -> str:
    """The session description in a body, "" when there is none. kind: its Content-Type; boundary:
    the parameter of that name, for multipart bodies (RFC 5621 section 3.1, RFC 2046 section 5.1.1),
    as carriers send beside ISUP (RFC 3204) and telephones beside a location (RFC 6442)."""
    kind = _media_type(kind)
    if kind == SDP_TYPE:
        return body
    boundary = boundary.strip().strip('"')
    if not kind.startswith("multipart/") or not boundary:
        return ""
    for part in ("\r\n" + body).split(f"\r\n--{boundary}", MAX_PARTS)[1:]:
        head, gap, text = part.partition("\r\n\r\n")
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if gap and name.strip().lower() == "content-type" and _media_type(value) == SDP_TYPE:
                return text if text.endswith("\r\n") else text + "\r\n"
    return ""


def key_of(kind: str, body: str) -> str:
    """The key in an INFO: "Signal=5" (dtmf-relay) or "5" (dtmf)."""
    body = body[:MAX_INFO]
    kind = _media_type(kind)
    if kind == "application/dtmf":
        key = body.strip()
    elif kind == "application/dtmf-relay":
        signal = [line.partition("=")[2].strip() for line in body.splitlines()
                  if line.strip().lower().startswith("signal")]
        key = signal[0] if signal else ""
    else:
        return ""
    key = {"10": "*", "11": "#"}.get(key, key)
    return key if len(key) == 1 and key in "0123456789*#ABCD" else ""


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
