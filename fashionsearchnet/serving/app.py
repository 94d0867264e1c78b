"""The service as an ASGI app: routes, page, errors, start and stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

import fashionsearchnet
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving import errors, gallery_routes, health_routes, query_routes
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.middleware import AllowedHosts, Observer
from fashionsearchnet.serving.service import Service

PAGE = Path(__file__).parent / "page"
_DESCRIPTION = """Image retrieval with attribute manipulation: "this shirt, but with a v-neck".

`GET /v1/attributes` lists the attributes and values. Every error is
`{"error": {"code", "message"}}`; status 503 comes with `Retry-After`, and every answer has an
`X-Request-ID`, which stands in the log of a failure too."""


def create_app(
    model: ExportedModel,
    index: GalleryIndex,
    limits: Limits | None = None,
    allowed_hosts: Sequence[str] = (),
) -> FastAPI:
    """Returns the app. It answers at once, and is ready after the first run of the model.

    Args:
      model: the export.
      index: of this model's vectors. The service follows it: what another process commits is
        searched within `Limits.index_poll_seconds`.
      limits: of requests; by default those of `Limits`.
      allowed_hosts: the hosts for which it answers, see `AllowedHosts`; by default any.

    Raises:
      ValueError: if the index holds vectors of another model or attribute space.
    """
    service = Service(model, index, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        warming = asyncio.create_task(service.warm_up())
        yield
        warming.cancel()
        await service.close()

    app = FastAPI(
        title="fashionsearchnet",
        version=fashionsearchnet.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    if allowed_hosts:
        app.add_middleware(AllowedHosts, hosts=allowed_hosts)
    app.add_middleware(Observer, metrics=service.metrics)  # the outermost
    errors.install(app)
    for routes in (gallery_routes, query_routes, health_routes):
        app.include_router(routes.router)
    if (PAGE / "index.html").is_file():
        _offer_page(app)
    return app


def _offer_page(app: FastAPI) -> None:
    """Adds the page and its files."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE), name="static")
