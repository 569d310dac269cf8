from __future__ import annotations

from django.urls import path

from programs.views import account

urlpatterns = [
    path("sign-in/", account.sign_in, name="sign_in"),
    path("sign-in/code/", account.sign_in_code, name="sign_in_code"),
    path("sign-out/", account.sign_out, name="sign_out"),
    path("sign-out/everywhere/", account.sign_out_everywhere, name="sign_out_everywhere"),
    path("language/", account.set_language, name="set_language"),
    path("acting-unit/", account.switch_unit, name="switch_unit"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password_change, name="password_change"),
    path("account/two-factor/", account.two_factor, name="two_factor"),
]
