"""The edge: HTTP, WebSocket and SSE, who is calling, limits, events, health. A request walks app → auth → graphql → schema."""
