// What starts runs: several events, names with wildcards, time tables; and runs that come after.
export function triggers({ define, client, sdkMajor, require }) {
  const daily = { cron: "0 3 * * *" };
  const all = [
    define(
      "many-triggers",
      {
        triggers: [
          { event: "sdk/many-a" },
          { event: "sdk/many-b", if: "event.data.ok" },
          { event: "sdk/wild.*" },
        ],
      },
      async ({ event }) => event.name,
    ),

    define("ticks", { triggers: [daily, { event: "sdk/ticks" }] }, async ({ event, counted }) =>
      counted("tick", () => `daily ${event.data.cron}`),
    ),

    define("ticks-in-a-zone", { triggers: [{ cron: "TZ=Asia/Kolkata 30 9 * * *" }] }, async () => "zoned"),
  ];
  if (sdkMajor < 4) return all;

  const { createDefer } = require("inngest/experimental");
  const later = createDefer(client, { id: "deferred" }, async ({ event, parents }) => ({
    n: event.data.n,
    parent: parents[0].fnSlug,
  }));
  return [
    ...all,
    define("ticks-with-jitter", { triggers: [{ ...daily, jitter: "5m" }] }, async () => "jittered"),
    later,
    define("defers", {}, async ({ defer, event, counted }) => {
      await counted("before", () => 1);
      defer("later", { function: later, data: { n: event.data.n } });
      defer("never", { function: later, data: { n: -1 } }).abort();
      return counted("after", () => "done");
    }),
  ];
}
