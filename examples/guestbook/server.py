"""A guestbook: GET / shows the entries, POST / signs, GET /health answers when the database does."""

import html
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import psycopg2

PORT = int(os.environ.get("GUESTBOOK_PORT", "8080"))
GREETING = os.environ.get("GUESTBOOK_GREETING", "hello")
BODY_BYTES_MAX = 64 * 1024


def query(sql, values=()):
    """Runs one statement in a transaction of its own and gives its rows."""
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def page():
    rows = query("select name, message, signed_at from entries order by id desc limit 100")
    entries = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(message)} <small>{signed_at:%Y-%m-%d %H:%M}</small></li>"
        for name, message, signed_at in rows
    )
    return f"""<!doctype html><title>Guestbook</title><h1>Guestbook: {html.escape(GREETING)}</h1>
<form method="post"><input name="name" placeholder="Name" required>
<input name="message" placeholder="Message" required><button>Sign</button></form><ul>{entries}</ul>"""


class Guestbook(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            query("select 1")
            return self.answer(200, "ok", "text/plain")
        if self.path != "/":
            return self.answer(404, "not found", "text/plain")
        return self.answer(200, page(), "text/html; charset=utf-8")

    def do_POST(self):
        size = int(self.headers.get("content-length", "0"))
        if size > BODY_BYTES_MAX:
            return self.answer(413, "too long", "text/plain")
        form = parse_qs(self.rfile.read(size).decode())
        name, message = form.get("name", [""])[0], form.get("message", [""])[0]
        if not name or not message:
            return self.answer(400, "name and message are needed", "text/plain")
        query("insert into entries (name, message) values (%s, %s)", (name, message))
        self.send_response(303)
        self.send_header("location", "/")
        self.send_header("content-length", "0")
        self.end_headers()

    def answer(self, status, text, content_type):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(f"guestbook on port {PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Guestbook).serve_forever()
