// The app that the SDK tests drive: one function per behaviour, named by it, with the SDK that is
// installed in the working directory. It counts each step body that really runs, so that the tests
// can tell "once" from "twice"; GET /counts gives the counts. From GET /refuse-syncs on it takes calls
// and no syncs.
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { Readable } from "node:stream";

const require = createRequire(path.join(process.cwd(), "package.json"));
const { Inngest, NonRetriableError, RetryAfterError, version } = require("inngest");
const { serve } = require("inngest/node");
const sdkMajor = Number(version.split(".")[0]);

const checkpointing = { on: true, off: false }[process.env.APP_CHECKPOINTING];
const client = new Inngest({
  id: process.env.APP_ID ?? "sdk",
  ...(checkpointing === undefined ? {} : { checkpointing }),
});

let takesSyncs = true;
const counts = { runs: {}, tags: {}, failures: [] };

function ofRun(runId) {
  counts.runs[runId] ??= { calls: 0, usesApi: 0, steps: {} };
  return counts.runs[runId];
}

function bump(table, name) {
  table[name] = (table[name] ?? 0) + 1;
}

/** A function of that id on the event `sdk/<id>`; its steps are counted by name. */
function define(id, options, body) {
  const { expression, ...rest } = options;
  const trigger = { event: `sdk/${id}`, ...(expression ? { if: expression } : {}) };
  const handler = (context) => {
    const { event, runId, step } = context;
    if (event.data?.tag) bump(counts.tags, event.data.tag);
    const counted = (name, work) =>
      step.run(name, () => {
        bump(ofRun(runId).steps, name);
        return work();
      });
    return body({ ...context, counted });
  };
  const config = { id, ...rest };
  return sdkMajor >= 4
    ? client.createFunction({ ...config, triggers: [trigger] }, handler)
    : client.createFunction(config, trigger, handler);
}

const HOUR_MS = 3_600_000;
const numbers = (length) => Array.from({ length }, (_, index) => index);
const sum = (values) => values.reduce((total, value) => total + value, 0);

const functions = [
  define("plain", {}, ({ event }) => ({ hello: event.data.name })),

  define("sequential", {}, async ({ event, counted }) => {
    const a = await counted("a", () => event.data.n + 1);
    const b = await counted("b", () => ({ text: `got ${a} — ¥€` }));
    const c = await counted("c", () => {});
    return { a, b, c };
  }),

  define("parallel", {}, async ({ counted }) => {
    const parts = await Promise.all(
      numbers(3).map((index) => counted(`part-${index}`, () => index * 10)),
    );
    const total = await counted("total", () => sum(parts));
    return { parts, total };
  }),

  define("mixed-parallel", {}, async ({ step, counted }) => {
    const [a, , b] = await Promise.all([
      counted("a", () => 1),
      step.sleep("pause", "1h"),
      counted("b", () => 2),
    ]);
    return counted("total", () => a + b);
  }),

  define("loop", {}, async ({ counted }) => {
    const seen = [];
    for (const index of numbers(4)) seen.push(await counted("item", () => index));
    return seen;
  }),

  define("sleeps", {}, async ({ step, counted }) => {
    await counted("before", () => 1);
    await step.sleep("nap", "1h");
    const until = await counted("between", () => new Date(Date.now() + 3 * HOUR_MS).toISOString());
    await step.sleepUntil("until", new Date(until));
    return counted("after", () => "woken");
  }),

  define("caught", { retries: 1 }, async ({ counted }) => {
    try {
      await counted("risky", () => {
        throw new TypeError("no luck");
      });
    } catch (error) {
      return counted("instead", () => ({ caught: error.message }));
    }
  }),

  define("step-recovers", { retries: 2 }, async ({ counted, runId }) =>
    counted("flaky", () => {
      if (ofRun(runId).steps.flaky < 3) throw new Error("not yet");
      return ofRun(runId).steps.flaky;
    }),
  ),

  define("uncaught", { retries: 1 }, async ({ counted }) => {
    await counted("first", () => 1);
    await counted("risky", () => {
      throw new Error("always");
    });
  }),

  define("function-error", { retries: 2 }, async ({ attempt, runId }) => {
    bump(ofRun(runId).steps, "body");
    if (attempt < 2) throw new Error(`attempt ${attempt}`);
    return { attempt };
  }),

  define("non-retriable", {}, async ({ runId }) => {
    bump(ofRun(runId).steps, "body");
    throw new NonRetriableError("never again", { cause: new Error("why") });
  }),

  define("step-non-retriable", {}, async ({ counted }) => {
    try {
      await counted("risky", () => {
        throw new NonRetriableError("not this one");
      });
    } catch (error) {
      return { caught: error.message };
    }
  }),

  define("retry-after", {}, async ({ attempt, runId }) => {
    bump(ofRun(runId).steps, "body");
    if (attempt === 0) throw new RetryAfterError("later", "1h");
    return { attempt };
  }),

  define("step-retry-after", {}, async ({ counted, runId }) =>
    counted("risky", () => {
      if (ofRun(runId).steps.risky < 2) throw new RetryAfterError("later", "1h");
      return "then";
    }),
  ),

  define(
    "on-failure",
    {
      retries: 0,
      onFailure: async ({ event, error, step }) => {
        const { run_id: runId, function_id: functionId } = event.data;
        await step.run("tell", () => {
          const original = event.data.event.data;
          counts.failures.push({ runId, functionId, message: error.message, original });
        });
        return "told";
      },
    },
    async () => {
      throw new Error("it broke");
    },
  ),

  define("fan-out", {}, async ({ step, event }) =>
    step.sendEvent(
      "send",
      numbers(3).map((n) => ({ name: "sdk/fan-in", data: { n, tag: event.data.each } })),
    ),
  ),
  define("fan-in", {}, async ({ event, counted }) => counted("take", () => event.data.n)),

  define("many-steps", {}, async ({ counted }) => {
    let total = 0;
    for (const index of numbers(300)) total += await counted(`s-${index}`, () => index);
    return total;
  }),

  define("big-state", {}, async ({ step, counted }) => {
    const letters = [..."abcdef"];
    const parts = [];
    for (const letter of letters) {
      parts.push(await counted(letter, () => letter.repeat(1_048_576)));
    }
    await step.sleep("pause", "1m");
    return counted("check", () => ({
      bytes: sum(parts.map((part) => part.length)),
      whole: parts.every((part, index) => part === letters[index].repeat(1_048_576)),
    }));
  }),

  define("choosy", { expression: "event.data.plan == 'pro' && event.data.n > 2" }, async () => "pro"),

  define("limited", { concurrency: { limit: 1 } }, async ({ counted }) => counted("a", () => "ran")),

  define("unbuilt", {}, async ({ step }) =>
    step.waitForEvent("wait", { event: "sdk/never", timeout: "1h" }),
  ),
];

/** Notes what a call was. */
function note({ headers }, body) {
  const runId = headers["x-run-id"];
  if (!runId) return;
  ofRun(runId).calls += 1;
  const call = JSON.parse(body.toString("utf8"));
  if (call.use_api && call.ctx.use_api) ofRun(runId).usesApi += 1;
}

/** The request once more, for the SDK to read: its body has been read already. */
function again({ method, url, headers, socket }, body) {
  return Object.assign(Readable.from([body]), { method, url, headers, socket });
}

const handler = serve({ client, functions });
const server = http.createServer(async (request, response) => {
  if (request.url === "/counts") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(counts));
    return;
  }
  if (request.url === "/refuse-syncs") takesSyncs = false;
  if (request.url === "/refuse-syncs" || (request.method === "PUT" && !takesSyncs)) {
    response.writeHead(request.method === "PUT" ? 503 : 200).end();
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  note(request, body);
  await handler(again(request, body), response);
});
server.listen(Number(process.env.APP_PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
