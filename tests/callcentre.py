"""A company with queues, for tests with real calls: what supervisors and agents do, by the API."""

import secrets
from typing import Any

from tests.exchange import Company, eventually
from tests.listening import prompt, service, to
from tests.people import People, both, take, wait_for
from tests.softphone import Call, Carrier, Softphone


class Centre:
    """Of People's company."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.company: Company = people.company
        self.client = people.company.client
        self.base = people.company.base

    def queue(self, *, name: str = "", **settings: Any) -> int:
        """A queue that waits little; its id."""
        return service(self.company, "queue", name=name, **settings)

    def number(self, target: int, local: int = 50) -> str:
        """A public number that leads to that service."""
        return self.company.main(to(target), local)

    def prompt(self, hz: float, seconds: float = 0.5) -> int:
        """A tone."""
        return prompt(self.company, hz, seconds)

    async def agent(self, extension: str, *queues: int, logged_in: bool = True, hz: int = 0,
                    **fields: Any) -> Softphone:
        """A person with a telephone, who is a member of these queues."""
        phone = await self.people.phone(extension, functions=False, hz=hz)
        for queue in queues:
            self.member(extension, queue, **fields)
        if logged_in:
            self.log_in(extension)
        return phone

    def member(self, extension: str, queue: int, **fields: Any) -> int:
        """Of a queue."""
        row: dict[str, Any] = self.company.post("queue-members", {
            "service": queue, "user": self.people.users[extension]} | fields)
        return int(row["id"])

    def log_in(self, extension: str, logged_in: bool = True,
               queues: list[int] | None = None) -> dict[str, Any]:
        """By the supervisor."""
        body: dict[str, Any] = {"logged_in": logged_in}
        if queues is not None:
            body["queues"] = queues
        found: dict[str, Any] = self.client.put(
            f"{self.base}/agents/{self.people.users[extension]}/login", body)
        return found

    def state(self, extension: str) -> dict[str, Any]:
        """Of an agent, now."""
        found: dict[str, Any] = self.client.get(
            f"{self.base}/agents/{self.people.users[extension]}")
        return found

    def live(self, queue: int) -> dict[str, Any]:
        """A queue, now."""
        found: dict[str, Any] = self.client.get(f"{self.base}/queues/{queue}")
        return found

    async def is_in(self, extension: str, state: str, seconds: float = 5) -> dict[str, Any]:
        """Until the agent is in that state."""
        async def found() -> dict[str, Any] | None:
            now = self.state(extension)
            return now if now["state"] == state else None

        answer: dict[str, Any] = await wait_for(found, f"{extension} to be {state}", seconds)
        return answer

    async def waiting(self, queue: int, count: int, seconds: float = 5) -> list[dict[str, Any]]:
        """Until so many wait on the line: the callers, in order."""
        async def found() -> list[dict[str, Any]] | None:
            now = self.live(queue)
            return [one for one in now["callers"] if one["live"]] \
                if now["waiting"] == count else None

        async def asked() -> Any:
            answer = await found()
            return None if answer is None else (answer,)

        (answer,) = await wait_for(asked, f"{count} to wait", seconds)
        return list(answer)

    def told(self, what: str = "") -> list[dict[str, Any]]:
        """What the queues have said, in order."""
        items: list[dict[str, Any]] = []
        after = 0
        while True:
            page = self.client.get(f"{self.base}/events", after=after, limit=1000)["items"]
            items += [one for one in page if one["kind"] == "queue"]
            if len(page) < 1000:
                break
            after = page[-1]["seq"]
        return [one for one in items if not what or one["data"]["what"] == what]

    def left(self, count: int = 1) -> list[int]:
        """Reasons of those who left, once there are so many."""
        def enough() -> list[int]:
            found = [one["data"]["x"] for one in self.told("left")]
            return found if len(found) >= count else []

        answer: list[int] = eventually(enough)
        return answer

    # -- agents, as their telephones and the events show them ------------------------------------

    def entry(self, queue: int, local: int, **settings: Any) -> str:
        """A public number that leads to a way into a queue."""
        return self.number(service(self.company, "queue_entry", queue=queue, **settings), local)

    def skilled(self, *skills: tuple[str, int]) -> list[dict[str, Any]]:
        """Skills with their levels, as the API takes them."""
        return [{"name": name, "level": level} for name, level in skills]

    def extension(self, user: int) -> str:
        """Of a person of this company; "" for nobody."""
        return next((key for key, value in self.people.users.items() if value == user), "")

    def pause(self, extension: str, reason: str) -> dict[str, Any]:
        """By the supervisor; "" ends it."""
        path = f"{self.base}/agents/{self.people.users[extension]}/pause"
        if reason:
            self.client.put(path, {"reason": reason})
        else:
            self.client.call("DELETE", path)
        return self.state(extension)

    def wrap_up(self, extension: str, **body: Any) -> dict[str, Any]:
        """end=True or prolong_s=seconds; the agent then."""
        found: dict[str, Any] = self.client.post(
            f"{self.base}/agents/{self.people.users[extension]}/wrap-up", body)
        return found

    async def heard(self, what: str, count: int = 1,
                    seconds: float = 5) -> list[dict[str, Any]]:
        """The data of the queues' events of that kind, once there are so many."""
        async def found() -> list[dict[str, Any]]:
            events = [one["data"] for one in self.told(what)]
            return events if len(events) >= count else []

        answer: list[dict[str, Any]] = await wait_for(
            found, lambda: f"{count} times {what}: {[one['data'] for one in self.told()]}", seconds)
        return answer

    async def offered(self, count: int, seconds: float = 5) -> list[str]:
        """Whose telephones were rung, once there were so many offers."""
        return [self.extension(one["agent"]) for one in await self.heard("offer", count, seconds)]

    async def served(self, number: str, phone: Softphone, carrier: Carrier) -> tuple[Call, Call]:
        """The caller's and the agent's call, once they hear each other."""
        line = await carrier.dial(number)
        call = await take(phone)
        await line.answered()
        await both(line, call)
        return line, call

    def explain(self, queue: int, **which: Any) -> dict[str, dict[str, Any]]:
        """Why each agent is offered a caller (caller=, call=, at=) or not."""
        found = self.client.get(f"{self.base}/queues/{queue}/explain", **which)
        return {self.extension(one["user"]): one for one in found["agents"]}

    # -- callers ---------------------------------------------------------------------------------

    def change(self, queue: int, **settings: Any) -> None:
        """Some of a queue's settings; who asks for the queue then finds them in force."""
        path = f"{self.base}/services/{queue}"
        before = self.client.get(path)["settings"]
        for name, value in settings.items():  # a merge: what is not named any more is taken away
            if isinstance(value, dict) and isinstance(before.get(name), dict):
                settings[name] = dict.fromkeys(before[name]) | value
        self.client.patch(path, {"settings": settings})
        self.live(queue)

    def schedule(self, state: str = "open") -> int:
        """Opened and closed by hand."""
        return int(self.company.post("schedules", {
            "name": f"Hours {secrets.token_hex(3)}", "state": state,
            "rules": [{"kind": "daily", "open": True}]})["id"])

    def turn(self, schedule: int, state: str) -> None:
        """Open or close everything that has that schedule."""
        self.client.patch(f"{self.base}/schedules/{schedule}", {"state": state})

    async def absent(self, extension: str, *queues: int) -> Softphone:
        """An agent who has a break: with STAY those who call wait until it is over."""
        phone = await self.agent(extension, *queues)
        self.pause(extension, "break")
        return phone

    async def caller(self, carrier: Carrier, number: str, own: str = "", hz: int = 0) -> Call:
        """Somebody with that number and that voice calls from outside, and is answered."""
        carrier.user = own or carrier.user
        line = await carrier.dial(number)
        if hz:
            line.media.say(hz)
        await line.answered()
        return line

    def callbacks(self, queue: int) -> list[dict[str, Any]]:
        """Of those who hung up and kept their place."""
        found: list[dict[str, Any]] = self.client.get(
            f"{self.base}/queues/{queue}/callbacks")["items"]
        return found


#: Of the overflow of a queue in which callers wait for an agent who has a break.
STAY: dict[str, Any] = {"pauses_present": ["break"]}
