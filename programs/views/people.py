"""Accounts and grants, kept by an administrator for the people of their units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from programs import lockout, second_factor
from programs.access import Actor, get_person_or_404, people_for, requires
from programs.account_forms import (
    SEARCH_LENGTH,
    GrantForm,
    NewPersonForm,
    PeopleFilter,
    PersonForm,
    RevokeForm,
)
from programs.actions import people as actions
from programs.lists import without
from programs.menu import Page, add_page
from programs.models.people import Grant, User
from programs.models.unit import subtree
from programs.paging import page_of
from programs.registry import Text
from programs.roles import Permission

add_page(
    Page("administration", gettext_lazy("People and roles"), "people_list", "users", Permission.PEOPLE_MANAGE)
)


@requires(Permission.PEOPLE_MANAGE)
def people_list(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form = PeopleFilter(request.GET, actor=actor)
    people = filtered(people_for(actor), form.cleaned_data) if form.is_valid() else User.objects.none()
    page = page_of(people, "username", request.GET.get("cursor", ""))
    attach_grants(page.rows)
    context = {
        "filter_form": form,
        "people": page.rows,
        "active_filters": tags_of(request, form),
        "prev_url": address_with(request, page.previous_cursor),
        "next_url": address_with(request, page.next_cursor),
    }
    return render(request, "people/list.html", context)


def filtered(people: QuerySet[User], asked: dict[str, Any]) -> QuerySet[User]:
    grants = Grant.objects.active().filter(user=OuterRef("pk"))
    if asked["q"]:
        people = people.filter(
            Q(username__icontains=asked["q"]) | Q(name__icontains=asked["q"]) | Q(phone=asked["q"])
        )
    if asked["unit"]:
        people = people.filter(Exists(grants.filter(subtree(asked["unit"].path, "unit__"))))
    if asked["role"]:
        people = people.filter(Exists(grants.filter(role=asked["role"])))
    match asked["state"]:
        case "active":
            people = people.filter(is_active=True)
        case "closed":
            people = people.filter(is_active=False)
        case "idle":
            people = people.filter(~Exists(grants))
    return people


def attach_grants(people: list[User]) -> None:
    """`active_grants` of everybody on the page, by one query."""
    by_person: dict[int, list[Grant]] = {}
    for grant in Grant.objects.active().filter(user__in=[p.pk for p in people]).select_related("unit"):
        by_person.setdefault(grant.user_id, []).append(grant)
    for person in people:
        person.active_grants = tuple(by_person.get(person.pk, ()))  # type: ignore[attr-defined]


def address_with(request: HttpRequest, cursor: str) -> str:
    if not cursor:
        return ""
    parameters = request.GET.copy()
    parameters["cursor"] = cursor
    return f"?{parameters.urlencode()}"


def tags_of(request: HttpRequest, form: forms.Form) -> list[dict[str, Any]]:
    """The filters that were asked for, in words, each with the address that takes it away."""
    tags = []
    for name, field in form.fields.items():
        sent = request.GET.get(name, "").strip()
        if sent:
            listed: Any = field.choices if type(field) is forms.ChoiceField else ()
            found = form.cleaned_data.get(name) if form.is_valid() else None
            value = dict(listed).get(sent) or found or sent[:SEARCH_LENGTH]
            tags.append({"label": field.label, "value": value, "remove_url": without(request, name)})
    return tags


@requires(Permission.PEOPLE_MANAGE)
def person_detail(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    person = get_person_or_404(actor, pk)
    locked_until = lockout.locked_until(person.username)
    grants = person.grants.select_related("unit", "granted_by").order_by("-valid_from", "-pk")
    context = {
        "person": person,
        "facts": facts_of(person),
        "grants": with_states(grants),
        "locked_until": locked_until,
        "is_self": person.pk == actor.user.pk,
        "verbs": [verb for verb in VERBS.values() if verb.applies(person, locked_until is not None)],
    }
    return render(request, "people/detail.html", context)


def facts_of(person: User) -> list[tuple[str, Any, bool]]:
    last_login = timezone.localtime(person.last_login) if person.last_login else None
    return [
        (_("User name"), person.username, False),
        (_("Telephone"), person.phone, False),
        (_("E-mail"), person.email, False),
        (_("Account"), _("In use") if person.is_active else _("Closed"), False),
        (_("Second factor"), _("On") if second_factor.is_on(person) else _("Off"), False),
        (_("Last sign-in"), last_login.strftime("%Y-%m-%d %H:%M") if last_login else _("Never"), False),
    ]


def with_states(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """Grants with what they are today: in force, to come, over, revoked."""
    today = timezone.localdate()
    rows = []
    for grant in grants:
        if grant.revoked_at:
            state, stands = _("Revoked"), False
        elif grant.valid_to and grant.valid_to < today:
            state, stands = _("Over"), False
        elif grant.valid_from > today:
            state, stands = _("Begins later"), True
        else:
            state, stands = _("In force"), True
        rows.append({"grant": grant, "role": grant.role_class.label, "state": state, "stands": stands})
    return rows


@requires(Permission.PEOPLE_MANAGE)
@never_cache
def person_new(request: HttpRequest) -> HttpResponse:
    """A new account; its first password stands on the answer to the form and nowhere else."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form = NewPersonForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        account = {name: form.cleaned_data[name] for name in ("username", "name", "phone", "email")}
        made = attempt(form, lambda: actions.create_user(by=actor, **account, **form.grant()))
        if made:
            return show_password(request, *made)
    context = {"form": form, "heading": _("New account"), "submit": _("Create the account")}
    return render(request, "people/form.html", {**context, "cancel_url": reverse("people_list")})


@requires(Permission.PEOPLE_MANAGE)
def person_edit(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    person = get_person_or_404(actor, pk)
    initial = {"name": person.name, "phone": person.phone, "email": person.email}
    form = PersonForm(request.POST or None, initial=initial)

    def change() -> User:
        return actions.change_user(by=actor, user=person, **form.cleaned_data)

    if request.method == "POST" and form.is_valid() and attempt(form, change):
        messages.success(request, _("The account is saved."))
        return redirect("person_detail", pk)
    context = {"form": form, "person": person, "heading": _("Change name and contact"), "submit": _("Save")}
    return render(request, "people/form.html", {**context, "cancel_url": reverse("person_detail", args=[pk])})


@requires(Permission.PEOPLE_MANAGE)
def grant_new(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    person = get_person_or_404(actor, pk)
    refuse_self(actor, person)
    form = GrantForm(request.POST or None, actor=actor)

    def grant() -> Grant:
        return actions.grant_role(by=actor, user=person, **form.grant())

    if request.method == "POST" and form.is_valid() and attempt(form, grant):
        messages.success(request, _("The role is granted."))
        return redirect("person_detail", pk)
    context = {"form": form, "person": person, "heading": _("Grant a role"), "submit": _("Grant the role")}
    return render(request, "people/form.html", {**context, "cancel_url": reverse("person_detail", args=[pk])})


@requires(Permission.PEOPLE_MANAGE)
def grant_revoke(request: HttpRequest, pk: int, grant_pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    person = get_person_or_404(actor, pk)
    refuse_self(actor, person)
    grant = person.grants.select_related("unit", "user").filter(pk=grant_pk, revoked_at=None).first()
    if grant is None:
        raise Http404
    form = RevokeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        actions.revoke_grant(by=actor, grant=grant, reason=form.cleaned_data["reason"])
        messages.success(request, _("The role is revoked. It ends with the person's next click."))
        return redirect("person_detail", pk)
    context = {
        "form": form,
        "person": person,
        "grant": grant,
        "question": _("Revoke this role?"),
        "explanation": _("The person loses it at once. What they entered stays."),
        "submit": _("Revoke the role"),
        "icon": "ban",
        "danger": True,
        "cancel_url": reverse("person_detail", args=[pk]),
    }
    return render(request, "people/confirm.html", context)


# What is done to an account by one button and one question


@dataclass(frozen=True)
class Verb:
    code: str
    label: Text
    question: Text
    explanation: Text
    done: Text
    icon: str
    run: Callable[[Actor, User], str | None]
    applies: Callable[[User, bool], bool]
    danger: bool = False

    @property
    def url_name(self) -> str:
        return f"person_{self.code}"


def in_use(person: User, locked: bool) -> bool:
    return person.is_active


VERBS = {
    verb.code: verb
    for verb in (
        Verb(
            "unlock",
            gettext_lazy("Open the lock"),
            gettext_lazy("Open the lock of this account?"),
            gettext_lazy("Too many wrong passwords closed it. Make sure that it was the person who tried."),
            gettext_lazy("The lock is open."),
            "lock-open",
            lambda actor, person: actions.unlock(by=actor, user=person),
            lambda person, locked: person.is_active and locked,
        ),
        Verb(
            "reset_password",
            gettext_lazy("Set a new password"),
            gettext_lazy("Give this person a new password?"),
            gettext_lazy(
                "The old password ends, and so does every session. You see the new one once; "
                "the person must change it at the first sign-in. A second factor stays as it is."
            ),
            gettext_lazy("The new password is set."),
            "key",
            lambda actor, person: actions.reset_password(by=actor, user=person),
            in_use,
        ),
        Verb(
            "reset_second_factor",
            gettext_lazy("Take away the second factor"),
            gettext_lazy("Take away this person's second factor?"),
            gettext_lazy(
                "For somebody who lost both the telephone and the recovery codes. "
                "Make sure who is asking: the password alone opens the account afterwards."
            ),
            gettext_lazy("The second factor is taken away, and every session ended."),
            "device-mobile",
            lambda actor, person: actions.reset_second_factor(by=actor, user=person),
            lambda person, locked: person.is_active and second_factor.is_on(person),
            danger=True,
        ),
        Verb(
            "end_sessions",
            gettext_lazy("Sign out everywhere"),
            gettext_lazy("Sign this person out everywhere?"),
            gettext_lazy("Every session on every device ends at once; the person can sign in again."),
            gettext_lazy("The person is signed out everywhere."),
            "logout",
            lambda actor, person: actions.end_sessions(by=actor, user=person),
            in_use,
        ),
        Verb(
            "deactivate",
            gettext_lazy("Close the account"),
            gettext_lazy("Close this account?"),
            gettext_lazy("The person can no longer sign in. What they entered stays, and so do their roles."),
            gettext_lazy("The account is closed."),
            "user-off",
            lambda actor, person: actions.set_active(by=actor, user=person, active=False),
            in_use,
            danger=True,
        ),
        Verb(
            "reactivate",
            gettext_lazy("Reopen the account"),
            gettext_lazy("Reopen this account?"),
            gettext_lazy("The person can sign in again, with the roles that are still in force."),
            gettext_lazy("The account is open again."),
            "user-check",
            lambda actor, person: actions.set_active(by=actor, user=person, active=True),
            lambda person, locked: not person.is_active,
        ),
    )
}


@requires(Permission.PEOPLE_MANAGE)
@never_cache
def person_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """GET asks, POST does."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    person = get_person_or_404(actor, pk)
    refuse_self(actor, person)
    chosen = VERBS[verb]
    if request.method == "POST":
        password = chosen.run(actor, person)
        if password:
            return show_password(request, person, password)
        messages.success(request, str(chosen.done))
        return redirect("person_detail", pk)
    context = {
        "person": person,
        "question": chosen.question,
        "explanation": chosen.explanation,
        "submit": chosen.label,
        "icon": chosen.icon,
        "danger": chosen.danger,
        "cancel_url": reverse("person_detail", args=[pk]),
    }
    return render(request, "people/confirm.html", context)


# Helpers


def refuse_self(actor: Actor, person: User) -> None:
    """The actions refuse it too; here before a form is filled in for nothing."""
    if actor.user.pk == person.pk:
        raise PermissionDenied


def attempt(form: forms.Form, write: Callable[[], Any]) -> Any:
    """The result of the write; None if it was refused, with the reasons beside the fields they belong to."""
    try:
        return write()
    except ValidationError as error:
        for name, errors in by_field(error).items():
            form.add_error(name if name in form.fields else None, errors)
        return None


def by_field(error: ValidationError) -> dict[str, Any]:
    return error.error_dict if hasattr(error, "error_dict") else {"": error.error_list}


def show_password(request: HttpRequest, person: User, password: str) -> HttpResponse:
    return render(request, "people/password.html", {"person": person, "password": password})
