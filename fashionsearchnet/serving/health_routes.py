"""The routes for load balancers, orchestrators and monitors."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from fashionsearchnet.serving import answers, errors, monitoring
from fashionsearchnet.serving.service import Service

router = APIRouter(tags=["operation"])
_TEXT: errors.Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


async def service_of(request: Request) -> Service:
    """Returns the service behind the app that received a request."""
    # A coroutine: FastAPI would run a function in a thread, which costs each request a millisecond.
    return request.app.state.service


TheService = Annotated[Service, Depends(service_of)]


@router.get("/healthz", summary="Whether the process answers", responses=errors.declared())
async def healthz() -> answers.Status:
    """Says `ok` as long as the process answers."""
    return answers.Status(status="ok")


@router.get("/readyz", summary="Whether requests are welcome", responses=errors.declared(503))
async def readyz(service: TheService) -> answers.Readiness:
    """Says `ok` after the first run of the model, and which state of the index is served.

    It says `ok` also when a newer state cannot be opened: the service goes on with the former one,
    and `index_problem` says why.
    """
    if service.failure:
        raise errors.ApiError(503, "broken", service.failure)
    if not service.warm.is_set():
        raise errors.ApiError(503, "starting", "the model is being warmed up. Try again shortly.")
    index = service.gallery.index
    return answers.Readiness(
        status="ok",
        index_state=index.state,
        index_items=len(index),
        index_problem=service.follower.problem,
    )


@router.get(
    "/metrics",
    summary="Measurements for Prometheus",
    response_class=Response,
    responses=_TEXT | errors.declared(),
)
async def read_metrics(service: TheService) -> Response:
    """Counts and times of requests, forward passes and index searches; lengths of the queues."""
    return Response(service.metrics.text(), headers={"Content-Type": monitoring.CONTENT_TYPE})
