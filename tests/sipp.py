"""SIP phones and carriers for the tests: SIPp with scenarios put together from steps."""

import contextlib
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from vaxel.ports import free_port

SDP = """v=0
o=- 1 1 IN IP4 [media_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
"""


def _message(text: str, body: bool = False) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    if body:
        lines += ["Content-Type: application/sdp", "Content-Length: [len]", "", SDP]
    else:
        lines += ["Content-Length: 0", "", ""]
    return "\n".join(lines)


def _send(text: str, body: bool = False, retrans: bool = True) -> str:
    again = ' retrans="500"' if retrans else ""
    return f"<send{again}><![CDATA[\n{_message(text, body)}\n]]></send>\n"


def _response(status: str, *, body: bool = False, more: str = "", retrans: bool = False) -> str:
    return _send(f"""SIP/2.0 {status}
        [last_Via:]
        [last_Record-Route:]
        [last_From:]
        [last_To:];tag=[pid]t[call_number]
        [last_Call-ID:]
        [last_CSeq:]
        Contact: <sip:[local_ip]:[local_port];transport=[transport]>
        {more}""".strip(), body, retrans)


def _in_dialog(method: str, cseq: int) -> str:
    return _send(f"""{method} [next_url] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        [routes]
        From: <sip:[$me]@[local_ip]:[local_port]>;tag=[pid]f[call_number]
        To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
        Call-ID: [call_id]
        CSeq: {cseq} {method}
        Max-Forwards: 70""", retrans=method != "ACK")


def scenario(steps: str) -> str:
    """A scenario of SIPp's own XML steps."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="x">\n{steps}\n</scenario>\n'


def answering(talk_ms: int = 60_000) -> str:
    """Rings, answers, waits for BYE."""
    return scenario(
        '<recv request="INVITE" rrs="true"/>\n' + _response("180 Ringing")
        + '<pause milliseconds="40"/>\n' + _response("200 OK", body=True, retrans=True)
        + '<recv request="ACK"/>\n'
        + f'<recv request="BYE" timeout="{talk_ms}"/>\n' + _response("200 OK"))


def refusing(status: str, more: str = "", ring: bool = True) -> str:
    """Rings and refuses."""
    return scenario(
        '<recv request="INVITE"/>\n' + (_response("180 Ringing") if ring else "")
        + '<pause milliseconds="40"/>\n' + _response(status, more=more, retrans=True)
        + '<recv request="ACK"/>\n')


def ringing() -> str:
    """Rings until it is cancelled."""
    return scenario(
        '<recv request="INVITE"/>\n' + _response("180 Ringing")
        + '<recv request="CANCEL"><action><ereg regexp=".*" search_in="hdr" header="CSeq:" '
          'assign_to="seq"/></action></recv>\n<Reference variables="seq"/>\n'
        + _response("200 OK")
        + _send("""SIP/2.0 487 Request Terminated
        [last_Via:]
        [last_From:]
        [last_To:];tag=[pid]t[call_number]
        [last_Call-ID:]
        CSeq: 1 INVITE""", retrans=True).replace("CSeq: 1 INVITE", "CSeq: [cseq] INVITE")
        + '<recv request="ACK"/>\n')


def silent() -> str:
    """Takes the INVITE and says nothing."""
    return scenario('<recv request="INVITE"/>\n<pause milliseconds="60000"/>\n')


def _invite(me: str, cseq: int, more: str) -> str:
    return _send(f"""INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        From: <sip:[$me]@[local_ip]:[local_port]>;tag=[pid]f[call_number]
        To: <sip:[service]@[remote_ip]:[remote_port]>
        Call-ID: [call_id]
        CSeq: {cseq} INVITE
        Contact: <sip:[$me]@[local_ip]:[local_port];transport=[transport]>
        Max-Forwards: 70
        {more}""".rstrip(), body=True)


def calling(me: str, expect: int, *, password: str = "", more: str = "", talk_ms: int = 300,
            cancel_ms: int = 0, hangs_up: bool = True) -> str:
    """Calls, expects that final response, talks, hangs up. password: answers a challenge."""
    steps = f"<nop><action><assignstr assign_to=\"me\" value=\"{me}\"/></action></nop>\n"
    steps += _invite(me, 1, more)
    cseq = 1
    if password:
        steps += ('<recv response="100" optional="true"/>\n'
                  '<recv response="407" auth="true"/>\n') + _ack_failure(1)
        cseq = 2
        auth = f"[authentication username={me} password={password}]"
        steps += _invite(me, 2, f"{auth}\n        {more}".rstrip())
    provisional = "".join(f'<recv response="{code}" optional="true"/>\n'
                          for code in (100, 180, 183))
    if cancel_ms:
        steps += ('<recv response="100" optional="true"/>\n<recv response="180"/>\n'
                  f'<pause milliseconds="{cancel_ms}"/>\n')
        steps += _send(f"""CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0
        [last_Via:]
        [last_From:]
        To: <sip:[service]@[remote_ip]:[remote_port]>
        Call-ID: [call_id]
        CSeq: {cseq} CANCEL
        Max-Forwards: 70""")
        steps += '<recv response="200"/>\n<recv response="487"/>\n' + _ack_failure(cseq)
        return scenario(steps)
    steps += provisional
    if expect == 200:
        steps += '<recv response="200" rrs="true"/>\n' + _in_dialog("ACK", cseq)
        if hangs_up:
            steps += f'<pause milliseconds="{talk_ms}"/>\n' + _in_dialog("BYE", cseq + 1)
            steps += '<recv response="200"/>\n'
        else:
            steps += '<recv request="BYE"/>\n' + _response("200 OK")
    else:
        steps += f'<recv response="{expect}"/>\n' + _ack_failure(cseq)
    return scenario(steps)


def _ack_failure(cseq: int) -> str:
    return _send(f"""ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
        [last_Via:]
        From: <sip:[$me]@[local_ip]:[local_port]>;tag=[pid]f[call_number]
        [last_To:]
        Call-ID: [call_id]
        CSeq: {cseq} ACK
        Max-Forwards: 70""", retrans=False)


class Sipp:
    """One SIPp process, started by `with` and ended by its own id."""

    def __init__(self, scenario: str, *, address: str = "127.0.0.1", port: int = 0,
                 remote: str = "", service: str = "x", calls: int = 1, rate: float = 10,
                 transport: str = "u1", concurrent: int = 0) -> None:
        """remote: host:port that is called; "" = waits for calls."""
        self.address = address
        self.port = port or free_port(address, spread=2)
        self._folder = tempfile.TemporaryDirectory(prefix="vaxel-sipp-")
        folder = Path(self._folder.name)
        (folder / "scenario.xml").write_text(scenario)
        self._messages = folder / "messages"
        self._errors = folder / "errors"
        media = free_port(address, spread=4)
        self._arguments = [
            "sipp", "-sf", str(folder / "scenario.xml"), "-i", address, "-mi", address,
            "-p", str(self.port), "-t", transport, "-nostdin", "-m", str(calls),
            "-mp", str(media), "-s", service,
            "-trace_msg", "-message_file", str(self._messages), "-trace_err", "-error_file",
            str(self._errors), "-recv_timeout", "60000", "-cid_str", f"%u-%p-{port}@%s",
        ]
        if concurrent:
            self._arguments += ["-l", str(concurrent)]
        if remote:
            # What it answers a challenge for is what it calls (RFC 7616 section 3.4.6).
            self._arguments += ["-r", str(rate), "-auth_uri", f"{service}@{remote}", remote]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, cwd=self._folder.name)
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None,
                 _trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        self._folder.cleanup()

    def done(self, seconds: float = 20) -> None:
        """Wait until its calls are over; AssertionError with the trace when they went wrong."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = -1
        if code != 0:
            what = self._errors.read_text() if self._errors.exists() else ""
            if self._process.stderr and code != -1:
                what += self._process.stderr.read().decode(errors="replace")
            raise AssertionError(f"SIPp ended with {code}\n{what[-1500:]}\n{self.trace()[-6000:]}")

    def trace(self) -> str:
        """Everything sent and received."""
        return self._messages.read_text(errors="replace") if self._messages.exists() else ""

    def received(self, start: str) -> list[str]:
        """The messages received that begin so."""
        found = re.findall(r"message received \[\d+\] bytes ?:?\s*\n\n(.*?)(?=\n-{10,}|\Z)",
                           self.trace(), re.DOTALL)
        return [text for text in found if text.startswith(start)]

    def first_time(self, direction: str, start: str) -> float:
        """When the first such message was "sent" or "received", seconds of the day."""
        found = re.search(r"-{10,} \d+-\d+-\d+ (\d+):(\d+):([\d.]+)\s*\n\S+ message "
                          + direction + r"[^\n]*\n\n" + re.escape(start), self.trace())
        assert found, f"{start} was not {direction}:\n{self.trace()[:2000]}"
        return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])

    def started_receiving(self, start: str, seconds: float = 5) -> str:
        """The first message received that begins so; waits for it."""
        until = time.monotonic() + seconds
        while not (found := self.received(start)):
            if time.monotonic() > until or self._process.poll() is not None:
                raise AssertionError(f"no {start} came:\n{self.trace()[-3000:]}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        return found[0]


def header(message: str, name: str) -> str:
    """The value of the first header of that name, "" when it is not there."""
    found = re.search(rf"^{re.escape(name)}:[ \t]*(.*?)\r?$", message,
                      re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""
