// Rules of flow control. The work of these functions is counted while it goes on, and goes on for as long as
// the test wants if the event says `hold`: POST /let-on lets on so many of what is held, or `all` from
// then on. POST /limit gives `at-a-time` another limit, as its next deployment would.
export function flow({ define, counts, ofRun, inngest, controls }) {
  const { RetryAfterError, referenceFunction } = inngest;
  const { now, most, log } = counts.flow;
  const held = [];
  let isOpen = false;

  /** Work at some places: how much goes on there now, at most so far, and in which order it began. */
  async function work(places, { n = null, hold = false }) {
    for (const place of places) {
      now[place] = (now[place] ?? 0) + 1;
      most[place] = Math.max(most[place] ?? 0, now[place]);
      (log[place] ??= []).push(n);
    }
    if (hold && !isOpen) await new Promise((go) => held.push(go));
    for (const place of places) now[place] -= 1;
    return n;
  }

  /** A function that works, at the place of its name unless another is named, and sleeps if the event says so. */
  const works = (id, rules, place = id) =>
    define(id, rules, async ({ event, step, counted }) => {
      const { data } = event;
      const done = await counted("work", () => work([place, `${place}/${data.key}`], data));
      if (data.nap) await step.sleep("nap", data.nap);
      return done;
    });

  const atATime = works("at-a-time", { concurrency: { limit: 1 } });
  controls["/let-on"] = (body) => {
    isOpen ||= body.toString() === "all";
    for (const go of held.splice(0, isOpen ? held.length : Number(body))) go();
    return {};
  };
  controls["/limit"] = (body) => {
    atATime.opts.concurrency = { limit: Number(body) };
    return {};
  };

  const key = "event.data.key";
  const shared = ["env", "account"].flatMap((scope) => {
    const limit = (text) => ({ concurrency: { limit: 2, key: text, scope } });
    return [
      works(`of-${scope}-one`, limit(`"printer"`), scope),
      works(`of-${scope}-two`, limit(key), scope),
    ];
  });
  const rests = {
    sleep: ({ step }) => step.sleep("nap", "1h"),
    wait: ({ step }) => step.waitForEvent("wait", { event: "sdk/never", timeout: "1h" }),
    invoke: ({ step }) =>
      step.invoke("call", { function: referenceFunction({ functionId: "child-sleeps" }), data: {} }),
    retry: ({ counted, runId }) =>
      counted("risky", () => {
        if (ofRun(runId).steps.risky < 2) throw new RetryAfterError("later", "1h");
      }),
  };
  const batch = { maxSize: 3, timeout: "10m" };
  const refused = [
    works("batches-and-debounces", { batchEvents: batch, debounce: { period: "1m" } }),
    works("batches-one-at-most", { batchEvents: batch, singleton: { mode: "skip" } }),
    works("batches-by-priority", { batchEvents: batch, priority: { run: "1" } }),
    works("batches-and-is-cancelled", { batchEvents: batch, cancelOn: [{ event: "sdk/stop" }] }),
    works("wide-without-key", { concurrency: { limit: 1, scope: "env" } }),
  ];

  return [
    atATime,
    works("two-limits", { concurrency: [{ limit: 3 }, { limit: 1, key }] }),
    ...shared,
    define("rests", { concurrency: 1 }, async (context) => {
      await rests[context.event.data.how](context);
      return context.counted("after", () => work(["rests"], context.event.data));
    }),
    define("parts-at-a-time", { concurrency: { limit: 2 } }, async ({ event, counted }) => {
      const part = (n) => counted(`part-${n}`, () => work(["parts"], { ...event.data, n }));
      return Promise.all([0, 1, 2, 3, 4].map(part));
    }),

    define("throttled", { throttle: { limit: 2, period: "1h", burst: 1, key } }, async (context) => {
      const { event, step, counted } = context;
      await counted("start", () => work([`throttled/${event.data.key}`], event.data));
      await step.sleep("nap", "1s");
      return counted("after", () => event.data.n);
    }),
    works("rate-limited", { rateLimit: { limit: 1, period: "1h", key } }),
    works("rate-limited-to-twenty", { rateLimit: { limit: 20, period: "20h" } }),
    works("debounced", { debounce: { period: "10m", timeout: "25m", key } }),
    define(
      "batched",
      { batchEvents: { ...batch, key, if: "event.data.n < 100" } },
      async ({ events, counted }) => counted("take", () => events.map(({ data }) => data.n)),
    ),
    works("prioritized", { concurrency: { limit: 1 }, priority: { run: "event.data.priority" } }),
    works("single", { singleton: { mode: "skip", key } }),
    works("newest", { singleton: { mode: "cancel", key } }),
    works("once-a-day", { idempotency: key }),
    works("starts-soon", { concurrency: { limit: 1 }, timeouts: { start: "10m" } }),
    works("ends-soon", { concurrency: { limit: 1 }, timeouts: { finish: "1h" } }),
    define("charges", {}, async ({ event, counted }) => {
      await counted("prepare", () => work(["prepare"], { n: event.data.n }));
      return counted("charge", () => work(["charge"], event.data));
    }),
    ...(process.env.APP_REFUSED ? refused : []),
  ];
}
