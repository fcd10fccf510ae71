"""Drives python-oracledb (thin mode) by a job: {"steps": [...]} on standard input,
one JSON result a line on standard output, in the order of the steps. The
vocabulary is described in ../drivers/job.go. Called as "driver.py converse", it reads
one step a line and answers it before the next. Called as "driver.py loop", it reads
a job as in ../drivers/loop.go from one line, and stops when its input ends."""

import datetime
import decimal
import json
import os
import sys
import threading
import time

import oracledb

oracledb.defaults.fetch_lobs = True  # LOBs are read with calls of their own
oracledb.defaults.fetch_decimals = True  # every digit of a NUMBER

KINDS = {
    "number": oracledb.DB_TYPE_NUMBER,
    "varchar": oracledb.DB_TYPE_VARCHAR,
    "date": oracledb.DB_TYPE_DATE,
    "timestamp": oracledb.DB_TYPE_TIMESTAMP,
    "raw": oracledb.DB_TYPE_RAW,
    "clob": oracledb.DB_TYPE_CLOB,
}

connections = {}


def native(value):
    text = value.get("text")
    if text is None:
        return None
    kind = value["kind"]
    if kind == "number":
        return decimal.Decimal(text)
    if kind in ("date", "timestamp"):
        return datetime.datetime.fromisoformat(text)
    if kind == "raw":
        return bytes.fromhex(text)
    return text


def text_of(value):
    if value is None:
        return None
    if isinstance(value, oracledb.LOB):
        return text_of(value.read())
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def binds(cursor, values):
    """Variables for the values, each of the type the step names."""
    bound = []
    for value in values or []:
        variable = cursor.var(KINDS[value["kind"]], size=4000)
        if not value.get("out"):
            variable.setvalue(0, native(value))
        bound.append(variable)
    return bound


def connect(step):
    connections[step["on"]] = oracledb.connect(
        user=step["user"], password=step["password"], dsn=step["target"]
    )
    return {}


def connection(step):
    if step["on"] not in connections:
        raise KeyError("no connection %r" % step["on"])
    return connections[step["on"]]


def close(step):
    opened = connection(step)
    del connections[step["on"]]
    opened.close()
    return {}


def query(step):
    with connection(step).cursor() as cursor:
        cursor.execute(step["sql"], binds(cursor, step.get("binds")))
        return {"rows": [[text_of(v) for v in row] for row in cursor.fetchmany(1000)]}


def fetch(step):
    count, total = 0, 0
    with connection(step).cursor() as cursor:
        cursor.arraysize = 1000
        cursor.prefetchrows = 1000
        cursor.execute(step["sql"])
        while True:
            rows = cursor.fetchmany()
            if not rows:
                break
            count += len(rows)
            total += sum(int(row[0]) for row in rows)
    return {"count": count, "sum": str(total)}


def execute(step):
    with connection(step).cursor() as cursor:
        cursor.execute(step["sql"], binds(cursor, step.get("binds")))
        return {"affected": max(cursor.rowcount, 0)}


def many(step):
    with connection(step).cursor() as cursor:
        cursor.setinputsizes(
            *[4000 if v["kind"] == "varchar" else KINDS[v["kind"]] for v in step["rows"][0]]
        )
        rows = [[native(v) for v in row] for row in step["rows"]]
        cursor.executemany(step["sql"], rows, arraydmlrowcounts=True)
        return {"affected": cursor.rowcount, "counts": cursor.getarraydmlrowcounts()}


def call(step):
    with connection(step).cursor() as cursor:
        bound = binds(cursor, step.get("binds"))
        cursor.execute(step["sql"], bound)
        outs = [v for v, given in zip(bound, step.get("binds") or []) if given.get("out")]
        return {"out": [text_of(v.getvalue()) for v in outs]}


def commit(step):
    connection(step).commit()
    return {}


def rollback(step):
    connection(step).rollback()
    return {}


def ping(step):
    connection(step).ping()
    return {}


def interrupt(step):
    """Runs a statement that must not run to its end."""
    opened = connection(step)
    if step["by"] == "timeout":
        opened.call_timeout = step["after_ms"]
        try:
            return execute(step)
        finally:
            opened.call_timeout = 0
    timer = threading.Timer(step["after_ms"] / 1000, opened.cancel)
    timer.start()
    try:
        return execute(step)
    finally:
        timer.cancel()
        timer.join()


ACTIONS = {
    "connect": connect,
    "close": close,
    "query": query,
    "fetch": fetch,
    "execute": execute,
    "many": many,
    "call": call,
    "commit": commit,
    "rollback": rollback,
    "ping": ping,
    "interrupt": interrupt,
}


def run(step):
    began = time.monotonic()
    try:
        result = ACTIONS[step["do"]](step)
    except Exception as error:  # whatever the driver says is the result
        result = {"error": str(error)}
    result["took_ms"] = (time.monotonic() - began) * 1000
    return result


def main():
    steps(json.load(sys.stdin)["steps"])


def converse():
    steps(json.loads(line) for line in sys.stdin)


def steps(given):
    for step in given:
        print(json.dumps(run(step)), flush=True)
    for opened in connections.values():
        try:
            opened.close()
        except oracledb.Error:
            pass


def target(job, n):
    """Each connect of a loop has a loopback address of its own."""
    return job["target"].replace("{door}", "127.%d.%d.%d" % (job["doors"], n >> 8 & 255, n & 255))


def once(job, n):
    """One connect of a loop, of which whatever the driver says is the result."""
    began = time.monotonic()
    result = {"n": n, "started_ms": time.time() * 1000, "stage": "connect", "error": "", "answer": ""}
    opened = None
    try:
        try:
            opened = oracledb.connect(
                user=job["user"], password=job["password"], dsn=target(job, n)
            )
        finally:
            result["connect_ms"] = (time.monotonic() - began) * 1000
        result["stage"] = "query"
        with opened.cursor() as cursor:
            cursor.execute(job["sql"])
            result["answer"] = str(cursor.fetchone()[0])
        result["stage"] = "close"
        opened.close()
    except Exception as error:
        result["error"] = str(error)
    result["took_ms"] = (time.monotonic() - began) * 1000
    return result


class Loop:
    """A thread for each connect under way, begun at a steady rate."""

    def __init__(self, job):
        self.job = job
        self.stopped = threading.Event()
        self.places = threading.Semaphore(max(job["most"], 1))
        self.lock = threading.Lock()
        self.open = {}

    def work(self, n):
        result = once(self.job, n)
        with self.lock:
            if self.open.pop(n, None) is not None:
                print(json.dumps(result), flush=True)
        self.places.release()

    def run(self):
        began, n = time.monotonic(), 0
        while not self.stopped.wait(max(0, began + n / self.job["rate"] - time.monotonic())):
            if self.job["count"] and n >= self.job["count"]:
                break
            while not self.places.acquire(timeout=0.05) and not self.stopped.is_set():
                pass
            if self.stopped.is_set():
                break
            with self.lock:
                self.open[n] = time.time() * 1000
            threading.Thread(target=self.work, args=(n,), daemon=True).start()
            n += 1
        deadline = time.monotonic() + self.job["grace_ms"] / 1000
        while self.open and time.monotonic() < deadline:
            time.sleep(0.02)
        with self.lock:
            for n, started in self.open.items():
                took = time.time() * 1000 - started
                result = {"n": n, "started_ms": started, "connect_ms": took, "took_ms": took, "stage": "connect"}
                print(json.dumps(dict(result, error="unfinished when the loop ended", answer="")), flush=True)
            self.open.clear()
            sys.stdout.flush()
            os._exit(0)  # without waiting for threads that never end


def settle_mode():
    """Until a first connect has succeeded, python-oracledb lets no other begin; a pool without connections does as well."""
    if hasattr(oracledb, "enable_thin_mode"):
        oracledb.enable_thin_mode()
    else:
        oracledb.create_pool(user="nobody", password="none", dsn="127.0.0.1/none", min=0, max=1, increment=1)


def main_loop():
    settle_mode()
    loop = Loop(json.loads(sys.stdin.readline()))

    def watch():
        sys.stdin.read()
        loop.stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    loop.run()


{"loop": main_loop, "converse": converse}.get("".join(sys.argv[1:]), main)()
