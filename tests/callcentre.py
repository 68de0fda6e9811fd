"""A company with queues, for tests with real calls: what supervisors and agents do, by the API."""

from typing import Any

from tests.exchange import Company, eventually
from tests.listening import prompt, service, to
from tests.people import People, wait_for
from tests.softphone import Softphone


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
        row: dict[str, Any] = self.company.post("queue_members", {
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
            page = self.client.get(f"{self.base}/events?after={after}&limit=1000")["items"]
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
