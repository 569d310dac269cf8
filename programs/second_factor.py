"""The second factor of signing in: codes of an authenticator app, and recovery codes for the day the telephone is lost.

django-otp keeps the devices, checks the codes and slows down guessing; recovery codes are kept as fingerprints only.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import math
import re
import secrets
import time
import unicodedata
from typing import cast

import qrcode
import qrcode.image.svg
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_otp.models import Device
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from programs.access import Actor
from programs.models.people import User

RECOVERY_CODES = 10
# Without letters and digits that look alike; 16 of 31 signs are 79 bits.
SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"
LONGEST_CODE = 40


class TooSoon(Exception):
    """After wrong codes the next one has to wait; it was not looked at."""

    def __init__(self, until: dt.datetime) -> None:
        super().__init__(f"no code before {until}")
        self.seconds = max(1, math.ceil((until - timezone.now()).total_seconds()))


def is_required(actor: Actor) -> bool:
    """Whether one of the person's roles must sign in with a second factor, whichever unit they act for."""
    return any(grant.role in settings.TWO_FACTOR_REQUIRED_ROLES for grant in actor.choices)


def device_of(user: User) -> TOTPDevice | None:
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def is_on(user: User) -> bool:
    return device_of(user) is not None


def check_code(user: User, code: str) -> Device | None:
    """The device of `user` that accepts the code, which is used up by that; None if none does. Raises TooSoon."""
    code = plain(code)
    model, token = (TOTPDevice, code) if re.fullmatch("[0-9]{6}", code) else (StaticDevice, fingerprint(code))
    with transaction.atomic():
        # The lock lets a code through once, however many requests bring it.
        device = model.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is None:
            return None
        allowed, reason = device.verify_is_allowed()
        if not allowed:
            raise TooSoon(reason["locked_until"])
        return device if device.verify_token(token) else None


def plain(code: str) -> str:
    """The code without the spaces and hyphens it is read out with; full-width digits of an input method count."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code)).lower()


def fingerprint(code: str) -> str:
    """What is kept of a recovery code. The codes are random enough that no salt or slow hash is needed."""
    return base64.b32encode(hashlib.sha256(code.encode("utf-8", "replace")).digest()).decode()[:16].lower()


def random_code(groups: int = 4) -> str:
    """abcd-efgh-jkmn-pqrs"""
    return "-".join("".join(secrets.choice(SIGNS) for _sign in range(4)) for _group in range(groups))


# Setting it up


def random_key() -> str:
    return secrets.token_hex(20)


def fits_key(key: str, code: str) -> int | None:
    """The time step for which `code` is right under `key`; None if it is wrong."""
    code = plain(code)
    if not re.fullmatch("[0-9]{6}", code):
        return None
    totp = TOTP(bytes.fromhex(key), drift=0)
    totp.time = time.time()
    return cast(int, totp.t()) if totp.verify(int(code), tolerance=1) else None


def set_up(user: User, key: str, step: int) -> list[str]:
    """Replace what was there by a device with this key, whose code of time step `step` is used; recovery codes anew."""
    with transaction.atomic():
        take_away(user)
        TOTPDevice.objects.create(user=user, name="totp", key=key, last_t=step, confirmed=True)
        return new_recovery_codes(user)


def new_recovery_codes(user: User) -> list[str]:
    """Ten codes in place of all older ones: this is the only time that anybody sees them."""
    codes = [random_code() for _number in range(RECOVERY_CODES)]
    with transaction.atomic():
        # The device stays: a session that it opened goes on.
        device, _created = StaticDevice.objects.get_or_create(user=user, defaults={"name": "recovery"})
        device.token_set.all().delete()
        StaticToken.objects.bulk_create(
            [StaticToken(device=device, token=fingerprint(plain(code))) for code in codes]
        )
    return codes


def recovery_codes_left(user: User) -> int:
    return StaticToken.objects.filter(device__user=user).count()


def take_away(user: User) -> None:
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()


def qr_code(user: User, key: str) -> str:
    """The key as a picture for an authenticator app: a data: address of an SVG."""
    address = TOTPDevice(user=user, key=key).config_url
    picture = qrcode.make(address, image_factory=qrcode.image.svg.SvgPathImage, box_size=12, border=4)
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.to_string()).decode()}"


def readable_key(key: str) -> str:
    """The key for typing it in: ABCD EFGH …"""
    text = base64.b32encode(bytes.fromhex(key)).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))
