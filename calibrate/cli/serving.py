"""Serve pages to the browsers of this machine: read-only, behind a token, under no other name."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from calibrate.cli.live import LiveReports
from calibrate.errors import UsageError
from calibrate.report.render import security_policy

__all__ = ["listening", "serve", "serving"]

ADDRESS = "127.0.0.1"
CLOSING_S = 1.0  # for answers that are under way when it ends

# Else whatever can reach the port, a page of any site among it, could write to the terminal by
# requests that are none.
_SILENT = logging.getLogger("calibrate.serving")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listening(port: int) -> socket.socket:
    """Return a socket of this machine alone; raises `UsageError` where the port is not to be had.

    Port 0 is any that is free.
    """
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise UsageError(
            f"--port {port}: cannot be used: {os.strerror(error.errno or 0)}; choose another, or "
            "leave it out"
        ) from error


def serve(reports: LiveReports, opened: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve the pages until Ctrl-C, which is no error here; `announce` is told their address."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serving(reports, opened, announce))


async def serving(
    reports: LiveReports, opened: socket.socket, announce: Callable[[str], None]
) -> None:
    """Serve the pages until it is cancelled; the socket is closed then."""
    token, port = secrets.token_urlsafe(), opened.getsockname()[1]
    pages = _Pages(reports, token, port)
    application = web.Application(middlewares=[pages.guard])
    application.router.add_get("/{path:.*}", pages.answer)
    runner = web.AppRunner(application, access_log=None, logger=_SILENT, shutdown_timeout=CLOSING_S)
    await runner.setup()
    try:
        await web.SockSite(runner, opened).start()
        announce(f"http://{ADDRESS}:{port}/{token}/")
        await asyncio.Event().wait()
    finally:
        reports.stop()  # or the end would wait for a page that nobody will see
        await runner.cleanup()


class _Pages:
    """What is answered to a request: a page for who knows the token, and nothing else."""

    def __init__(self, reports: LiveReports, token: str, port: int) -> None:
        self._reports = reports
        self._token = token.encode()
        names = (ADDRESS, "localhost")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        self._turn = asyncio.Lock()
        self._headers = {
            "Content-Security-Policy": security_policy(),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Server": "calibrate",
        }

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer with the headers of every page, and who may not ask, not at all."""
        if request.headers.getall("Host", []) not in [[host] for host in self._hosts]:
            # So asks a page of another site, whose name was made to lead to this machine.
            response: web.StreamResponse = web.Response(status=421, text="no such host\n")
        elif request.method not in ("GET", "HEAD"):
            response = web.Response(status=405, text="read-only\n", headers={"Allow": "GET, HEAD"})
        else:
            response = await self._answered(request, handler)
        response.headers.update(self._headers)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception:
            traceback.print_exc()
            told = "error: this is a bug in calibrate; please report it with the above"
            print(told, file=sys.stderr)
            return web.Response(status=500, text="a bug in calibrate: see its terminal\n")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the page of a path; it is looked up among the pages, and never as a file."""
        token, _, file = request.match_info["path"].partition("/")
        is_held = "hold" in request.query
        shown = None
        if secrets.compare_digest(token.encode("utf-8", "replace"), self._token):
            async with self._turn:
                shown = await asyncio.to_thread(self._reports.page, file, is_held=is_held)
        if shown is None:
            return web.Response(status=404, text="no such page\n")
        status = 503 if shown.is_problem else 200
        response = web.Response(status=status, text=shown.html, content_type="text/html")
        if shown.every_s is not None:  # needs no script, and no leave of the security policy
            response.headers["Refresh"] = str(shown.every_s)
        return response
