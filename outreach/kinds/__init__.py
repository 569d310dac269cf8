"""The kinds of records of listening visits, in the order of the menu."""

from outreach.kinds import visits  # noqa: I001, F401
from outreach.kinds import opinions  # noqa: F401
from outreach.kinds import places  # noqa: F401
from outreach.kinds import mood  # noqa: F401
