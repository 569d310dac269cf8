"""Signing in and out, and one's own account."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import Resolver404, resolve
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django_otp import login as otp_login
from django_otp.models import Device

from programs import lockout, second_factor
from programs.access import Actor, public, requirement_of, signed_in, signing_in
from programs.account_forms import AppCodeForm, CodeForm, NewPasswordForm, PasswordForm, PlainForm, SignInForm
from programs.actions import account as actions
from programs.actions.audit import audit, note_denial
from programs.actions.people import end_sessions, home_of
from programs.backends import PortalBackend
from programs.middleware import ACTING_UNIT_KEY, actor_of, client_ip, unfinished_business
from programs.models.audit import AuditEvent
from programs.models.people import User
from programs.views.people import with_states

BACKEND = "programs.backends.PortalBackend"
# Who gave the right password has so long for the code.
PENDING_KEY = "second_factor_pending"
PENDING_SECONDS = 300
# The key of an authenticator app, until the first code proves that it arrived there.
SETUP_KEY = "second_factor_setup"
LONGEST_ADDRESS = 2000
RECENT_SIGN_INS = 10
A_YEAR = 365 * 24 * 60 * 60


# Signing in


@public
@sensitive_post_parameters("password")
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """The same answer for an unknown name and a wrong password; a lock after a few of either."""
    if request.user.is_authenticated:
        return redirect(safe_next(request))
    form = SignInForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        username = form.cleaned_data["username"]
        try:
            user = lockout.check_password(request, username, form.cleaned_data["password"])
        except lockout.Locked as locked:
            note_failure(request, "sign_in.locked", User.objects.filter(username=username).first())
            form.add_error(None, lock_sentence(locked))
            status = 429
        else:
            if user is None:
                note_failure(request, "sign_in.failed", User.objects.filter(username=username).first())
                form.add_error(None, _("The user name or the password is not right."))
            elif second_factor.is_on(user):
                return ask_for_code(request, user, safe_next(request))
            else:
                return finish_sign_in(request, user, safe_next(request))
    context = {"form": form, "next": safe_next(request, default="")}
    return render(request, "account/sign_in.html", context, status=status)


@public
@sensitive_post_parameters("code")
@never_cache
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """The second step, for who has a second factor: the right password alone opens nothing."""
    pending = request.session.get(PENDING_KEY) or {}
    user = pending_user(pending)
    if user is None:
        request.session.pop(PENDING_KEY, None)
        messages.info(request, _("The time for the code is over. Please sign in again."))
        return redirect("sign_in")
    form = CodeForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            device = second_factor.check_code(user, form.cleaned_data["code"])
        except second_factor.TooSoon as too_soon:
            form.add_error(None, too_soon_sentence(too_soon))
            status = 429
        else:
            if device is not None:
                return finish_sign_in(request, user, pending["next"], device)
            note_failure(request, "sign_in.code_failed", user)
            form.add_error("code", _("This code is not right, or it was used already."))
    return render(request, "account/code.html", {"form": form}, status=status)


def ask_for_code(request: HttpRequest, user: User, address: str) -> HttpResponse:
    request.session.flush()
    request.session[PENDING_KEY] = {
        "user": user.pk,
        "until": int(time.time()) + PENDING_SECONDS,
        "next": address,
        # Dies with the password and with "sign out everywhere", as a session does.
        "hash": user.get_session_auth_hash(),
    }
    return redirect("sign_in_code")


def pending_user(pending: dict[str, Any]) -> User | None:
    if not pending or pending["until"] < time.time():
        return None
    user = PortalBackend().get_user(pending["user"])
    if user is None or not constant_time_compare(pending["hash"], user.get_session_auth_hash()):
        return None
    return user


def finish_sign_in(
    request: HttpRequest, user: User, address: str, device: Device | None = None
) -> HttpResponse:
    """Open a session of its own: nothing that a stranger's session held, not even its key, goes on."""
    request.session.flush()
    login(request, user, backend=BACKEND)
    if device is not None:
        otp_login(request, device)
    audit(by=actor_of(request), action="sign_in", obj=user)
    return with_language(redirect(address), user.language)


def note_failure(request: HttpRequest, action: str, user: User | None) -> None:
    """A refused sign-in. An unknown name is not kept: people type their password there by mistake."""
    audit(
        by=None,
        action=action,
        obj=user,
        unit=home_of(user) if user else None,
        outcome=AuditEvent.Outcome.DENIED,
        ip=client_ip(request),
        request_id=getattr(request, "request_id", ""),
    )


def lock_sentence(locked: lockout.Locked) -> str:
    return ngettext(
        "Too many wrong passwords: this user name is locked for %(minutes)d minute. "
        "An administrator can open it earlier.",
        "Too many wrong passwords: this user name is locked for %(minutes)d minutes. "
        "An administrator can open it earlier.",
        locked.minutes,
    ) % {"minutes": locked.minutes}


def too_soon_sentence(too_soon: second_factor.TooSoon) -> str:
    return ngettext(
        "After wrong codes, please wait %(seconds)d second before the next one.",
        "After wrong codes, please wait %(seconds)d seconds before the next one.",
        too_soon.seconds,
    ) % {"seconds": too_soon.seconds}


def safe_next(request: HttpRequest, default: str = "home") -> str:
    """The address to go on to: one of this portal, whatever the link that led here says."""
    address = request.POST.get("next", request.GET.get("next", ""))
    if len(address) <= LONGEST_ADDRESS and url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return address
    return resolve_url(default) if default else ""


# Signing out


@signing_in
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    audit(by=request.actor, action="sign_out", obj=request.actor.user)  # type: ignore[attr-defined]
    logout(request)
    messages.success(request, _("You are signed out."))
    return redirect("sign_in")


@signing_in
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """Ends every session of the person, this one too."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    end_sessions(by=actor, user=actor.user)
    logout(request)
    messages.success(request, _("You are signed out on every device."))
    return redirect("sign_in")


# Language and acting unit


@public
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES):
        raise BadRequest("no such language")
    actor: Actor | None = request.actor  # type: ignore[attr-defined]
    if actor is not None:
        actions.choose_language(by=actor, language=language)
    return with_language(redirect(safe_next(request)), language)


def with_language(response: HttpResponse, language: str) -> HttpResponse:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=A_YEAR,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Lax",
    )
    return response


@signed_in
@require_POST
def switch_unit(request: HttpRequest) -> HttpResponse:
    """Act for another of the units where one holds a grant; what is posted as `grant` is the unit's id."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    chosen = next((g for g in actor.choices if str(g.unit_id) == request.POST.get("grant")), None)
    if chosen is None:
        raise PermissionDenied
    request.session[ACTING_UNIT_KEY] = chosen.unit_id
    acting = actor_of(request)
    audit(by=acting, action="account.switch_unit", obj=acting.user)
    address = safe_next(request)
    return redirect(address if holds_for(acting, address) else "home")


def holds_for(actor: Actor, address: str) -> bool:
    """Whether a page means something to the new unit too: a list or a form, not an object of the unit before."""
    try:
        match = resolve(address.partition("?")[0])
    except Resolver404:
        return False
    requirement = requirement_of(match.func)
    if requirement is None or {"pk", "code"} & match.kwargs.keys():
        return False
    return requirement.permission is None or actor.may(requirement.permission)


# One's own account


@signed_in
def account(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return render(
        request,
        "account/account.html",
        {
            "facts": [
                (_("User name"), actor.user.username, False),
                (_("Full name"), actor.user.name, False),
                (_("Telephone"), actor.user.phone, False),
                (_("E-mail"), actor.user.email, False),
            ],
            "grants": with_states(actor.user.grants.filter(revoked_at=None).select_related("unit")),
            "sign_ins": sign_ins_of(actor.user),
            "second_factor_on": second_factor.is_on(actor.user),
        },
    )


def sign_ins_of(user: User) -> Any:
    """The latest successes and failures of signing in as this person."""
    return AuditEvent.objects.filter(
        object_type=user._meta.label_lower,
        object_pk=str(user.pk),
        action__in=["sign_in", "sign_in.failed", "sign_in.locked", "sign_in.code_failed"],
    )[:RECENT_SIGN_INS]


@signing_in
@sensitive_post_parameters()
@never_cache
def password_change(request: HttpRequest) -> HttpResponse:
    """Forced for who signs in with a password that somebody else chose. Other sessions end with the old password."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form = NewPasswordForm(request.POST or None, user=actor.user)
    if request.method == "POST" and form.is_valid() and confirms(request, form):
        actions.change_password(by=actor, password=form.cleaned_data["new_password1"])
        update_session_auth_hash(request, actor.user)
        messages.success(request, _("Your password is changed. Other devices are signed out."))
        return redirect("home")
    context = {"form": form, "forced": actor.user.must_change_password, **layout(request)}
    return render(request, "account/password_change.html", context)


@signing_in
@sensitive_post_parameters()
@never_cache
def two_factor(request: HttpRequest) -> HttpResponse:
    """Switch the second factor on and off, and get new recovery codes."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if not second_factor.is_on(actor.user):
        return set_up_second_factor(request, actor)
    if actor.user.otp_device is None:  # type: ignore[attr-defined]
        # Signed in before it was switched on: the code comes first.
        return ask_for_code(request, actor.user, request.path)
    form = PasswordForm(request.POST or None)
    required = second_factor.is_required(actor)
    if request.method == "POST" and form.is_valid() and confirms(request, form):
        if request.POST.get("do") != "off":
            return show_codes(request, actions.renew_recovery_codes(by=actor))
        actions.switch_off_second_factor(by=actor)
        messages.success(request, _("Signing in needs the password alone from now on."))
        return redirect("account")
    context = {
        "form": form,
        "required": required,
        "codes_left": second_factor.recovery_codes_left(actor.user),
        **layout(request),
    }
    return render(request, "account/two_factor_on.html", context)


def set_up_second_factor(request: HttpRequest, actor: Actor) -> HttpResponse:
    key = request.session.setdefault(SETUP_KEY, second_factor.random_key())
    form = AppCodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        step = second_factor.fits_key(key, form.cleaned_data["code"])
        if step is not None:
            codes = actions.set_up_second_factor(by=actor, key=key, step=step)
            del request.session[SETUP_KEY]
            update_session_auth_hash(request, actor.user)
            otp_login(request, second_factor.device_of(actor.user))
            return show_codes(request, codes)
        form.add_error("code", _("This code is not right. Check that the clock of the telephone is right."))
    context = {
        "form": form,
        "required": second_factor.is_required(actor),
        "picture": second_factor.qr_code(actor.user, key),
        "key": second_factor.readable_key(key),
        **layout(request),
    }
    return render(request, "account/two_factor_off.html", context)


def show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The only time that anybody sees them: the page is not kept, and a reload does not bring it back."""
    return render(request, "account/recovery_codes.html", {"codes": codes, **layout(request)})


def confirms(request: HttpRequest, form: PlainForm) -> bool:
    """Whether `password` is the person's own; guessing it here locks the name as guessing it at the door does."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    try:
        if lockout.check_password(request, actor.user.username, form.cleaned_data["password"]) is not None:
            return True
        form.add_error("password", _("This is not your password."))
    except lockout.Locked as locked:
        form.add_error("password", lock_sentence(locked))
    note_denial(actor, "account.confirm", actor.user)
    return False


def layout(request: HttpRequest) -> dict[str, str]:
    """Without the menu for who has yet to finish signing in: every entry of it would lead back here."""
    unfinished = unfinished_business(request, request.actor)  # type: ignore[attr-defined]
    return {"layout": "account/step.html" if unfinished else "account/page.html"}
