// A receiver of Unison's webhooks, of Node alone.
//
//     WEBHOOK_SECRET=whsec_… node receiver.mjs 8080

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;

// Is this a delivery of Unison's, unchanged and recent. `body` is the raw Buffer: parse it afterwards.
export function verify(secret, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) {
    return false; // somebody may be repeating an old one
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  let good = false;
  for (const one of (headers["webhook-signature"] ?? "").split(" ")) {
    // one for each secret while they are rotated
    const [version, signature] = one.split(",");
    const given = Buffer.from(signature ?? "", "base64");
    if (version === "v1" && given.length === expected.length && timingSafeEqual(given, expected)) good = true;
  }
  return good;
}

const seen = new Set(); // in your database, together with what you do about it

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  if (!verify(process.env.WEBHOOK_SECRET, request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  if (!seen.has(request.headers["webhook-id"])) {
    // a delivery may come more than once
    seen.add(request.headers["webhook-id"]);
    const event = JSON.parse(body);
    console.log(event.type, event.data.entityId);
  }
  response.writeHead(200).end(); // soon: what takes long is done afterwards
});

server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
