"""SIP messages as texts, read for tests."""

import re


class Message:
    """A SIP message, read. code: 0 of a request; method: of its transaction."""

    def __init__(self, text: str) -> None:
        self.text = text
        head, _, self.body = text.partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = [(name.strip().lower(), value.strip())
                        for name, _, value in (line.partition(":") for line in lines)]
        self.code = int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0
        self.method = self.get("cseq").partition(" ")[2] if self.code else self.start.split()[0]

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name: str) -> str:
        """The first, "" when there is none."""
        return next(iter(self.all(name)), "")

    @property
    def branch(self) -> str:
        """Of the topmost Via."""
        found = re.search(r";branch=([^;,\s]+)", self.get("via"))
        return found[1] if found else ""

    @property
    def routes(self) -> list[str]:
        """The Record-Route entries, in order."""
        return re.findall(r"<[^>]*>", " ".join(self.all("record-route")))

    @property
    def contact(self) -> str:
        """Its URI."""
        found = re.search(r"<([^>]*)>", self.get("contact"))
        return found[1] if found else self.get("contact")


def tag_of(value: str) -> str:
    """The tag in a From or To."""
    found = re.search(r";tag=([^;\s]+)", value)
    return found[1] if found else ""


def gist(text: str) -> str:
    """A message in a line."""
    message = Message(text)
    return (f"{message.start[:70]} | {message.get('cseq')} | {message.get('call-id')[:12]}"
            + (f" | {message.get('subscription-state')[:12]}" if message.method == "NOTIFY" else "")
            + (f" | {message.body[:24].strip()!r}" if message.body else ""))
