"""GraphiQL for development, served from here so that it also works in a plant without the Internet."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "graphiql"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:;"
    " img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def page() -> Response:
    return FileResponse(FOLDER / "index.html", headers={"Content-Security-Policy": POLICY})


def assets() -> Mount:
    return Mount("/graphiql", StaticFiles(directory=FOLDER))
