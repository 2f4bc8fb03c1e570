"""A receiver of Unison's webhooks, of the standard library alone.

WEBHOOK_SECRET=whsec_… python receiver.py 8080
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300


def verify(secret: str, headers, body: bytes) -> bool:
    """Is this a delivery of Unison's, unchanged and recent. `body` is the raw bytes: parse them afterwards."""
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False  # somebody may be repeating an old one
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    good = False
    for one in headers.get("webhook-signature", "").split():  # one for each secret while they are rotated
        version, _, given = one.partition(",")
        if version == "v1":
            good |= hmac.compare_digest(base64.b64encode(expected), given.encode())
    return good


class Receiver(BaseHTTPRequestHandler):
    seen: set[str] = set()  # in your database, together with what you do about it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if not verify(os.environ["WEBHOOK_SECRET"], self.headers, body):
            self.answer(401)
            return
        if self.headers["webhook-id"] not in self.seen:  # a delivery may come more than once
            self.seen.add(self.headers["webhook-id"])
            event = json.loads(body)
            print(event["type"], event["data"].get("entityId"), flush=True)
        self.answer(200)  # soon: what takes long is done afterwards

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
