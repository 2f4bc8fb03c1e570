// The auditors of graphql-http (all 61) against a live server.
import { auditServer } from "graphql-http";

const { ENDPOINT, TOKEN } = process.env;
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${TOKEN}` } });

const results = await auditServer({ url: ENDPOINT, fetchFn });
const failed = results.filter((result) => result.status !== "ok");
for (const { id, status, name, reason } of failed) console.error(`${status} ${id} ${name}: ${reason}`);
console.log(JSON.stringify({ total: results.length, failed: failed.length }));
