"""The page's web server, in a thread of its own: files, and news as they come.

News go out as server-sent events: one way, so that who looks cannot move anything. Only this
machine is answered: the socket is bound to 127.0.0.1, and requests that name another host (a page
from elsewhere whose name was made to point here) are refused. Orders are taken only where the
server is given someone to carry them out, with a token that no page of another origin can read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from aiohttp import web

from a1_core.errors import A1Error

HOST = "127.0.0.1"
PERIOD_S = 0.1
HEARTBEATS = 10
"""News go out at least every so many periods, so that a viewer notices when they stop."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TOKEN_HEADER = "X-A1-Token"

News = Callable[[int], dict[str, Any]]
"""What is newer than a revision; see Board.news."""
Act = Callable[[str, str], Awaitable[tuple[bool, str]]]
"""Carry out an order with its argument: whether it was done, and what was said."""


class PageServer:
    """Serves the page from `start` to `stop`.

    Attributes:
        viewers: how many pages are open.
        address: to open in a browser.
    """

    def __init__(self, news: News, *, port: int, title: str, act: Act | None = None) -> None:
        """`port` 0 takes a free one; without `act` there is nothing to order."""
        self._news = news
        self._port = port
        self._act = act
        self._token = secrets.token_urlsafe(24)
        self._hello = {
            "title": title,
            "token": self._token if act is not None else "",
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="page", daemon=True)
        self._runner: web.AppRunner | None = None
        self.viewers = 0
        self.address = ""

    def start(self) -> None:
        """Bind and serve; A1Error when the port is taken."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()
        except OSError as error:
            self.stop()
            raise A1Error(
                f"port {self._port}: the page cannot be served there ({error.strerror}); "
                "end what uses it, or give another port, 0 for any that is free"
            ) from None

    def stop(self) -> None:
        """End all connections and the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _begin(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.add_routes([web.get("/", self._index), web.get("/news", self._stream)])
        if self._act is not None:
            app.add_routes([web.post("/act/{order}", self._order)])
        app.add_routes([web.static("/assets", str(files("a1_views") / "assets"))])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.address = f"http://{HOST}:{self._port}/"

    async def _end(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.host not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
            raise web.HTTPForbidden(text=f"open {self.address}\n")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _index(self, request: web.Request) -> web.Response:
        page = (files("a1_views") / "assets" / "page.html").read_text(encoding="utf-8")
        return web.Response(text=page, content_type="text/html")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await response.prepare(request)
        self.viewers += 1
        try:
            await self._tell(response)
        except ConnectionResetError:
            pass  # The viewer left.
        finally:
            self.viewers -= 1
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        """News, as fast as the viewer takes them: what he misses meanwhile comes at once later."""
        await response.write(_event("hello", self._hello))
        revision, before, silent = 0, "", 0
        while True:
            news = self._news(revision)
            shown = json.dumps({k: v for k, v in news.items() if k != "now_s"})
            silent += 1
            if shown != before or silent >= HEARTBEATS:
                await response.write(_event("news", news))
                revision, before, silent = news["revision"], shown, 0
            await asyncio.sleep(PERIOD_S)

    async def _order(self, request: web.Request) -> web.Response:
        assert self._act is not None
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, ""), self._token):
            raise web.HTTPForbidden(text="orders come from the page itself\n")
        argument = await request.text()
        done, message = await self._act(request.match_info["order"], argument)
        return web.json_response({"done": done, "message": message})


def _event(name: str, content: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content, allow_nan=False)}\n\n".encode()
