"""The pages of the site as `make site` has built it."""

from __future__ import annotations

import re

from peers import ROOT

SITE = ROOT / "build" / "site"

PAGES = sorted(path.relative_to(SITE).as_posix().removesuffix("index.html") for path in SITE.rglob("index.html"))
"""The address of each page within the site."""

READ_PAGES = [page for page in PAGES if not re.search(r"\.(py|json)/$", page)]
"""Those that are no source of a program."""
