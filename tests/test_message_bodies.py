"""Session descriptions and keys in the bodies of messages."""

import pytest

from callcontrol.sofia.body import MAX_PARTS, key_of, sdp_of

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
ISUP = "--b\r\nContent-Type: application/isup;version=x\r\n\r\n\x01\ufffd\0\r\n"
PART = f"--b\r\nContent-ID: <a@b>\r\ncontent-type : Application/SDP;x=1\r\n\r\n{SDP}\r\n"


@pytest.mark.parametrize(("kind", "boundary", "body", "found"), [
    ("application/sdp", "", SDP, SDP), ("Application/SDP ;charset=utf-8", "", SDP, SDP),
    ("application/sdp", "", "", ""), ("", "", SDP, ""), ("text/plain", "", SDP, ""),
    ("multipart/mixed", "b", PART + ISUP + "--b--\r\n", SDP),
    ("multipart/mixed;boundary=b", '"b"', ISUP + PART + "--b--\r\n", SDP),
    ("multipart/related", "b", "a preamble\r\n" + PART + "--b--\r\n", SDP),
    ("multipart/mixed", "b", PART.replace(SDP, SDP.rstrip()) + "--b--\r\n", SDP),
    ("multipart/mixed", "b", ISUP + "--b--\r\n", ""), ("multipart/mixed", "", PART, ""),
    ("multipart/mixed", "c", PART, ""), ("multipart/mixed", "b", "--b\r\n", ""),
    ("multipart/mixed", "b", "--b\r\nContent-Type: application/sdp\r\n", ""),
    ("multipart/mixed", "b", ISUP * MAX_PARTS + PART, ""),
])
def test_the_description_is_found(kind: str, boundary: str, body: str, found: str) -> None:
    assert sdp_of(kind, boundary, body) == found


@pytest.mark.parametrize(("kind", "body", "key"), [
    ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
    ("application/dtmf-relay", "Signal= 11\r\n", "#"), ("application/dtmf", "*", "*"),
    ("application/dtmf", "12", ""), ("text/plain", "5", ""), ("application/dtmf-relay", "", ""),
])
def test_the_key_is_found(kind: str, body: str, key: str) -> None:
    assert key_of(kind, body) == key
