"""The local review server: for who is let in by a token, on this machine or at an address that was named.

Every request is checked before it is answered. The Host header must name the address, else a foreign page could reach
the server through a name of its own ("DNS rebinding"). The visitor must have shown the token. A request that changes
something must come from the page itself.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from hmac import compare_digest
from importlib.resources import files
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
from flask import Flask, Response, abort, jsonify, redirect, render_template, request
from jinja2 import ChoiceLoader, PackageLoader
from waitress.server import create_server
from werkzeug.exceptions import HTTPException

from redweb_builder.dataset.paths import name_of
from redweb_builder.dataset.sample_files import PREVIEW
from redweb_builder.errors import UnsafePath, UserError
from redweb_builder.files import parse_json
from redweb_builder.review.pictures import KINDS
from redweb_builder.review.session import Session
from redweb_builder.version import __version__

LOOPBACK = "127.0.0.1"
THREADS = 8
MAX_BODY = 256 * 1024  # of a request; the most runs of the marks in a large label have 160 KiB
CONNECTION_LIMIT = 512  # half the usual limit of open files; a browser needs six
IDLE_S = 20  # s without a byte after which a connection is closed, so that half-sent requests give their place back
PAGES = {  # the files of the page, by the package that holds them
    "tokens.css": "redweb_builder.inspect",
    "common.js": "redweb_builder.inspect",
    **dict.fromkeys(
        ("review.css", "parallax.js", "queue.js", "stage.js", "confidence.js", "review.js", "brush.js"),
        "redweb_builder.review",
    ),
}
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


def serve(session: Session, port: int, announce: Callable[[str], None], host: str = LOOPBACK) -> None:
    """Serve until interrupted.

    session: the reviewer at the data set. port: 0 picks a free one. announce: called once with the address, token
    included, when the server listens. host: the address of this machine at which it listens; another than LOOPBACK is
    reached by other machines. Raises UserError where the address or the port cannot be had.
    """
    if not _is_one_address(host):
        raise UserError(
            f"--host {host}: name one address of this machine, as other devices reach it: 192.168.1.20, say"
        )
    cv2.setNumThreads(1)  # requests run side by side; and a right view must be aligned as the build did (engines.py)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(f"{host}, port {port}: {error.strerror}; without --port any that is free is taken") from error
    token, free = secrets.token_urlsafe(24), listening.getsockname()[1]
    app = create_app(session, token, free, host)
    server = create_server(
        app,
        sockets=[listening],
        threads=THREADS,
        max_request_body_size=MAX_BODY,
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=IDLE_S,
        cleanup_interval=IDLE_S // 4,
        asyncore_use_poll=True,  # select() breaks at file descriptor 1024
    )
    announce(f"http://{_in_url(host)}:{free}/?token={token}")
    server.run()


def _is_one_address(host: str) -> bool:
    try:
        return not ip_address(host).is_unspecified
    except ValueError:
        return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def create_app(session: Session, token: str, port: int = 80, host: str = LOOPBACK) -> Flask:
    """The web application. token: what a visit without cookie must bring. port, host: where it is served.

    session: the reviewer at the data set.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.jinja_loader = ChoiceLoader(
        [PackageLoader("redweb_builder.review", "page"), PackageLoader("redweb_builder.inspect", "page")]
    )
    _guard(app, token, port, host)
    _pages(app, session)
    _answers(app, session)
    return app


def _guard(app: Flask, token: str, port: int, host: str) -> None:
    """Let nobody in but who has the token: checks of host, token, cookie and origin."""
    visitor = secrets.token_urlsafe(24)
    names = {LOOPBACK, "localhost"} if host == LOOPBACK else {_in_url(host)}
    own_hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())  # browsers leave out :80
    cookie = f"redweb-review-{port}"  # cookies do not tell ports apart: two reviews at once need a name each

    @app.before_request
    def check() -> Response | None:
        if request.headers.get("Host", "") not in own_hosts:
            abort(403, "This server answers to the printed address only.")
        known = compare_digest(request.cookies.get(cookie, "").encode(), visitor.encode())
        given = request.args.get("token")
        if given is not None and request.path == "/":
            if not known and not compare_digest(given.encode(), token.encode()):
                abort(403, "This link is not the one that was printed. Start the review again.")
            answer = redirect("/")
            answer.set_cookie(cookie, visitor, httponly=True, samesite="Strict")
            return answer  # type: ignore[return-value]
        if not known:
            abort(403, "Open the link that was printed when the review was started.")
        if request.method != "GET":
            origin = urlsplit(request.headers.get("Origin", ""))
            if origin.scheme != "http" or origin.netloc not in own_hosts or not request.is_json:
                abort(403, "Decisions are taken from the review page only.")
        return None

    @app.after_request
    def protect(answer: Response) -> Response:
        answer.headers.update(SAFE_HEADERS)
        return answer


def _pages(app: Flask, session: Session) -> None:
    """The page, its files, and the pictures."""

    @app.get("/")
    def page() -> str:
        return render_template("review.html", name=name_of(session.folder), version=__version__)

    @app.get("/page/<name>")
    def own(name: str) -> Response:
        if name not in PAGES:
            abort(404)
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return _answer((files(PAGES[name]) / "page" / name).read_bytes(), f"{kind}; charset=utf-8")

    @app.get("/photo/<key>")
    def photo(key: str) -> Response:
        return _picture(session.stored(key, "image"))

    @app.get("/preview/<key>")
    def preview(key: str) -> Response:
        return _picture(session.stored(key, PREVIEW))

    @app.get("/picture/<kind>/<key>")
    def picture(kind: str, key: str) -> Response:
        if kind not in KINDS:
            abort(404)
        return _picture(session.picture(kind, key))

    @app.get("/points/<key>")
    def points(key: str) -> Response:
        answer = _answer(session.points(key), "application/octet-stream")
        name = quote(f"{key}.ply", safe="")  # headers hold Latin-1 only
        answer.headers.set("Content-Disposition", f"attachment; filename*=UTF-8''{name}")
        return answer


def _answers(app: Flask, session: Session) -> None:
    """The data that the page fetches and sends; a refusal is a sentence under "error"."""

    @app.get("/api/samples")
    def samples() -> Response:
        return _answer(session.samples(), "application/json")

    @app.get("/api/decisions")
    def decisions() -> Response:
        return jsonify(session.decisions())

    @app.post("/api/decide")
    def decide() -> Response:
        sent = _sent()
        if sent.get("decision") not in ("accept", "reject", "skip"):
            raise ValueError("a decision is accept, reject or skip")
        reason = None if sent.get("reason") is None else str(sent["reason"])
        reviewer = session.name_of(sent.get("reviewer"))
        return jsonify(session.decide(str(sent.get("key")), sent["decision"], reason, reviewer))

    @app.post("/api/undo")
    def undo() -> Response:
        return jsonify(session.undo(session.name_of(_sent().get("reviewer"))))

    @app.get("/api/unknown/<key>")
    def unknown(key: str) -> Response:
        return jsonify(runs=session.unknown(key))

    @app.post("/api/unknown/<key>")
    def mark_unknown(key: str) -> Response:
        sent = _sent()
        return jsonify(share=session.mark_unknown(key, sent.get("runs"), session.name_of(sent.get("reviewer"))))

    @app.get("/api/order/<key>")
    def order(key: str) -> Response:
        ax, ay, bx, by = (int(request.args.get(name, "")) for name in ("ax", "ay", "bx", "by"))
        return jsonify(session.order(key, (ax, ay), (bx, by)))

    @app.errorhandler(UserError)
    def refused(error: UserError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 404

    @app.errorhandler(ValueError)
    def wrong(error: ValueError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    @app.errorhandler(HTTPException)
    def sentence(error: HTTPException) -> Response | HTTPException:
        answer = jsonify(error=error.description)
        answer.status_code = error.code or 500
        return answer if request.path.startswith("/api/") else error

    @app.errorhandler(OSError)
    @app.errorhandler(UnsafePath)
    def failed(error: OSError) -> tuple[Response, int]:
        why = str(error.strerror or error)
        return (jsonify(error=f"not saved: {why}"), 507) if request.method == "POST" else (jsonify(error=why), 404)


def _sent() -> dict[str, Any]:
    """The object that the page has sent; empty where it is none. Raises ValueError where it is no JSON."""
    sent = parse_json(request.get_data())
    return sent if isinstance(sent, dict) else {}


def _picture(content: bytes) -> Response:
    """A PNG or JPEG."""
    return _answer(content, "image/png" if content.startswith(b"\x89PNG") else "image/jpeg")


def _answer(content: bytes, kind: str) -> Response:
    """Content that the browser asks about again, and need not fetch again where it is the same."""
    answer = Response(content, content_type=kind)
    answer.add_etag()
    answer.make_conditional(request)
    return answer
