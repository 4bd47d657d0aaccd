"""Error answers: what a caller reads when something is refused or has gone wrong."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from landbridge_wire.errors import ArmError, envelope

INTERNAL = ArmError(
    "InternalServerError",
    "The control plane met an error of its own. The request id in x-ms-request-id finds it in the log.",
)

UNAVAILABLE = ArmError(
    "ServiceUnavailable", "The control plane cannot reach its database. Try again in a moment."
)


def arm_error(error: ArmError) -> Response:
    """Return ARM's envelope with the status of the code."""
    headers = {"x-ms-failure-cause": error.cause}
    if error.challenge:
        headers["www-authenticate"] = error.challenge
    if error.status in (429, 503):
        headers["retry-after"] = str(error.retry_after or 5)
    return JSONResponse(envelope(error), error.status, headers)


def not_found(path: str) -> Response:
    """Return the answer for a path that no route has."""
    return arm_error(ArmError("NotFound", f"There is nothing at '{path[:200]}' on this control plane."))


def method_not_allowed(method: str, allowed: list[str]) -> Response:
    """Return 405 with the methods that the path has."""
    names = ", ".join(sorted(allowed))
    error = ArmError("MethodNotAllowed", f"The method '{method[:20]}' is not supported here; {names} is.")
    response = arm_error(error)
    response.headers["allow"] = names
    return response
