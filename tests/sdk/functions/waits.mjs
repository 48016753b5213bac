// Waiting for events and signals, alone, beside each other and against a sleep.
export function waits({ define, sdkMajor }) {
  /** What came first. Version 4 says so to the server, which else waits for all. */
  const first = (group, branches) =>
    sdkMajor >= 4
      ? group.parallel({ mode: "race" }, () => Promise.race(branches()))
      : Promise.race(branches());
  const textOf = (answer) => (answer ? answer.data.text : "timed out");

  return [
    define("waits-match", {}, async ({ step, counted }) => {
      await counted("before", () => 1);
      const answer = await step.waitForEvent("answer", {
        event: "sdk/answer",
        match: "data.order",
        timeout: "1h",
      });
      return counted("after", () => textOf(answer));
    }),

    define("waits-if", {}, async ({ step }) => {
      const answer = await step.waitForEvent("answer", {
        event: "sdk/answer",
        if: "async.data.amount >= event.data.least && async.data.kind in ['card', 'bank']",
        timeout: "1h",
      });
      return textOf(answer);
    }),

    define("waits-many", {}, async ({ step, counted }) => {
      const wait = (part) =>
        step.waitForEvent(part, { event: `sdk/${part}`, match: "data.order", timeout: "1h" });
      const answers = await Promise.all(["part-a", "part-b", "part-c"].map(wait));
      return counted("join", () => answers.map(textOf));
    }),

    define("waits-for-the-past", {}, async ({ step, event }) => {
      const { order } = event.data;
      await step.sendEvent("send", { name: "sdk/answer", data: { order, text: "too early" } });
      const answer = await step.waitForEvent("answer", {
        event: "sdk/answer",
        match: "data.order",
        timeout: "1h",
      });
      return textOf(answer);
    }),

    define("races", {}, async ({ step, group, counted }) => {
      const winner = await first(group, () => [
        step
          .waitForEvent("answer", { event: "sdk/answer", match: "data.order", timeout: "2h" })
          .then(textOf),
        step.sleep("nap", "1h").then(() => "slept"),
      ]);
      return counted("after", () => winner);
    }),

    define("races-plainly", {}, async ({ step, counted }) => {
      const winner = await Promise.race([
        step
          .waitForEvent("answer", { event: "sdk/answer", match: "data.order", timeout: "2h" })
          .then(textOf),
        step.sleep("nap", "1h").then(() => "slept"),
      ]);
      return counted("after", () => winner);
    }),

    define("waits-signal", {}, async ({ step, event, counted }) => {
      const { signal, onConflict = "fail" } = event.data;
      const answer = await step.waitForSignal("signal", { signal, timeout: "1h", onConflict });
      return counted("after", () => (answer ? answer.data : "timed out"));
    }),

    define("sends-signal", {}, async ({ step, event }) => {
      const { signal, data } = event.data;
      const sent = await step.sendSignal("send", { signal, data });
      return { sent: sent ?? null };
    }),
  ];
}
