"""The guest book: a page with a form, its entries in PostgreSQL, its visits counted in Redis."""

import html
import os
import signal
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, LifoQueue
from threading import BoundedSemaphore
from urllib.parse import parse_qs

import psycopg2
import redis

PORT = 8000
LATEST = "guestbook:latest"
VISITS = "guestbook:visits"
LONGEST_FORM = 16_384

# A crowd waits for its turn here: the database refuses the hundredth connection, and each costs it a process.
AT_ONCE = 8
PATIENCE = 20

cache = redis.Redis(
    connection_pool=redis.BlockingConnectionPool(
        host=os.environ["CACHE_HOST"],
        max_connections=AT_ONCE,
        timeout=PATIENCE,
        socket_timeout=2,
        socket_connect_timeout=2,
        decode_responses=True,
    )
)
idle_connections: LifoQueue = LifoQueue(maxsize=AT_ONCE)
turns = BoundedSemaphore(AT_ONCE)


def connect():
    return psycopg2.connect(
        host=os.environ["DATABASE_HOST"],
        dbname=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=os.environ["DATABASE_PASSWORD"],
        connect_timeout=3,
    )


def idle_or_new():
    """A connection that works: the database may have been restarted since the last one did."""
    while True:
        try:
            connection = idle_connections.get_nowait()
        except Empty:
            return connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return connection
        except psycopg2.Error:
            connection.close()


@contextmanager
def database():
    """A transaction on a connection that is kept for the next one, unless it broke."""
    if not turns.acquire(timeout=PATIENCE):
        raise TimeoutError("too many wait for the database")
    try:
        connection = idle_or_new()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except Exception:
            connection.close()
            raise
        idle_connections.put_nowait(connection)
    finally:
        turns.release()


def count_visit() -> str:
    """The page works without the cache; then nobody counts."""
    try:
        return str(cache.incr(VISITS))
    except redis.RedisError as error:
        print(f"visit not counted: {error}", file=sys.stderr)
        return "?"


def latest_entries() -> str:
    """The newest entries as HTML, from the cache while it is fresh."""
    try:
        if kept := cache.get(LATEST):
            return kept
    except redis.RedisError:
        pass
    with database() as cursor:
        cursor.execute("SELECT name, message FROM entries ORDER BY id DESC LIMIT 20")
        rows = cursor.fetchall()
    page = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(message)}</li>" for name, message in rows
    )
    try:
        cache.set(LATEST, page, ex=10)
    except redis.RedisError:
        pass
    return page


def add_entry(name: str, message: str) -> None:
    with database() as cursor:
        cursor.execute("INSERT INTO entries (name, message) VALUES (%s, %s)", (name, message))
    try:
        cache.delete(LATEST)
    except redis.RedisError:
        pass


def page() -> str:
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Guest book</title>
<h1>Guest book</h1>
<p>Visits: <span id="visits">{count_visit()}</span></p>
<form method="post">
  <input name="name" placeholder="Your name" maxlength="80" required>
  <input name="message" placeholder="Your message" maxlength="2000" required size="60">
  <button>Sign</button>
</form>
<ul>{latest_entries()}</ul>
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthy":
            self.guarded(self.healthy)
        elif self.path == "/":
            self.guarded(lambda: self.answer(200, page(), "text/html; charset=utf-8"))
        else:
            self.answer(404, "there is only /\n")

    def do_POST(self) -> None:
        self.guarded(self.sign)

    def healthy(self) -> None:
        with database() as cursor:
            cursor.execute("SELECT 1 FROM entries LIMIT 1")
        self.answer(200, "ok\n")

    def sign(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LONGEST_FORM:
            self.close_connection = True
            return self.answer(413, "too long\n")
        form = parse_qs(self.rfile.read(length).decode(errors="replace"))
        name, message = (form.get(key, [""])[0].strip() for key in ("name", "message"))
        if not 0 < len(name) <= 80 or not 0 < len(message) <= 2000:
            return self.answer(400, "a name and a message, please\n")
        add_entry(name, message)
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def guarded(self, work) -> None:
        try:
            work()
        except (psycopg2.Error, OSError) as error:
            print(f"{self.command} {self.path} failed: {error}", file=sys.stderr)
            self.answer(503, "the guest book is closed for a moment\n")

    def answer(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"listening on port {PORT}")
    Server(("", PORT), Handler).serve_forever()
