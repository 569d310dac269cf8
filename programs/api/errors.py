"""Every refusal as JSON: `{"detail": …}`, and `errors` by field where there is something to correct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.response import Response

from programs.actions import note_denial
from programs.api.access import find_actor
from programs.api.shapes import exact
from programs.middleware import is_api

# The key of errors that belong to no single field.
WHOLE = "non_field_errors"


class Invalid(exceptions.APIException):
    """What was sent cannot be used as it is: messages by field, parameter or header."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _("What was sent cannot be accepted. Please correct the fields named in “errors”.")
    default_code = "invalid"

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__()
        self.errors = {
            WHOLE if name == NON_FIELD_ERRORS else name: [str(message) for message in messages]
            for name, messages in errors.items()
        }

    @classmethod
    def of(cls, error: ValidationError) -> Invalid:
        return cls(error.message_dict if hasattr(error, "error_dict") else {WHOLE: error.messages})


class Conflict(exceptions.APIException):
    """What was sent does not go with what stands; both go back."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = _("This record was changed by someone else while you were editing it.")
    default_code = "conflict"

    def __init__(self, *, sent: dict[str, Any], current: dict[str, Any]) -> None:
        super().__init__()
        self.sent = {name: exact(value) for name, value in sent.items()}
        self.current = current


class KeyUsed(Conflict):
    """The key of this request made a record that says something else."""

    default_detail = _("This key was used for another record. Use a new key for each new record.")
    default_code = "key_used"


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request body is too large.")
    default_code = "too_large"


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook. A denial leaves its trace in the audit log, as on the pages."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    if not isinstance(error, exceptions.APIException):
        return None
    request = context["request"]
    actor = find_actor(request)
    if isinstance(error, exceptions.PermissionDenied) and actor is not None:
        note_denial(actor, f"{request.method} {request.path}")
    body: dict[str, Any] = {"detail": error.detail}
    if isinstance(error, Invalid):
        body["errors"] = error.errors
    if isinstance(error, Conflict):
        body |= {"sent": error.sent, "current": error.current}
    challenge = getattr(error, "auth_header", None)
    headers = {"WWW-Authenticate": challenge} if challenge else None
    return Response(body, status=error.status_code, headers=headers)


# --- what Django answers itself (urls.handler400 …), before or outside a view of the API -------------------------

Handler = Callable[..., HttpResponse]


def _handler(code: int, detail: Any, page: Handler) -> Handler:
    def handle(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_api(request):
            return page(request, *args, **kwargs)
        error = kwargs.get("exception") or (args[0] if args else None)
        told = str(error) if isinstance(error, PermissionDenied) and str(error) else str(detail)
        return JsonResponse({"detail": told}, status=code, json_dumps_params={"ensure_ascii": False})

    return handle


bad_request = _handler(400, _("This request cannot be understood."), defaults.bad_request)
permission_denied = _handler(403, exceptions.PermissionDenied.default_detail, defaults.permission_denied)
page_not_found = _handler(404, exceptions.NotFound.default_detail, defaults.page_not_found)
server_error = _handler(500, _("Something went wrong on our side."), defaults.server_error)
