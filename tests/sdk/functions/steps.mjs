// Steps, their errors and their results.
const HOUR_MS = 3_600_000;
const numbers = (length) => Array.from({ length }, (_, index) => index);
const sum = (values) => values.reduce((total, value) => total + value, 0);

export function steps({ define, counts, bump, ofRun, inngest }) {
  const { NonRetriableError, RetryAfterError } = inngest;
  return [
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

    define("takes-input", {}, async ({ step, runId, event }) => {
      const total = await step.run(
        "add",
        (a, b) => {
          bump(ofRun(runId).steps, "add");
          return a + b;
        },
        event.data.a,
        event.data.b,
      );
      return step.run("double", (value) => value * 2, total);
    }),
  ];
}
