// Requests that the server makes for a step, and models.
const API_KEY = "a-secret-of-the-provider";

export function requests({ define, inngest }) {
  const { openai, anthropic, gemini } = inngest;
  const question = "How many ducks?";
  const asks = {
    openai: ({ baseUrl }) => ({
      model: openai({ model: "a-model", apiKey: API_KEY, baseUrl }),
      body: { messages: [{ role: "user", content: question }] },
    }),
    anthropic: ({ baseUrl }) => ({
      model: anthropic({
        model: "a-model",
        apiKey: API_KEY,
        baseUrl,
        defaultParameters: { max_tokens: 100 },
      }),
      body: { messages: [{ role: "user", content: question }] },
    }),
    gemini: ({ baseUrl }) => ({
      model: gemini({ model: "a-model", apiKey: API_KEY, baseUrl }),
      body: { contents: [{ role: "user", parts: [{ text: question }] }] },
    }),
  };

  return [
    define("fetches", {}, async ({ step, event, counted }) => {
      const answer = await step.fetch(event.data.url, {
        method: "PUT",
        headers: { "content-type": "application/json", "x-duck": "mallard" },
        body: JSON.stringify({ ducks: 3 }),
      });
      const text = await answer.text();
      return counted("after", () => ({ status: answer.status, text }));
    }),

    define("infers", { retries: 1 }, async ({ step, event, counted }) => {
      try {
        const answer = await step.ai.infer("ask", asks[event.data.format](event.data));
        return await counted("after", () => answer);
      } catch (error) {
        return { caught: error.message };
      }
    }),

    define("wraps-a-model", {}, async ({ step }) =>
      step.ai.wrap("model", async ({ ducks }) => ({ text: `${ducks} ducks` }), { ducks: 4 }),
    ),
  ];
}
