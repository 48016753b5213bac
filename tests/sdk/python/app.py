"""The app that the SDK tests drive, with the official SDK for Python: the functions that
`tests/sdk/app.mjs` has, by the same names, as far as this SDK has what they show. It counts each step
body that really runs; GET /counts gives the counts."""

import asyncio
import datetime
import json
import os
import socket

import fastapi
import inngest
import inngest.fast_api
import uvicorn
from inngest.experimental import ai
from inngest.experimental.ai import gemini

import flow

API_KEY = "a-secret-of-the-provider"
HOUR = datetime.timedelta(hours=1)
MEBIBYTE = 1_048_576

client = inngest.Inngest(
    app_id=os.environ.get("APP_ID", "sdk"),
    is_production=os.environ.get("INNGEST_DEV") == "0",
)
counts = {
    "runs": {},
    "tags": {},
    "failures": [],
    "held": 0,
    "refused": 0,
    "flow": {"now": {}, "most": {}, "log": {}},
}
takes_syncs = True
busy_seconds = 0
released = asyncio.Event()
functions = []


def of_run(run_id):
    return counts["runs"].setdefault(run_id, {"calls": 0, "usesApi": 0, "steps": {}})


def bump(table, name):
    table[name] = table.get(name, 0) + 1


class Counted:
    """A call of a function: runs steps and counts those whose body really ran."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.step = ctx.step
        self.data = ctx.event.data
        self.ran = of_run(ctx.run_id)["steps"]

    async def run(self, name, work, *handed):
        async def body(*arguments):
            bump(self.ran, name)
            return work(*arguments)

        return await self.step.run(name, body, *handed)

    async def gather(self, *branches, race=False):
        mode = inngest.ParallelMode.RACE if race else inngest.ParallelMode.WAIT
        return list(await self.ctx.group.parallel(branches, parallel_mode=mode))


def define(fn_id, *, expression=None, trigger=None, **config):
    """A function of that id, on the event `sdk/<id>` unless it names its triggers."""
    own = inngest.TriggerEvent(event=f"sdk/{fn_id}", expression=expression)

    def take(body):
        async def handler(ctx: inngest.Context):
            tag = ctx.event.data.get("tag")
            if tag:
                bump(counts["tags"], tag)
            return await body(Counted(ctx))

        made = client.create_function(fn_id=fn_id, trigger=trigger or own, **config)(handler)
        functions.append(made)
        return made

    return take


# Steps, their errors and their results.


@define("plain")
async def plain(of):
    return {"hello": of.data.get("name")}


@define("sequential")
async def sequential(of):
    a = await of.run("a", lambda: of.data["n"] + 1)
    b = await of.run("b", lambda: {"text": f"got {a} — ¥€"})
    c = await of.run("c", lambda: None)
    return {"a": a, "b": b, "c": c}


@define("parallel")
async def parallel(of):
    def part(index):
        return lambda: of.run(f"part-{index}", lambda: index * 10)

    parts = await of.gather(*(part(index) for index in range(3)))
    return {"parts": parts, "total": await of.run("total", lambda: sum(parts))}


@define("mixed-parallel")
async def mixed_parallel(of):
    a, _, b = await of.gather(
        lambda: of.run("a", lambda: 1),
        lambda: of.step.sleep("pause", HOUR),
        lambda: of.run("b", lambda: 2),
    )
    return await of.run("total", lambda: a + b)


@define("race-mode")
async def race_mode(of):
    async def quick():
        one = await of.run("one", lambda: 1)
        return await of.run("two", lambda: one + 1)

    async def slow():
        await of.step.sleep("nap", HOUR)
        return await of.run("woken", lambda: 3)

    return await of.gather(quick, slow, race=True)


@define("loop")
async def loop(of):
    return [await of.run("item", lambda index=index: index) for index in range(4)]


@define("sleeps")
async def sleeps(of):
    await of.run("before", lambda: 1)
    await of.step.sleep("nap", HOUR)
    now = lambda: datetime.datetime.now(datetime.timezone.utc)
    until = await of.run("between", lambda: (now() + 3 * HOUR).isoformat())
    await of.step.sleep_until("until", datetime.datetime.fromisoformat(until))
    return await of.run("after", lambda: "woken")


def throw(error):
    raise error


@define("caught", retries=1)
async def caught(of):
    try:
        await of.run("risky", lambda: throw(TypeError("no luck")))
    except inngest.StepError as error:
        message = error.message
        return await of.run("instead", lambda: {"caught": message})


@define("step-recovers", retries=2)
async def step_recovers(of):
    def flaky():
        return of.ran["flaky"] if of.ran["flaky"] == 3 else throw(ValueError("not yet"))

    return await of.run("flaky", flaky)


@define("uncaught", retries=1)
async def uncaught(of):
    await of.run("first", lambda: 1)
    await of.run("risky", lambda: throw(ValueError("always")))


@define("function-error", retries=2)
async def function_error(of):
    bump(of.ran, "body")
    if of.ctx.attempt < 2:
        raise ValueError(f"attempt {of.ctx.attempt}")
    return {"attempt": of.ctx.attempt}


@define("non-retriable")
async def non_retriable(of):
    bump(of.ran, "body")
    raise inngest.NonRetriableError("never again")


@define("step-non-retriable")
async def step_non_retriable(of):
    await of.run("risky", lambda: throw(inngest.NonRetriableError("not this one")))


@define("retry-after")
async def retry_after(of):
    bump(of.ran, "body")
    if of.ctx.attempt == 0:
        raise inngest.RetryAfterError("later", HOUR)
    return {"attempt": of.ctx.attempt}


@define("step-retry-after")
async def step_retry_after(of):
    def risky():
        return throw(inngest.RetryAfterError("later", HOUR)) if of.ran["risky"] < 2 else "then"

    return await of.run("risky", risky)


async def tell_failure(ctx: inngest.Context):
    data = ctx.event.data
    told = {
        "runId": data["run_id"],
        "functionId": data["function_id"],
        "message": data["error"]["message"],
        "original": data["event"]["data"],
    }

    async def tell():
        counts["failures"].append(told)

    await ctx.step.run("tell", tell)
    return "told"


@define("on-failure", retries=0, on_failure=tell_failure)
async def on_failure(of):
    raise ValueError("it broke")


@define("fan-out")
async def fan_out(of):
    data = [{"n": n, "tag": of.data.get("each")} for n in range(3)]
    events = [inngest.Event(name="sdk/fan-in", data=each) for each in data]
    return {"ids": await of.step.send_event("send", events)}


@define("fan-in")
async def fan_in(of):
    return await of.run("take", lambda: of.data["n"])


@define("big-state")
async def big_state(of):
    letters = "abcdef"
    parts = [await of.run(one, lambda one=one: one * MEBIBYTE) for one in letters]
    await of.step.sleep("pause", datetime.timedelta(minutes=1))
    whole = all(part == one * MEBIBYTE for part, one in zip(parts, letters, strict=True))
    return await of.run("check", lambda: {"bytes": sum(map(len, parts)), "whole": whole})


@define("takes-input")
async def takes_input(of):
    total = await of.run("add", lambda a, b: a + b, of.data["a"], of.data["b"])
    return total * 2


@define("choosy", expression="event.data.plan == 'pro' && event.data.n > 2")
async def choosy(of):
    return "pro"


@define("limited", concurrency=[inngest.Concurrency(limit=1)])
async def limited(of):
    return await of.run("a", lambda: "ran")


# Waiting for events.

SAME_ORDER = "event.data.order == async.data.order"


async def answer_to(of, name, if_exp, event="sdk/answer"):
    got = await of.step.wait_for_event(name, event=event, if_exp=if_exp, timeout=HOUR)
    return got.data["text"] if got else "timed out"


@define("waits-match")
async def waits_match(of):
    await of.run("before", lambda: 1)
    text = await answer_to(of, "answer", SAME_ORDER)
    return await of.run("after", lambda: text)


@define("waits-if")
async def waits_if(of):
    allowed = "async.data.amount >= event.data.least && async.data.kind in ['card', 'bank']"
    return await answer_to(of, "answer", allowed)


@define("waits-many")
async def waits_many(of):
    def wait(part):
        return lambda: answer_to(of, part, SAME_ORDER, f"sdk/{part}")

    texts = await of.gather(*(wait(part) for part in ["part-a", "part-b", "part-c"]))
    return await of.run("join", lambda: texts)


@define("waits-for-the-past")
async def waits_for_the_past(of):
    data = {"order": of.data["order"], "text": "too early"}
    await of.step.send_event("send", inngest.Event(name="sdk/answer", data=data))
    return await answer_to(of, "answer", SAME_ORDER)


@define("waits-badly", on_failure=tell_failure)
async def waits_badly(of):
    return await answer_to(of, "answer", "async.data.order === event.data.order")


# Functions that call functions.


@define("child")
async def child(of):
    return await of.run("double", lambda: {"doubled": of.data["n"] * 2})


@define("child-fails")
async def child_fails(of):
    raise inngest.NonRetriableError("the child broke")


@define("child-sleeps")
async def child_sleeps(of):
    await of.step.sleep("nap", 2 * HOUR)
    return await of.run("after", lambda: "slept")


@define("child-of-nothing")
async def child_of_nothing(of):
    return None


@define("invokes")
async def invokes(of):
    answer = await of.step.invoke("call", function=child, data={"n": of.data["n"]})
    return await of.run("after", lambda: answer)


@define("invokes-by-id")
async def invokes_by_id(of):
    try:
        result = await of.step.invoke_by_id(
            "call",
            app_id=of.data.get("appId"),
            function_id=of.data["functionId"],
            data=of.data.get("data", {}),
            timeout=of.data.get("timeout"),
        )
        return {"result": result}
    except inngest.StepError as error:
        return {"caught": error.message}


@define("invokes-in-parallel")
async def invokes_in_parallel(of):
    def call(n):
        return lambda: of.step.invoke(f"call-{n}", function=child, data={"n": n})

    return [answer["doubled"] for answer in await of.gather(call(1), call(2), call(3))]


# Requests that the server makes for a step.


def model(kind, base_url):
    made = {"openai": ai.openai.Adapter, "anthropic": ai.anthropic.Adapter, "gemini": gemini.Adapter}
    return made[kind](auth_key=API_KEY, base_url=base_url, model="a-model")


@define("infers", retries=1)
async def infers(of):
    question = "How many ducks?"
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 100}
    if of.data["format"] == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": question}]}]}
    try:
        adapter = model(of.data["format"], of.data["baseUrl"])
        answer = await of.step.ai.infer("ask", adapter=adapter, body=body)
        return await of.run("after", lambda: answer)
    except inngest.StepError as error:
        return {"caught": error.message}


# How runs end other than by returning.


async def hold():
    counts["held"] += 1
    await released.wait()


async def keep_busy(of):
    match of.data["busy"]:
        case "sleep":
            await of.step.sleep("nap", 24 * HOUR)
        case "wait":
            await of.step.wait_for_event("wait", event="sdk/never", timeout=24 * HOUR)
        case "invoke":
            await of.step.invoke("call", function=child_sleeps)
        case "call":

            async def held():
                bump(of.ran, "held")
                await hold()

            await of.step.run("held", held)


@define(
    "cancels",
    cancel=[
        inngest.Cancel(event="sdk/stop", if_exp=SAME_ORDER),
        inngest.Cancel(event="sdk/stop-some", if_exp="async.data.least <= event.data.order"),
        inngest.Cancel(event="sdk/stop-soon", timeout=HOUR),
    ],
)
async def cancels(of):
    await keep_busy(of)
    return await of.run("after", lambda: "not cancelled")


@define("finishes-in-time", timeouts=inngest.Timeouts(finish=2 * HOUR))
async def finishes_in_time(of):
    await of.step.sleep("nap", int(of.data["nap"].removesuffix("h")) * HOUR)
    return await of.run("after", lambda: "in time")


@define("starts-in-time", timeouts=inngest.Timeouts(start=datetime.timedelta(minutes=10)))
async def starts_in_time(of):
    await of.step.sleep("nap", HOUR)
    return "in time"


# What starts runs: several events, names with wildcards, time tables.


@define(
    "many-triggers",
    trigger=[
        inngest.TriggerEvent(event="sdk/many-a"),
        inngest.TriggerEvent(event="sdk/many-b", expression="event.data.ok"),
        inngest.TriggerEvent(event="sdk/wild.*"),
    ],
)
async def many_triggers(of):
    return of.ctx.event.name


DAILY = "0 3 * * *"


@define(
    "ticks",
    trigger=[inngest.TriggerCron(cron=DAILY), inngest.TriggerEvent(event="sdk/ticks")],
)
async def ticks(of):
    return await of.run("tick", lambda: f"daily {of.data.get('cron')}")


@define("ticks-in-a-zone", trigger=inngest.TriggerCron(cron="TZ=Asia/Kolkata 30 9 * * *"))
async def ticks_in_a_zone(of):
    return "zoned"


app = fastapi.FastAPI()
flow.add(app, define, counts["flow"], bump)


@app.get("/counts")
async def get_counts():
    return counts


@app.get("/refuse-syncs")
async def refuse_syncs():
    global takes_syncs
    takes_syncs = False
    return {}


@app.get("/release")
async def release():
    released.set()
    return {}


@app.post("/busy")
async def be_busy(request: fastapi.Request):
    """From now on calls are answered by 429, which asks for so many seconds, until that is 0."""
    global busy_seconds
    busy_seconds = int(await request.body())
    return {}


@app.middleware("http")
async def note(request: fastapi.Request, handle):
    """Notes what a call was, and refuses syncs and calls when told to."""
    if request.method == "PUT" and not takes_syncs:
        return fastapi.Response(status_code=503)
    is_call = request.method == "POST" and request.url.path == "/api/inngest"
    if is_call and busy_seconds > 0:
        counts["refused"] += 1
        return fastapi.Response(status_code=429, headers={"retry-after": str(busy_seconds)})
    run_id = request.headers.get("x-run-id")
    if run_id:
        noted = of_run(run_id)
        noted["calls"] += 1
        call = json.loads(await request.body())
        if call.get("use_api") and call["ctx"]["use_api"]:
            noted["usesApi"] += 1
    return await handle(request)


without = os.environ.get("APP_WITHOUT", "").split(",")
streaming = inngest.Streaming.FORCE if os.environ.get("APP_STREAMING") else None
inngest.fast_api.serve(
    app,
    client,
    [one for one in functions if one.local_id not in without],
    streaming=streaming,
)

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("APP_PORT", "0"))))
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listener])
