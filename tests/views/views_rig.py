"""What the tests of views share: news as a browser gets them."""

import json
import threading
import urllib.request


class Viewer:
    """Reads a page's news in a thread, as a browser does."""

    def __init__(self, address: str) -> None:
        self.hello: dict = {}
        self.news: dict = {}
        self.ticks: dict[int, dict] = {}
        self._answer = urllib.request.urlopen(f"{address}news", timeout=30)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # Closing a response that another thread reads would wait for that thread.
        self._answer.fp.raw._sock.shutdown(2)
        self._thread.join(timeout=5.0)

    def _read(self) -> None:
        kind = ""
        try:
            for line in self._answer:
                text = line.decode().strip()
                if text.startswith("event: "):
                    kind = text[7:]
                elif text.startswith("data: "):
                    self._take(kind, json.loads(text[6:]))
        except (OSError, ValueError):
            return  # Closed.

    def _take(self, kind: str, content: dict) -> None:
        if kind == "hello":
            self.hello = content
            return
        for tick in content["ticks"]:
            self.ticks[tick["n"]] = tick
        self.news = {**self.news, **content}
