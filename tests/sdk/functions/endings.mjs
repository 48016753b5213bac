// How runs end other than by returning.
export function endings({ define, counts, hold, inngest }) {
  const { referenceFunction } = inngest;
  const busy = {
    sleep: ({ step }) => step.sleep("nap", "1d"),
    wait: ({ step }) => step.waitForEvent("wait", { event: "sdk/never", timeout: "1d" }),
    invoke: ({ step }) =>
      step.invoke("call", { function: referenceFunction({ functionId: "child-sleeps" }), data: {} }),
    call: ({ counted }) => counted("held", hold),
  };

  return [
    define(
      "cancels",
      {
        cancelOn: [
          { event: "sdk/stop", match: "data.order" },
          { event: "sdk/stop-some", if: "async.data.least <= event.data.order" },
          { event: "sdk/stop-soon", timeout: "1h" },
        ],
      },
      async (context) => {
        await busy[context.event.data.busy](context);
        return context.counted("after", () => "not cancelled");
      },
    ),

    define("finishes-in-time", { timeouts: { finish: "2h" } }, async ({ step, event, counted }) => {
      await step.sleep("nap", event.data.nap);
      return counted("after", () => "in time");
    }),

    define("starts-in-time", { timeouts: { start: "10m" } }, async ({ step }) => {
      await step.sleep("nap", "1h");
      return "in time";
    }),

    define(
      "waits-badly",
      {
        onFailure: async ({ event, error }) => {
          const { run_id: runId, function_id: functionId } = event.data;
          counts.failures.push({ runId, functionId, message: error.message });
        },
      },
      async ({ step }) =>
        step.waitForEvent("answer", {
          event: "sdk/answer",
          if: "async.data.order === event.data.order",
          timeout: "1h",
        }),
    ),
  ];
}
