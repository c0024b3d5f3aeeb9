"""The comparison behind bench/proxy/run: starts the contenders, measures them in turn, and prints what came of it."""

import argparse
import datetime
import http.client
import itertools
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
URLS = 10_000
BODY = 2_048
TICK = os.sysconf("SC_CLK_TCK")
# The proxy has the first core for itself; its clients and the API share the second one.
PROXY_CORE, OTHER_CORE = "0", "1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, child, log):
    for _ in range(200):
        if child.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}:\n{log.read_text()}")


def tree(pid):
    """The process and all that it started."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    total = 0
    for one in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def resident(pid):
    total = 0
    for one in tree(pid):
        try:
            total += int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{one}/status").read_text())[1]) * 1024
        except (OSError, TypeError):
            pass
    return total


class Server:
    def __init__(self, bench, name, port, command, core=PROXY_CORE):
        self.name, self.port = name, port
        log = bench.folder / f"{name.replace(' ', '-')}-{port}.log"
        self.child = subprocess.Popen(
            ["taskset", "-c", core, *map(str, command)], stdout=log.open("w"), stderr=subprocess.STDOUT
        )
        bench.servers.append(self)
        wait_for(port, self.child, log)

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="restow-proxy-"))
        self.servers, self.rows = [], []
        self.rounds = 2 if args.quick else 5
        self.seconds = 1 if args.quick else 5

    # -- contenders

    def origin(self):
        port = free_port()
        command = [TARGET / "restow-bench", "proxy", "origin", f"127.0.0.1:{port}"]
        return Server(self, "api", port, command, OTHER_CORE)

    def restow(self, origin, cache, name="restow", *options):
        port = free_port()
        command = [TARGET / "restow", "proxy", "--upstream", origin.url(), "--listen", f"127.0.0.1:{port}", "--cache", cache]
        return Server(self, name, port, [*command, "--workers", "1", *options])

    def nginx(self, origin, name="nginx", extra=""):
        port = free_port()
        home = self.folder / f"nginx-{port}"
        (home / "cache").mkdir(parents=True)
        conf = home / "nginx.conf"
        # Its workers would give the folder up otherwise.
        user = "user root; worker_rlimit_nofile 65536;" if os.getuid() == 0 else ""
        conf.write_text(f"""
{user}
worker_processes 1;
daemon off;
pid {home}/pid;
error_log {home}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  fastcgi_temp_path {home}/fastcgi;
  scgi_temp_path {home}/scgi;
  uwsgi_temp_path {home}/uwsgi;
  proxy_temp_path {home}/temp;
  keepalive_requests 100000000;
  sendfile on;
  tcp_nopush on;
  proxy_cache_path {home}/cache levels=1:2 keys_zone=all:64m max_size=10g inactive=1d use_temp_path=off;
  {extra}
  upstream api {{ server 127.0.0.1:{origin.port}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache all;
      proxy_cache_lock on;
      add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
""")
        return Server(self, name, port, [shutil.which("nginx") or "/usr/sbin/nginx", "-c", conf])

    def haproxy(self, origin):
        port = free_port()
        conf = self.folder / f"haproxy-{port}.cfg"
        conf.write_text(f"""
global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
cache all
  total-max-size 256
  max-object-size 100000
  max-age 3600
frontend in
  bind 127.0.0.1:{port}
  default_backend api
backend api
  http-request cache-use all
  http-response cache-store all
  server api 127.0.0.1:{origin.port}
""")
        return Server(self, "HAProxy", port, [shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", conf])

    # -- measuring

    def wants(self, work):
        return self.args.only in work

    def fill(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for n in range(URLS):
            connection.request("GET", f"/hit/{n}")
            answer = connection.getresponse()
            body = answer.read()
            assert len(body) == BODY, (server.name, answer.status, body)
        connection.close()

    def wrk(self, server, seconds):
        command = ["taskset", "-c", OTHER_CORE, "wrk", "-t1", "-c64", f"-d{seconds}s", "-s", ROOT / "bench/proxy/hits.lua", server.url()]
        before = cpu_seconds(server.child.pid)
        out = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(server.child.pid) - before
        requests = int(re.search(r"(\d+) requests in", out)[1])
        assert "Non-2xx" not in out and "Socket errors" not in out, out
        return used / requests * 1e6, float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])

    def race(self, servers):
        """Medians of CPU microseconds a request and of requests a second; the order goes round."""
        for server in servers:
            self.wrk(server, 1)
        figures = {server.name: [] for server in servers}
        for turn in range(self.rounds):
            for server in servers[turn % len(servers):] + servers[:turn % len(servers)]:
                figures[server.name].append(self.wrk(server, self.seconds))
        return {name: [statistics.median(f[i] for f in all) for i in (0, 1)] for name, all in figures.items()}

    def row(self, work, ours, reference, against, sign, target, unit):
        """One row: without a target it is for information, and its ratio is a speed; without a reference the target bounds our own figure."""
        ratio = None if reference is None else ours / reference if sign == "<=" else reference / ours
        judged = ours if ratio is None else ratio
        holds = None
        if target is not None and not self.args.quick:
            holds = judged >= target if sign == ">=" else judged <= target
        self.rows.append({
            "work": work, "ours": ours, "reference": reference, "against": against, "ratio": ratio,
            "target": target and f"{sign} {target}", "holds": holds, "unit": unit,
        })
        if self.args.json:
            print(json.dumps(self.rows[-1]), flush=True)

    def info(self, work, ours, reference, against, unit):
        self.row(work, ours, reference, against, ">=", None, unit)

    # -- works

    def hits(self):
        if not self.wants("hits"):
            return
        origin = self.origin()
        open_files = "open_file_cache max=20000 inactive=1h; open_file_cache_valid 1h;"
        servers = [
            self.restow(origin, "memory:"),
            self.nginx(origin),
            self.nginx(origin, "nginx with open_file_cache", open_files),
            self.haproxy(origin),
        ]
        file = self.folder / "hits.db"
        disk = self.restow(origin, f"sqlite://{file}", "restow on SQLite", "--memory", "0")
        servers.append(disk)
        for server in servers:
            self.fill(server)
        for server in servers:
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            connection.request("GET", "/hit/1")
            answer = connection.getresponse()
            answer.read()
            is_hit = "hit" in (answer.headers.get("Cache-Status", "") + answer.headers.get("X-Cache", "") + ("hit" if answer.headers.get("Age") else "")).lower()
            assert is_hit, f"{server.name}: {answer.headers}"
        self.asked(origin)
        cpu = self.race(servers)
        assert self.asked(origin) == 0, "a hit was none"
        ours, unit = cpu["restow"][0], "us CPU"
        self.row("hits of 2 KiB, memory: CPU a request", ours, cpu["nginx"][0], "nginx proxy_cache", ">=", 2.0, unit)
        self.row("hits of 2 KiB, memory: CPU a request, beside HAProxy", ours, cpu["HAProxy"][0], "HAProxy cache", ">=", 1.0, unit)
        with_files = cpu["nginx with open_file_cache"][0]
        self.info("hits of 2 KiB, memory: CPU a request, beside nginx with open_file_cache", ours, with_files, "nginx, open_file_cache", unit)
        on_disk = cpu["restow on SQLite"][0]
        self.row("hits of 2 KiB, SQLite without memory: CPU a request", on_disk, cpu["nginx"][0], "nginx, its cache on disk", ">=", 0.9, unit)
        for name, (_, rate) in cpu.items():
            self.info(f"hits of 2 KiB, one core: {name}", 1e6 / rate, 1e6 / cpu["nginx"][1], "nginx", "us")
        self.stop()

    def misses(self):
        if not self.wants("miss: added latency"):
            return
        origin = self.origin()
        proxies = [self.restow(origin, "memory:"), self.haproxy(origin)]
        number = 500 if self.args.quick else 5_000
        urls = [server.url() for server in (origin, *proxies)]
        command = ["taskset", "-c", OTHER_CORE, TARGET / "restow-bench", "proxy", "latency", number, *urls]
        out = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
        direct, *proxied = [list(map(float, line.split())) for line in out.splitlines()]
        added = {server.name: [(p - d) / 1e3 for p, d in zip(times, direct)] for server, times in zip(proxies, proxied)}
        for nth, (part, target) in enumerate([("p50", 0.2), ("p99", 1.0)]):
            self.row(f"miss: added latency, {part}", added["restow"][nth], None, None, "<=", target, "ms")
            ours, reference = added["restow"][nth], added["HAProxy"][nth]
            self.info(f"miss: added latency, {part}, beside HAProxy", ours, reference, "HAProxy cache", "ms")
        self.stop()

    def memory(self):
        if not self.wants("memory of entries"):
            return
        origin = self.origin()
        proxy = self.restow(origin, "memory:?max_bytes=4GiB")
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port)

        def ask(numbers):
            size = 0
            for n in numbers:
                connection.request("GET", f"/memory/{n}")
                answer = connection.getresponse()
                size += len(answer.read()) + sum(
                    len(k) + len(v) + 4 for k, v in answer.headers.items() if k.lower() not in ("via", "cache-status")
                )
            return size

        ask(range(-1_000, 0))
        before = resident(proxy.child.pid)
        number = 10_000 if self.args.quick else 100_000
        size = ask(range(number))
        used = resident(proxy.child.pid) - before
        per = 10_000 / number
        self.row("memory of entries: 10,000 of 2 KiB", used * per / 1e6, size * per / 1e6, "head + body", "<=", 1.4, "MB")
        self.stop()

    def asked(self, origin):
        """How many requests the API got since this was asked last."""
        connection = http.client.HTTPConnection("127.0.0.1", origin.port)
        connection.request("GET", "/count")
        return int(connection.getresponse().read())

    def herd(self):
        if not self.wants("herd"):
            return
        number = 1_000 if self.args.quick else 10_000
        origin = self.origin()
        proxy = self.restow(origin, "memory:")

        def ask(path, number):
            command = ["taskset", "-c", OTHER_CORE, TARGET / "restow-bench", "proxy", "herd", proxy.url(path), number]
            return float(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)

        self.asked(origin)
        ask("/slow/one", number)
        # The connections were made with requests for one path, of which the first alone was asked for.
        calls = self.asked(origin) - 1
        self.row(f"herd: {number:,} identical misses, requests to the API", calls, None, None, "<=", 1, "requests")
        one = ask("/slow/private/a", 1)
        # A path of its own: nobody knows yet that its answer may not be stored.
        all_of_them = ask("/slow/private/b", number)
        self.row(f"herd: {number:,} of an answer that may not be stored", all_of_them, one, "one request", "<=", 3, "ms")
        self.stop()

    def slow(self):
        if not self.wants("slow clients"):
            return
        origin = self.origin()
        proxy = self.restow(origin, "memory:")
        self.fill(proxy)

        def p99():
            command = ["taskset", "-c", OTHER_CORE, "wrk", "-t1", "-c8", "--latency", f"-d{self.seconds}s", "-s", ROOT / "bench/proxy/hits.lua", proxy.url()]
            out = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
            number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
            return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

        number = 200 if self.args.quick else 2_000
        p99()
        alone = [p99() for _ in range(self.rounds)]
        # Half of them never end their head, and half ask again and again without reading what they get; each sends something a second, no two at
        # the same moment: a burst of requests is another thing than slow clients.
        crawling = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(number)]
        for nth, one in enumerate(crawling):
            one.setblocking(False)
            one.send(b"GET /hit/1 HTTP/1.1\r\nHost: x\r\n" + (b"\r\n" if nth // 100 % 2 else b""))
        stop = threading.Event()

        def crawl():
            os.sched_setaffinity(threading.get_native_id(), {int(OTHER_CORE)})
            turns = itertools.cycle(range(100))
            while not stop.wait(0.01):
                turn = next(turns)
                for nth in range(turn, number, 100):
                    try:
                        crawling[nth].send(b"GET /hit/2 HTTP/1.1\r\nHost: x\r\n\r\n" if nth // 100 % 2 else b"x")
                    except OSError:
                        pass

        thread = threading.Thread(target=crawl)
        thread.start()
        beside = [p99() for _ in range(self.rounds)]
        stop.set()
        thread.join()
        for one in crawling:
            one.close()
        name = f"slow clients: {number:,} of them, p99 of a hit of others"
        self.row(name, statistics.median(beside), statistics.median(alone), "without them", "<=", 2, "ms")
        self.stop()

    # -- printing

    def stop(self):
        while self.servers:
            self.servers.pop().stop()

    def table(self):
        lines = ["| work | ours | reference | ratio | target | holds |", "|---|---:|---:|---:|---|---|"]
        for row in self.rows:
            number = lambda n: f"{n:.3g}" if abs(n) < 1_000 else f"{n:,.0f}"
            reference = f"{row['against']}: {number(row['reference'])} {row['unit']}" if row["reference"] is not None else ""
            holds = {True: "yes", False: "**no**", None: ""}[row["holds"]]
            ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else ""
            lines.append(f"| {row['work']} | {number(row['ours'])} {row['unit']} | {reference} | {ratio} | {row['target'] or ''} | {holds} |")
        return "\n".join(lines)

    def write(self, path):
        begin, end = "<!-- proxy: begin -->", "<!-- proxy: end -->"
        page = path.read_text()
        versions = [
            subprocess.run([shutil.which(n) or f"/usr/sbin/{n}", "-v"], capture_output=True, text=True) for n in ("nginx", "haproxy")
        ]
        names = ", ".join((v.stdout + v.stderr).strip().splitlines()[0].split(" - ")[0] for v in versions)
        judged = [r["holds"] for r in self.rows if r["holds"] is not None]
        section = f"""{begin}
## The proxy

One core for the proxy, the other for clients and API; medians of {self.rounds} rounds of {self.seconds} s, in turn. Where the target is
`>=`, the ratio says how many times as much the reference costs; where it is `<=`, how many times as much ours does.

- Command: `bench/proxy/run --write bench/RESULTS.md`
- Beside: {names}; {platform.system()} {platform.release()}
- Date: {datetime.date.today()}
- Targets that hold: {sum(judged)} of {len(judged)}

{self.table()}
{end}"""
        if begin in page:
            page = page[:page.index(begin)] + section + page[page.index(end) + len(end):]
        else:
            page = f"{page.rstrip()}\n\n{section}\n"
        path.write_text(page)


def main():
    parser = argparse.ArgumentParser(prog="bench/proxy/run")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--only", default="", metavar="WORD", help="the works whose name holds it")
    parser.add_argument("--quick", action="store_true", help="whether it runs, not how fast")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE", help="writes the table into this file too")
    args = parser.parse_args()
    if args.write and args.only:
        parser.error("--write keeps the whole table; leave --only out")
    # What was started is stopped, also where this is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(args)
    try:
        bench.hits()
        bench.misses()
        bench.memory()
        bench.herd()
        bench.slow()
        if not bench.rows:
            sys.exit(f"no work has {args.only!r} in its name: there are hits, miss: added latency, memory of entries, herd, slow clients")
        if not bench.args.json:
            print(bench.table())
        if bench.args.write:
            bench.write(bench.args.write)
    finally:
        bench.stop()
        shutil.rmtree(bench.folder, ignore_errors=True)
    sys.exit(0)


main()
