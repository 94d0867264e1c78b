"""The service as an ASGI app: routes, page, errors, start and stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

import fashionsearchnet
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving import errors, gallery_routes, health_routes, query_routes
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.middleware import Observer
from fashionsearchnet.serving.service import Service
from fashionsearchnet.serving.settings import Settings

PAGE = Path(__file__).parent / "page"
_DESCRIPTION = """Image retrieval with attribute manipulation: "this shirt, but with a v-neck".

Attributes and values are those of `GET /v1/attributes`. Every error is
`{"error": {"code", "message"}}`; an answer of status 503 says in `Retry-After` when to try again,
and every answer has an `X-Request-ID`, which the log of a failure has too."""


def create_app(
    model: ExportedModel, index: GalleryIndex, settings: Settings | None = None
) -> FastAPI:
    """Returns the app, which answers at once and is ready when the model has been run.

    Args:
      model: the export.
      index: of this model's vectors. It is searched as it is now: a later state of its folder
        needs a new start.
      settings: the limits; by default those of `Settings`.

    Raises:
      ValueError: if the index holds vectors of another model or attribute space.
    """
    service = Service(model, index, settings or Settings())

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
    app.add_middleware(Observer, metrics=service.metrics)
    errors.install(app)
    for routes in (gallery_routes, query_routes, health_routes):
        app.include_router(routes.router)
    if (PAGE / "index.html").is_file():
        _offer_page(app)
    return app


def _offer_page(app: FastAPI) -> None:
    """Adds the page and its files, which are part of the package."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE), name="static")
