"""People and what they may do where."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C0, C1, C2, classed
from programs.models.unit import Unit
from programs.roles import ROLES, Role


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(username=self.model.normalize_username(username), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A member of staff. What they may do comes from their grants alone."""

    username = classed(
        C1,
        models.CharField(
            _("user name"),
            max_length=50,
            unique=True,
            validators=[UnicodeUsernameValidator()],
            error_messages={"unique": _("This user name is taken.")},
        ),
    )
    name = classed(C2, models.CharField(_("name"), max_length=50))
    phone = classed(C2, models.CharField(_("telephone"), max_length=20, blank=True))
    email = classed(C2, models.EmailField(_("e-mail"), blank=True))
    is_active = classed(C1, models.BooleanField(_("active"), default=True))
    language = classed(
        C0,
        models.CharField(
            _("language"),
            max_length=7,
            default="zh-hans",
            choices=[("zh-hans", "简体中文"), ("en", "English")],
        ),
    )
    must_change_password = classed(C1, models.BooleanField(_("must change the password"), default=False))
    # Raised to end every session of the person at once ("sign out everywhere").
    session_epoch = classed(C1, models.PositiveIntegerField(default=0, editable=False))
    created_at = classed(C1, models.DateTimeField(default=timezone.now, editable=False))

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["name"]
    objects = UserManager()

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ["username"]

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        return self.name

    def get_session_auth_hash(self) -> str:
        return self._epoch_hash()

    def get_session_auth_fallback_hash(self) -> Any:
        from django.conf import settings

        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._epoch_hash(secret)

    def _epoch_hash(self, secret: str | None = None) -> str:
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("programs.User.session", value, secret=secret, algorithm="sha256").hexdigest()


class GrantQuerySet(models.QuerySet["Grant"]):
    def active(self, day: dt.date | None = None) -> GrantQuerySet:
        day = day or timezone.localdate()
        return self.filter(Q(valid_to=None) | Q(valid_to__gte=day), valid_from__lte=day, revoked_at=None)


class Grant(models.Model):
    """`user` holds `role` at `unit`, and below it if `include_descendants`, from `valid_from` through `valid_to`.

    A grant is never deleted: revoking it sets `revoked_at`, which bites on the person's next request.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="grants", verbose_name=_("person"))
    role = models.CharField(_("role"), max_length=25, choices=[(r.code, r.label) for r in ROLES.values()])
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="grants", verbose_name=_("unit"))
    include_descendants = models.BooleanField(_("with the units below"), default=False)
    valid_from = models.DateField(_("valid from"), default=timezone.localdate)
    valid_to = models.DateField(_("valid through"), null=True, blank=True)
    granted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = GrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        ordering = ["unit__code", "role", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "unit"],
                condition=Q(valid_to=None, revoked_at=None),
                name="grant_open_once",
                violation_error_message=_("This person already holds this role at this unit."),
            ),
            models.CheckConstraint(
                name="grant_ends_after_start",
                condition=Q(valid_to=None) | Q(valid_to__gte=F("valid_from")),
                violation_error_message=_("A grant cannot end before it begins."),
            ),
            models.CheckConstraint(name="grant_role_is_known", condition=Q(role__in=sorted(ROLES))),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} {self.unit_id}"

    @property
    def role_class(self) -> type[Role]:
        return ROLES[self.role]
