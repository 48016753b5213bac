// The app that the SDK tests drive: one function per behaviour, named by it, with the SDK that is
// installed in the working directory. It counts each step body that really runs, so that the tests
// can tell "once" from "twice"; GET /counts gives the counts. From GET /refuse-syncs on it takes calls
// and no syncs; GET /release lets the steps go on that wait for it; POST /signal sends a signal. POST /busy
// has it answer every call by 429 and ask for so many seconds, until that is 0.
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { Readable } from "node:stream";

import { endings } from "./functions/endings.mjs";
import { flow } from "./functions/flow.mjs";
import { invokes } from "./functions/invokes.mjs";
import { requests } from "./functions/requests.mjs";
import { steps } from "./functions/steps.mjs";
import { triggers } from "./functions/triggers.mjs";
import { waits } from "./functions/waits.mjs";

const require = createRequire(path.join(process.cwd(), "package.json"));
const inngest = require("inngest");
const { serve } = require("inngest/node");
const sdkMajor = Number(inngest.version.split(".")[0]);

const checkpointing = { on: true, off: false }[process.env.APP_CHECKPOINTING];
const client = new inngest.Inngest({
  id: process.env.APP_ID ?? "sdk",
  ...(checkpointing === undefined ? {} : { checkpointing }),
});

let takesSyncs = true;
let busySeconds = 0;
const counts = {
  runs: {},
  tags: {},
  failures: [],
  held: 0,
  refused: 0,
  flow: { now: {}, most: {}, log: {} },
};

function ofRun(runId) {
  counts.runs[runId] ??= { calls: 0, usesApi: 0, steps: {} };
  return counts.runs[runId];
}

function bump(table, name) {
  table[name] = (table[name] ?? 0) + 1;
}

let release;
const released = new Promise((resolve) => {
  release = resolve;
});

/** Comes back once the test says so. */
async function hold() {
  counts.held += 1;
  await released;
}

/** A function of that id, on the event `sdk/<id>` unless it names its triggers; its steps are
 * counted by name. */
function define(id, options, body) {
  const { expression, triggers: named, ...rest } = options;
  const own = { event: `sdk/${id}`, ...(expression ? { if: expression } : {}) };
  const handler = (context) => {
    const { event, runId, step } = context;
    if (event.data?.tag) bump(counts.tags, event.data.tag);
    const counted = (name, work) =>
      step.run(name, (...input) => {
        bump(ofRun(runId).steps, typeof name === "string" ? name : name.id);
        return work(...input);
      });
    return body({ ...context, counted });
  };
  const config = { id, ...rest };
  const all = named ?? [own];
  return sdkMajor >= 4
    ? client.createFunction({ ...config, triggers: all }, handler)
    : client.createFunction(config, all, handler);
}

const controls = {
  "/counts": () => counts,
  "/refuse-syncs": () => {
    takesSyncs = false;
    return {};
  },
  "/release": () => {
    release();
    return {};
  },
  "/busy": (body) => {
    busySeconds = Number(body);
    return {};
  },
  "/signal": async (body) => {
    try {
      return (await client.sendSignal(JSON.parse(body.toString("utf8")))) ?? null;
    } catch (error) {
      return { error: String(error) };
    }
  },
};

const kit = { define, client, counts, bump, ofRun, hold, inngest, sdkMajor, require, controls };
const without = (process.env.APP_WITHOUT ?? "").split(",");
const functions = [steps, waits, invokes, requests, endings, triggers, flow]
  .flatMap((group) => group(kit))
  .filter((one) => !without.includes(one.opts.id));

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

const streaming = process.env.APP_STREAMING ? { streaming: sdkMajor >= 4 ? true : "force" } : {};
const handler = serve({ client, functions, ...streaming });
const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const control = controls[request.url];
  if (control) {
    const answer = await control(body);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer));
    return;
  }
  if (request.method === "PUT" && !takesSyncs) {
    response.writeHead(503).end();
    return;
  }
  if (request.method === "POST" && busySeconds > 0) {
    counts.refused += 1;
    response.writeHead(429, { "retry-after": String(busySeconds) }).end();
    return;
  }
  note(request, body);
  await handler(again(request, body), response);
});
server.listen(Number(process.env.APP_PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
