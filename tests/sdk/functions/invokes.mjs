// Functions that call functions.
export function invokes({ define, inngest }) {
  const { NonRetriableError, referenceFunction } = inngest;

  const child = define("child", {}, async ({ event, counted }) =>
    counted("double", () => ({ doubled: event.data.n * 2 })),
  );

  return [
    child,

    define("child-fails", {}, async () => {
      throw new NonRetriableError("the child broke");
    }),

    define("child-sleeps", {}, async ({ step, counted }) => {
      await step.sleep("nap", "2h");
      return counted("after", () => "slept");
    }),

    define("child-of-nothing", {}, async () => {}),

    define("invokes", {}, async ({ step, event, counted }) => {
      const answer = await step.invoke("call", { function: child, data: { n: event.data.n } });
      return counted("after", () => answer);
    }),

    define("invokes-by-id", {}, async ({ step, event }) => {
      const { timeout, data = {}, ...target } = event.data;
      try {
        const result = await step.invoke("call", {
          function: referenceFunction(target),
          data,
          ...(timeout ? { timeout } : {}),
        });
        return { result };
      } catch (error) {
        return { caught: error.message };
      }
    }),

    define("invokes-in-parallel", {}, async ({ step }) => {
      const call = (n) => step.invoke(`call-${n}`, { function: child, data: { n } });
      const answers = await Promise.all([1, 2, 3].map(call));
      return answers.map(({ doubled }) => doubled);
    }),
  ];
}
