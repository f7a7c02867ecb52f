"""The page for people who cannot see it, or not well: axe finds nothing to mend.

Needs ``axe-playwright-python``, which brings axe-core, and an installed Chromium; skipped where either is missing.
"""

from __future__ import annotations

from typing import Any

import pytest

axe = pytest.importorskip("axe_playwright_python.sync_playwright")


def found(page: Any) -> list[str]:
    """Return what axe says of the page as it is now, a line for each element."""
    return [
        f"{rule['id']} ({rule['help']}): {' '.join(map(str, node['target']))}"
        for rule in axe.Axe().run(page).response["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    assert found(page) == []
    page.locator("[data-cell]").first.click()
    for part in page.locator("dialog summary").all():
        part.click()
    assert found(page) == []
