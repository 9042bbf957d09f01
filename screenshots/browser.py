"""A browser without a window, for tests, pictures and measurements of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = ((1280, 800), (1920, 1080))
SCHEMES = ("light", "dark")
OVERLAPS = """() => {
  // Rectangles of all text that is shown, cut to what their boxes show of them.
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.trim() || node.parentElement.closest("script, style")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      let [l, t, r, b] = [rect.left, rect.top, rect.right, rect.bottom];
      for (let box = node.parentElement; box; box = box.parentElement) {
        if (getComputedStyle(box).overflow === "visible") continue;
        const at = box.getBoundingClientRect();
        [l, t] = [Math.max(l, at.left), Math.max(t, at.top)];
        [r, b] = [Math.min(r, at.right), Math.min(b, at.bottom)];
      }
      if (r - l > 1 && b - t > 3) found.push({ text: node.data.trim(), l, t, r, b });
    }
  }
  const bad = [];
  found.forEach((a, k) => found.slice(k + 1).forEach((o) => {
    const wide = Math.min(a.r, o.r) - Math.max(a.l, o.l);
    const high = Math.min(a.b, o.b) - Math.max(a.t, o.t);
    if (wide > 2 && high > 4) bad.push(`${a.text} / ${o.text}`);
  }));
  return bad;
}"""


def find_browser() -> str | None:
    """The first of NAMES that is installed."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser that asks nobody but this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(),
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"],
        )
        try:
            yield browser
        finally:
            browser.close()


def overlaps(page: Any) -> Sequence[str]:
    """Pairs of texts that lie over each other in a page."""
    return list(page.evaluate(OVERLAPS))


def pictures(
    browser: Browser, address: str, folder: Path, name: str, *, ready: str, whole: bool = False
) -> list[Path]:
    """The page in every size and scheme, once `ready` (an expression) holds; the files.

    `whole`: what one has to scroll to as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    for scheme in SCHEMES:
        for width, height in SIZES:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                bypass_csp=True,  # for `ready`, which the browser evaluates
            )
            page.goto(address)
            page.wait_for_function(ready)
            path = folder / f"{name}_{scheme}_{width}x{height}.png"
            page.screenshot(path=path, full_page=whole)
            page.close()
            taken.append(path)
    return taken
