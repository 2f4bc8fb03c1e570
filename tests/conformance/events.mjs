// The client of graphql-sse in its distinct connections mode.
import assert from "node:assert/strict";
import { createClient } from "graphql-sse";
import { ENDPOINT, MACHINE_EVENTS, SHORT_TOKEN, TOKEN, bearer, createMachine, run } from "./check.mjs";

const client = (token) => createClient({ url: ENDPOINT, headers: bearer(token), retryAttempts: 0 });

const all = async (query, variables) => {
  const answers = [];
  for await (const answer of client(TOKEN).iterate({ query, variables })) answers.push(answer);
  return answers;
};

await run({
  async "the stream ends when the token expires, and a new one is refused"() {
    const ended = await client(SHORT_TOKEN).iterate({ query: MACHINE_EVENTS }).next().catch((error) => error);
    assert.ok(ended instanceof Error, "an end without `complete` is not the end of the subscription");
    const again = await client(SHORT_TOKEN).iterate({ query: MACHINE_EVENTS }).next().catch((error) => error);
    assert.equal(again.response?.status, 401);
  },

  async "a query is one answer and an end"() {
    const answers = await all("query ($n: Int!) { plants(first: $n) { nodes { code } } }", { n: 1 });
    assert.equal(answers.length, 1);
    assert.equal(answers[0].data.plants.nodes.length, 1);
  },

  async "a mutation is answered"() {
    const [answer] = await all('mutation { machineArchive(input: {machineId: "%", expectedVersion: 1}) { errors { code } } }');
    assert.ok(answer.errors ?? answer.data);
  },

  async "a refused document is told inside the stream"() {
    const [answer] = await all("{ nothing }");
    assert.equal(answer.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  },

  async "a subscription hears what happens"() {
    const events = client(TOKEN).iterate({ query: MACHINE_EVENTS });
    const first = events.next();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const code = await createMachine();
    for (let event = await first; ; event = await events.next()) {
      assert.equal(event.value.errors, undefined);
      if (event.value.data.machineEvents.object.code === code) break;
    }
    await events.return();
  },

  async "a bad token is refused"() {
    const events = client("nonsense").iterate({ query: "{ __typename }" });
    const refused = await events.next().catch((error) => error);
    assert.equal(refused.response?.status, 401);
  },
});
