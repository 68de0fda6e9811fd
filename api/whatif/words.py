"""What the figures of an answer mean, and what is assumed: part of every answer."""

from typing import Final

from api.figures.counts import DEFINITIONS as FIGURES
from api.figures.service_level import FORMULAS

_QUEUE: Final = FIGURES["queue"]

DEFINITIONS: Final = {
    "before": "with the configuration of now, at `revision`; in the queues: simulated",
    "after": "with the changed configuration; in the queues: simulated",
    "recorded": "as it really was, from the events of the queues",
    "calls": "call records of the period that have a decision, without legs",
    "legs": "calls that call control made for a call, such as to the agents of a queue; those of a"
            " call that goes elsewhere are not among legs_differ",
    "attempts": "decisions made again: the first of a call and those after an attempt that failed",
    "differ": "calls of which an attempt is decided otherwise in kind, reason, service, group,"
              " shown number, number dialled, telephones or trunks; the first such attempt counts",
    "as_recorded": "calls that the configuration of now decides as they were decided then, looking"
                   " at the same things in the same order",
    "assumed": "calls for which something of the live state was asked that was not looked at then",
    "unreadable": "records whose decisions were cut or cannot be read",
    "outcome": "where the last attempt, or the first that differs, led; whether somebody would have"
               " answered there is not known",
    "left_out": "rows of the tables that are not shown, of all tables together",
    "offered": _QUEUE["offered"], "answered": _QUEUE["answered"],
    "abandoned": _QUEUE["abandoned"], "refused": _QUEUE["refused"],
    "overflowed": _QUEUE["left"],
    **{name: formula + "; T is service_level_s of each configuration"
       for name, formula in FORMULAS.items()},
    "wait": "of callers who were answered, from their first arrival; percentiles: so many of a"
            " hundred waited no longer, in begun seconds",
    "occupancy": "talking and wrap-up in queues, of the time logged in",
    "agreement": "how near the simulation of the configuration of now comes to what was recorded: 1"
                 " less the sum over the queues of what it is off, divided by the sum recorded",
}
ASSUMPTIONS: Final = (
    "The configuration of now stands for that of the whole period; as_recorded says how far it"
    " does.",
    "Presence, log-ins to groups, lines and trunks are as the decision saw them. What it did not"
    " look at is as it was last seen or told, else available, logged in and up; a line is as the"
    " call records have it.",
    "An attempt that was decided the same failed for the same cause as then.",
    "Callers come when they came. One who left by own choice leaves after the same time; one who"
    " was answered or sent on was patient at least so long, and is given a patience drawn from"
    " Kaplan and Meier's estimate for the queue.",
    "A caller who would have come to a queue only with the change comes when the call began, with a"
    " patience and a length of conversation drawn from those of the queues.",
    "Only calls that the routing leads straight to a queue have its entry's priority and skills;"
    " those that come through a menu have none.",
    "Conversations last as long as they did, for callers who were not answered as long as one of"
    " the queue's, drawn by lot. A wrap-up that the agent ended early takes as long as it did;"
    " others as long as is configured.",
    "An agent reacts to an offer as to one of the recorded ones, drawn by lot, the same for a"
    " caller in both simulations; without any, answers after a quarter of the ring time.",
    "Agents log in, log out and pause when they did, and their lines are in use for other calls"
    " when they were. Whom missed calls have logged out or paused is back after 5 minutes.",
    "A new member of a queue is logged in to it while logged in to any other; who never was, while"
    " the queue is open.",
    "Callbacks are not simulated: who asked for one leaves then, and the agent who made one was in"
    " a call.",
    "Nobody waits when the period begins, and agents' activities are not looked at.",
)
