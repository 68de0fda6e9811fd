"""A person's own activity by telephone (P6): the menu, and the dial codes."""

from datetime import datetime, timedelta

from callcontrol import codes, words
from callcontrol.call import Call, Side
from callcontrol.services.base import Desk, Go, Service, State
from store.model import Activity, Target

TRIES = 3
MAX_CHOICES = 9
#: Activities, as companies call them, that end on a date.
DAYS = frozenset({
    "vacation", "holiday", "sick", "parental leave", "parental", "travelling", "travel", "off",
    "training", "semester", "sjuk", "föräldraledig", "resa", "ledig", "utbildning", "loma",
    "sairas", "vanhempainvapaa", "matka", "vapaa",
})


def end_time(digits: str, now: datetime, days: bool) -> datetime | None:
    """HHMM: today, or tomorrow when it has passed; MMDD: that day's beginning. days: what an
    ambiguous one (0101 to 1231) is for this activity. None: it is neither."""
    first, second = int(digits[:2]), int(digits[2:])
    for as_date in (days, not days):
        try:
            if as_date:
                end = now.replace(month=first, day=second, hour=0, minute=0, second=0,
                                  microsecond=0)
                return end if end > now else end.replace(year=now.year + 1)
            end = now.replace(hour=first, minute=second, second=0, microsecond=0)
            return end if end > now else end + timedelta(days=1)
        except ValueError:
            continue
    return None


def lasts_days(activity: Activity) -> bool:
    """Whether one is back from it on a day rather than at a time."""
    return activity.name.lower() in DAYS


class _Presence(Service):
    source = "menu"

    async def put(self, activity: Activity | None, end: datetime | None) -> None:
        """Set it and say what is so now."""
        until = int(end.timestamp()) if end else 0
        if not await self.desk.set_presence(self.call.tenant, self.side.user,
                                            activity.id if activity else None, until,
                                            self.source):
            await self.say("exchange_fault", barge=False)
            return
        await self.call.say(self.side, await self.spoken(words.presence_now(
            activity.name if activity else "available", end, self.now(), self.call.language)),
            barge=False)

    def activities(self) -> list[Activity]:
        """The company's, by code."""
        rows = self.desk.store.find("activity", tenant=self.call.tenant, limit=200)
        return sorted((row for row in rows if isinstance(row, Activity)),
                      key=lambda row: (row.code or "999", row.id))


class PresenceMenu(_Presence):
    """Which activity, until when."""

    chosen: Activity | None = None
    tries = 0

    async def start(self) -> State | Go:
        """Only for a telephone of the company."""
        await self.call.answer(self.side)
        if not self.side.user:
            await self.say("not_allowed", barge=False)
            return Go()
        return self.which

    async def which(self) -> State | Go:
        """0 is available, 1 to 9 the company's activities."""
        self.tries += 1
        choices = self.activities()[:MAX_CHOICES]
        texts = [words.phrase("presence_menu", self.call.language),
                 words.phrase("presence_choice", self.call.language, key="0", activity=words
                              .activity_name("available", self.call.language))]
        texts += [words.phrase("presence_choice", self.call.language, key=str(key),
                               activity=words.activity_name(row.name, self.call.language))
                  for key, row in enumerate(choices, 1)]
        key = await self.call.ask(self.side, await self.spoken(" ".join(texts)), 1, first_s=8.0,
                                  ends="")
        if key == "0":
            await self.put(None, None)
            return Go()
        if key.isdecimal() and 0 < int(key) <= len(choices):
            self.chosen = choices[int(key) - 1]
            return self.until
        if self.tries < TRIES:
            await self.say("not_understood")
            return self.which
        await self.say("goodbye", barge=False)
        return Go()

    async def until(self) -> State | Go:
        """Four digits, or none."""
        digits = await self.call.ask(self.side, await self.phrase("presence_ask_end"), 4,
                                     first_s=8.0)
        end = end_time(digits, self.now(), self.chosen is not None and lasts_days(self.chosen)) \
            if len(digits) == 4 and digits.isdecimal() else None
        if digits and end is None:
            self.side.keys = ""
            self.tries += 1
            await self.say("bad_time")
            return self.until if self.tries < TRIES else Go()
        await self.put(self.chosen, end)
        return Go()


class PresenceCode(_Presence):
    """A dialled code: *23*code#, *23*code*HHMM#, *23*code*MMDD#, #23#; *21*number#, #21#."""

    source = "code"

    def __init__(self, desk: Desk, call: Call, side: Side, code: codes.Code) -> None:
        super().__init__(desk, call, side)
        self.code = code

    async def start(self) -> State | Go:
        """Do it and say so."""
        await self.call.answer(self.side)
        action = self.code.action
        if not self.side.user:
            await self.say("not_allowed", barge=False)
        elif action is codes.Dialled.PRESENCE_OFF:
            await self.put(None, None)
        elif action is codes.Dialled.PRESENCE:
            await self.set()
        elif action is codes.Dialled.FORWARD:
            await self.forward()
        else:
            done = await self.desk.set_forward(self.call.tenant, self.side.user, None)
            await self.say("forward_off" if done else "exchange_fault", barge=False)
        return Go()

    async def set(self) -> None:
        """The activity with that code."""
        activity = next((row for row in self.activities() if row.code == self.code.first), None)
        end = end_time(self.code.second, self.now(), lasts_days(activity)) \
            if activity and self.code.second else None
        if activity is None:
            await self.say("code_unknown", barge=False)
        elif self.code.second and end is None:
            await self.say("bad_time", barge=False)
        else:
            await self.put(activity, end)

    async def forward(self) -> None:
        """All calls to a number, or a colleague's extension."""
        keyed = self.code.first
        user = self.desk.user_of_extension(self.call.tenant, keyed)
        number = self.desk.e164(self.call.tenant, keyed) if keyed.startswith(("+", "0")) else ""
        if user == self.side.user or not (user or number):
            await self.say("not_allowed", barge=False)
            return
        target = Target(kind="user", user=user) if user else Target(kind="number", text=number)
        done = await self.desk.set_forward(self.call.tenant, self.side.user, target)
        if done:
            await self.say("forward_set", number=self.code.first, barge=False)
        else:
            await self.say("not_allowed", barge=False)
