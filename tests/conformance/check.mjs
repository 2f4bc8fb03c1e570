// What the scenarios share: asking over HTTP, a machine nobody else makes, and a list of checks that all have to hold.
import assert from "node:assert/strict";

export const { ENDPOINT, TOKEN, SHORT_TOKEN } = process.env;
export const SOCKET = ENDPOINT.replace(/^http/, "ws");
export const bearer = (token = TOKEN) => ({ authorization: `Bearer ${token}` });

export async function ask(query, variables, token = TOKEN) {
  const response = await fetch(ENDPOINT, {
    method: "POST",
    headers: { "content-type": "application/json", ...bearer(token) },
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

export const MACHINE_EVENTS = "subscription { machineEvents { type cursor changedFields object { code plant { code } } } }";

export async function createMachine() {
  const { plants } = await ask("{ plants(first: 1) { nodes { id } } }");
  const code = `C-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  const input = { plantId: plants.nodes[0].id, code, name: "Made by the conformance suite" };
  const { machineCreate } = await ask(
    "mutation ($input: MachineCreateInput!) { machineCreate(input: $input) { machine { code } errors { message } } }",
    { input },
  );
  assert.deepEqual(machineCreate.errors, []);
  return code;
}

export async function within(seconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    await within(20, check(), name);
    console.log(`ok ${name}`);
  }
  console.log(JSON.stringify({ passed: Object.keys(checks).length }));
  process.exit(0);
}
