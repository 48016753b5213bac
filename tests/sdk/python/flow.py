"""Rules of flow control: the functions of `tests/sdk/functions/flow.mjs`, by the same names. Their work is
counted while it goes on, and goes on for as long as the test wants if the event says `hold`."""

import asyncio
import datetime
import os

import fastapi
import inngest

MINUTE = datetime.timedelta(minutes=1)
HOUR = 60 * MINUTE
KEY = "event.data.key"
ONE = [inngest.Concurrency(limit=1)]


class Places:
    """Where work goes on: how much now, at most so far, and in which order it began."""

    def __init__(self, counts):
        self.now, self.most, self.log = counts["now"], counts["most"], counts["log"]
        self.held = []
        self.is_open = False

    async def work(self, places, data):
        for place in places:
            self.now[place] = self.now.get(place, 0) + 1
            self.most[place] = max(self.most.get(place, 0), self.now[place])
            self.log.setdefault(place, []).append(data.get("n"))
        if data.get("hold") and not self.is_open:
            go = asyncio.Event()
            self.held.append(go)
            await go.wait()
        for place in places:
            self.now[place] -= 1
        return data.get("n")

    def let_on(self, count):
        """Lets on so many of what is held, or all from then on."""
        self.is_open = self.is_open or count == "all"
        many = len(self.held) if self.is_open else int(count)
        for go in self.held[:many]:
            go.set()
        del self.held[:many]


def add(app, define, counts, bump):
    """Adds the functions and what the test tells them: POST /let-on, and POST /limit, which gives
    `at-a-time` another limit as its next deployment would."""
    places = Places(counts)

    def at(of, name, *where, **more):
        """A counted step that works at these places."""

        async def body():
            bump(of.ran, name)
            return await places.work(where, {**of.data, **more})

        return of.step.run(name, body)

    def works(fn_id, place=None, **rules):
        """A function that works, and sleeps if the event says so."""
        place = place or fn_id

        @define(fn_id, **rules)
        async def body(of):
            done = await at(of, "work", place, f"{place}/{of.data.get('key')}")
            if of.data.get("nap"):
                await of.step.sleep("nap", int(of.data["nap"].removesuffix("m")) * MINUTE)
            return done

        return body

    at_a_time = works("at-a-time", concurrency=ONE)

    @app.post("/let-on")
    async def let_on(request: fastapi.Request):
        places.let_on((await request.body()).decode())
        return {}

    @app.post("/limit")
    async def limit(request: fastapi.Request):
        most = int(await request.body())
        at_a_time._opts.concurrency = [inngest.Concurrency(limit=most)]
        return {}

    add_concurrency(define, works, at)
    add_starts(define, works, at)
    if os.environ.get("APP_REFUSED"):
        add_refused(works)


def add_concurrency(define, works, at):
    keyed = [inngest.Concurrency(limit=3), inngest.Concurrency(limit=1, key=KEY)]
    works("two-limits", concurrency=keyed)
    for scope in ("env", "account"):
        for name, key in (("one", '"printer"'), ("two", KEY)):
            rule = inngest.Concurrency(limit=2, key=key, scope=scope)
            works(f"of-{scope}-{name}", place=scope, concurrency=[rule])

    async def rest(of):
        match of.data["how"]:
            case "sleep":
                await of.step.sleep("nap", HOUR)
            case "wait":
                await of.step.wait_for_event("wait", event="sdk/never", timeout=HOUR)
            case "invoke":
                await of.step.invoke_by_id("call", function_id="child-sleeps", data={})
            case "retry":

                def risky():
                    if of.ran["risky"] < 2:
                        raise inngest.RetryAfterError("later", HOUR)

                await of.run("risky", risky)

    @define("rests", concurrency=ONE)
    async def rests(of):
        await rest(of)
        return await at(of, "after", "rests")

    @define("parts-at-a-time", concurrency=[inngest.Concurrency(limit=2)])
    async def parts_at_a_time(of):
        def part(n):
            return lambda: at(of, f"part-{n}", "parts", n=n)

        return await of.gather(*(part(n) for n in range(5)))

    @define("charges")
    async def charges(of):
        await at(of, "prepare", "prepare", hold=False)
        return await at(of, "charge", "charge")


def add_starts(define, works, at):
    @define("throttled", throttle=inngest.Throttle(limit=2, period=HOUR, burst=1, key=KEY))
    async def throttled(of):
        await at(of, "start", f"throttled/{of.data['key']}")
        await of.step.sleep("nap", datetime.timedelta(seconds=1))
        return await of.run("after", lambda: of.data["n"])

    works("rate-limited", rate_limit=inngest.RateLimit(limit=1, period=HOUR, key=KEY))
    works("rate-limited-to-twenty", rate_limit=inngest.RateLimit(limit=20, period=20 * HOUR))
    works("debounced", debounce=inngest.Debounce(period=10 * MINUTE, timeout=25 * MINUTE, key=KEY))
    some = inngest.Batch(max_size=3, timeout=10 * MINUTE, key=KEY, if_exp="event.data.n < 100")

    @define("batched", batch_events=some)
    async def batched(of):
        return await of.run("take", lambda: [event.data["n"] for event in of.ctx.events])

    works("prioritized", concurrency=ONE, priority=inngest.Priority(run="event.data.priority"))
    works("single", singleton=inngest.Singleton(mode="skip", key=KEY))
    works("newest", singleton=inngest.Singleton(mode="cancel", key=KEY))
    works("once-a-day", idempotency=KEY)
    works("starts-soon", concurrency=ONE, timeouts=inngest.Timeouts(start=10 * MINUTE))
    works("ends-soon", concurrency=ONE, timeouts=inngest.Timeouts(finish=HOUR))


def add_refused(works):
    batch = inngest.Batch(max_size=3, timeout=10 * MINUTE)
    debounce = inngest.Debounce(period=MINUTE)
    works("batches-and-debounces", batch_events=batch, debounce=debounce)
    works("batches-one-at-most", batch_events=batch, singleton=inngest.Singleton(mode="skip"))
    works("batches-by-priority", batch_events=batch, priority=inngest.Priority(run="1"))
    stop = inngest.Cancel(event="sdk/stop")
    works("batches-and-is-cancelled", batch_events=batch, cancel=[stop])
    works("wide-without-key", concurrency=[inngest.Concurrency(limit=1, scope="env")])
