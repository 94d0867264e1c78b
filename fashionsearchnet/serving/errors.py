"""The errors of the API: `{"error": {"code": ..., "message": ...}}`."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fashionsearchnet.checks import suggestion

Responses: TypeAlias = dict[int | str, dict[str, Any]]  # of a route, in FastAPI's terms

_RETRY_SECONDS = 1
_LONGEST_ECHO = 200  # characters of a request that a message repeats

# What each status means here; they are the descriptions in the OpenAPI document.
MEANINGS = {
    400: "The body is not a readable form, or the header Host names another host.",
    404: "There is no such item, or no image of it is stored.",
    405: "The path exists, but not with this method.",
    408: "The body took too long to arrive.",
    413: "The upload has too many bytes, or the image too many pixels.",
    415: "The body is not multipart/form-data, or the file is not JPEG, PNG, WebP or BMP.",
    422: "A value breaks a rule: an unknown attribute or value, a k out of range, a damaged image.",
    500: "A fault of the service; its log has the request id of the message.",
    503: "Too many requests are waiting, or the service is starting or stopping. See Retry-After.",
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="Short name of the rule, for programs.")
    message: str = Field(description="The rule, what was received, and the cure, for people.")


class ErrorAnswer(BaseModel):
    """The body of every error."""

    error: ErrorDetail

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "error": {
                        "code": "unknown_value",
                        "message": "attribute 'neckline' has no value 'vneck' (did you mean "
                        "v-neck?); values: round, v-neck, boat, square.",
                    }
                }
            ]
        }
    }


class ApiError(Exception):
    """A refusal, with its HTTP status, a short code for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error_response(status: int, code: str, message: str) -> JSONResponse:
    """Returns the answer; status 503 comes with the header Retry-After."""
    headers = {"Retry-After": str(_RETRY_SECONDS)} if status == 503 else None
    content = {"error": {"code": code, "message": message}}
    return JSONResponse(content, status, headers)


def declared(*statuses: int) -> Responses:
    """Returns the OpenAPI entries of the errors of a route, and of 500."""
    return {
        status: {"model": ErrorAnswer, "description": MEANINGS[status]}
        for status in (*statuses, 500)
    }


def install(app: FastAPI) -> None:
    """Makes an app answer every expected error in this form."""
    app.add_exception_handler(ApiError, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error_response(error.status, error.code, error.message)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(422, "invalid_parameter", describe(error.errors(), _parameters(request)))


def _parameters(request: Request) -> list[str]:
    """Returns the names of the parameters that the path of a request has in its URL."""
    path = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    method = "get" if request.method == "HEAD" else request.method.lower()
    return [parameter["name"] for parameter in path.get(method, {}).get("parameters", [])]


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path[:_LONGEST_ECHO]}"
    code, message = {
        404: ("not_found", f"there is no {where}; /openapi.json describes the API."),
        405: (
            "method_not_allowed",
            f"there is no {where}; the header Allow lists the methods of this path.",
        ),
    }.get(error.status_code, ("bad_request", str(error.detail)))
    response = error_response(error.status_code, code, message)
    if error.status_code == 405:
        # The router names the methods of the first route of the path only.
        response.headers["Allow"] = ", ".join(_methods_of(request))
    return response


def _methods_of(request: Request) -> list[str]:
    """Returns the methods that the path of a request has."""
    keys = ("type", "path", "root_path", "headers", "query_string")
    scope = {key: request.scope[key] for key in keys}
    methods = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
    return sorted([*methods, "HEAD"] if "GET" in methods else methods)


def describe(problems: Iterable[Mapping[str, Any]], known: Collection[str] = ()) -> str:
    """Returns one sentence for each of pydantic's problems; `known` are the known parameters."""
    sentences = []
    names = f"parameters: {', '.join(known)}" if known else "see /openapi.json"
    for problem in problems:
        name = ".".join(str(part) for part in problem["loc"] if part not in ("query", "path"))
        if problem["type"] == "extra_forbidden":
            hint = suggestion(name[:_LONGEST_ECHO], known)
            sentences.append(f"there is no parameter {name[:_LONGEST_ECHO]!r}{hint}; {names}.")
        elif problem["type"] == "missing":
            sentences.append(f"{name} is missing.")
        else:
            rule = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
            received = repr(problem["input"])[:_LONGEST_ECHO]
            sentences.append(f"{name} {rule}; got {received}.")
    return " ".join(sentences)
