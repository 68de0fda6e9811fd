"""Queues with real telephones: who is rung, what the caller hears, where the caller goes."""

from tests.callcentre import Centre
from tests.people import People, both, music, scene, take


@scene
async def test_a_caller_waits_and_is_served(people: People) -> None:
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=2)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line = await carrier.dial(number)
    call = await take(anna)
    await line.answered()
    await both(line, call)
    assert (await centre.is_in("101", "talking"))["queue"] == queue
    second = await carrier.dial(number)
    await second.answered()
    await music(second)
    await centre.waiting(queue, 1)
    await line.hang_up()
    await call.ended()
    await centre.is_in("101", "wrap_up")
    call = await take(anna)
    await both(second, call)
    await call.hang_up()
    await second.ended()
