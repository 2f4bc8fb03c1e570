"""A request's shape: what a body, a query string or a socket message has to look like before anything reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from api.errors import Rejected
from api.gate import Request

MAX_KEY = 255
MOST_BRACKETS = 60_000
"""Lists and objects of a body, as far as brackets tell: making half a million of them takes longer than anything else a
request can ask before it has a price. Three times what the variables may hold."""
_DOCUMENT_ID = re.compile("sha256:([0-9a-fA-F]{64})")


def bad_request(message: str, *, status: int = 400) -> Rejected:
    return Rejected.because("BAD_REQUEST", message, status=status)


def parse_json(body: bytes | str) -> Any:
    if len(body) > MOST_BRACKETS:
        text = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
        if (brackets := text.count(b"[") + text.count(b"{")) > MOST_BRACKETS:
            said = f"Lists and objects in one body: {brackets}, at most {MOST_BRACKETS}"
            raise Rejected.because("OPERATION_TOO_COMPLEX", said, limit=MOST_BRACKETS, requested=brackets)
    try:
        return orjson.loads(body)
    except (orjson.JSONDecodeError, UnicodeError, RecursionError):
        raise bad_request("The body is not JSON in UTF-8") from None


def request_of(value: Any, *, idempotency_key: str | None = None) -> Request:
    """A request from decoded JSON, or Rejected with the first thing that is wrong with its shape."""
    if not isinstance(value, dict):
        raise bad_request("A request is one JSON object; arrays of requests are not supported")
    extensions = _object(value, "extensions")
    query = value.get("query")
    document_id, persisted = value.get("documentId"), extensions.get("persistedQuery")
    hash = None if document_id is persisted is None else _hash(document_id, persisted)
    if hash is not None and query in (None, ""):
        query = ""
    elif not isinstance(query, str) or not query:
        raise bad_request("`query` must be a non-empty string")
    elif hash is not None and hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest() != hash:
        raise bad_request("`query` is not the document of this hash")
    name = value.get("operationName")
    if name is not None and not isinstance(name, str):
        raise bad_request("`operationName` must be a string or null")
    key = None if idempotency_key is None else _key(idempotency_key)
    return Request(query, name or None, _object(value, "variables"), extensions, key, document_hash=hash)


def request_of_params(params: Mapping[str, str]) -> Request:
    """A request from a query string, where variables and extensions are JSON in a string."""
    value: dict[str, Any] = {name: params[name] for name in ("query", "operationName", "documentId") if name in params}
    for name in ("variables", "extensions"):
        if params.get(name):
            value[name] = parse_json(params[name])
    return request_of(value)


def _hash(document_id: Any, persisted: Any) -> str | None:
    """The hash of the document, from `documentId` or as Apollo's clients send it; None where there is none."""
    if document_id is None and isinstance(persisted, dict):
        document_id = f"sha256:{persisted.get('sha256Hash')}"
    if document_id is None:
        return None
    if not isinstance(document_id, str) or not (found := _DOCUMENT_ID.fullmatch(document_id)):
        raise bad_request("`documentId` must be `sha256:` and 64 hexadecimal digits")
    return found[1].lower()


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request(f"`{name}` must be an object or null")
    return found


def _key(value: str) -> str:
    key = value.strip().strip('"')
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise bad_request(f"Idempotency-Key must be 1 to {MAX_KEY} printable characters")
    return key
