// The client of graphql-ws, and a bare socket for what no client would send.
import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { MACHINE_EVENTS, SHORT_TOKEN, SOCKET, TOKEN, bearer, createMachine, run, within } from "./check.mjs";

const client = (token, options = {}) =>
  createClient({ url: SOCKET, webSocketImpl: WebSocket, connectionParams: bearer(token), retryAttempts: 0, ...options });

const once = (query, variables) => {
  const one = client(TOKEN);
  return new Promise((next, error) => one.subscribe({ query, variables }, { next, error, complete() {} })).finally(() =>
    one.dispose(),
  );
};

const closeOf = (socket) => new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })));

async function bare(...messages) {
  const socket = new WebSocket(SOCKET, "graphql-transport-ws");
  const closed = closeOf(socket);
  await new Promise((resolve) => socket.on("open", resolve));
  for (const message of messages) socket.send(message);
  return (await closed).code;
}

await run({
  async "the socket closes with 4403 when the token expires"() {
    const closed = await new Promise((resolve) =>
      client(SHORT_TOKEN).subscribe({ query: MACHINE_EVENTS }, { next() {}, complete() {}, error: resolve }),
    );
    assert.equal(closed.code, 4403);
    assert.match(closed.reason, /expired/);
  },

  async "a query is answered"() {
    const answer = await once("query ($n: Int!) { plants(first: $n) { nodes { code } } }", { n: 1 });
    assert.equal(answer.data.plants.nodes.length, 1);
  },

  async "a refused document is an error message"() {
    const errors = await once("{ nothing }").catch((error) => error);
    assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
    const syntax = await once("{").catch((error) => error);
    assert.equal(syntax[0].extensions.code, "GRAPHQL_PARSE_FAILED");
  },

  async "a subscription hears what happens"() {
    const one = client(TOKEN);
    const events = one.iterate({ query: MACHINE_EVENTS });
    const first = events.next();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const code = await createMachine();
    for (let event = await first; ; event = await events.next()) {
      assert.equal(event.value.errors, undefined);
      const { object, type } = event.value.data.machineEvents;
      if (object.code !== code) continue;
      assert.equal(type, "CREATED");
      assert.ok(object.plant.code);
      break;
    }
    await events.return();
    await one.dispose();
  },

  async "many operations share a socket"() {
    const one = client(TOKEN, { lazy: false });
    const codes = await Promise.all(
      Array.from({ length: 20 }, async () => {
        for await (const answer of one.iterate({ query: "{ organization { code } }" })) return answer.data.organization.code;
      }),
    );
    assert.equal(new Set(codes).size, 1);
    await one.dispose();
  },

  async "a bad token is forbidden"() {
    const closed = await new Promise((resolve) =>
      client("nonsense").subscribe({ query: "{ __typename }" }, { next() {}, complete() {}, error: resolve }),
    );
    assert.equal(closed.code, 4403);
  },

  async "bad messages close with the protocol's codes"() {
    const init = JSON.stringify({ type: "connection_init", payload: bearer() });
    const subscribe = JSON.stringify({ id: "1", type: "subscribe", payload: { query: MACHINE_EVENTS } });
    assert.equal(await bare("[]"), 4400);
    assert.equal(await bare("null"), 4400);
    assert.equal(await bare("{"), 4400);
    assert.equal(await bare('{"type":"start"}'), 4400);
    assert.equal(await bare(Buffer.from("{}")), 4400);
    assert.equal(await bare(subscribe), 4401);
    assert.equal(await bare(init, init), 4429);
    assert.equal(await bare(init, subscribe, subscribe), 4409);
  },

  async "the legacy protocol is off"() {
    const socket = new WebSocket(SOCKET, "graphql-ws");
    socket.on("error", () => {});
    assert.notEqual((await within(5, closeOf(socket), "close")).code, 1000);
  },
});
