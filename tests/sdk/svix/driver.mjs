// Calls the webhook SDKs that are installed in the working directory, as a test tells it: one JSON
// request a line on standard input, one JSON answer a line on standard output. It knows no scenario;
// what is sent, what comes back and what that should be is up to the test.
//
//   {"call": "endpoint.get", "args": […], "url": …, "token": …, "sdk": "svix" | "dodopayments"}
//   {"methods": "endpoint"}                              the calls that a resource has; "": all resources
//   {"verify": "svix", "secret": …, "body": …, "headers": …}
//
// In arguments {"$date": "2026-01-01T00:00:00Z"} stands for a Date.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const require = createRequire(path.join(process.cwd(), "package.json"));
const { Svix, Webhook } = require("svix");

const clients = new Map();

function client({ sdk = "svix", url, token }) {
  const key = JSON.stringify([sdk, url, token]);
  if (!clients.has(key)) {
    clients.set(key, sdk === "svix" ? new Svix(token, { serverUrl: url }) : dodo(url, token));
  }
  return clients.get(key);
}

function dodo(baseURL, bearerToken) {
  const { DodoPayments } = require("dodopayments");
  return new DodoPayments({ baseURL, bearerToken });
}

function revive(_, value) {
  return value?.$date === undefined ? value : new Date(value.$date);
}

async function call(request) {
  const names = request.call.split(".");
  const method = names.pop();
  const resource = names.reduce((at, name) => at[name], client(request));
  if (typeof resource?.[method] !== "function") throw new Error(`no method ${request.call}`);
  const result = resource[method](...(request.args ?? []));
  if (result?.[Symbol.asyncIterator] === undefined) return (await result) ?? null;
  const all = [];
  for await (const item of result) all.push(item);
  return all;
}

function methods(resource) {
  const found = [];
  const prototype = Object.getPrototypeOf(resource);
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (property.get !== undefined) {
      found.push(...methods(resource[name]).map((inner) => `${name}.${inner}`));
    } else if (name !== "constructor") {
      found.push(name);
    }
  }
  return found;
}

function verify({ verify: library, secret, body, headers }) {
  if (library === "dodopayments") {
    return dodo("http://localhost", "none").webhooks.unwrap(body, { headers, key: secret });
  }
  const Verifier = library === "svix" ? Webhook : require(library).Webhook;
  return new Verifier(secret).verify(body, headers) ?? null;
}

async function answer(request) {
  if (request.verify !== undefined) return verify(request);
  if (request.methods === undefined) return call(request);
  const root = new Svix("none");
  const resource = request.methods === "" ? root : root[request.methods];
  return resource === undefined ? [] : methods(resource);
}

function failure(error) {
  const status = error.status ?? error.code ?? null;
  const body = error.body ?? error.error ?? null;
  return { kind: error.constructor.name, status, body, message: String(error.message) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = { answer: await answer(JSON.parse(line, revive)) };
  } catch (error) {
    reply = { error: failure(error) };
  }
  console.log(JSON.stringify(reply));
}
