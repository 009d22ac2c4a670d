"""Deployed functions run: moto keeps functions, queues and mappings; this takes the batches and runs the code.

Bridged here: moto runs functions in Docker, hands them one message at a time, and takes a failed item for a success.
A function runs with this interpreter and its packages, since those of the asset are for another processor.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import traceback
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zipfile import ZipFile

from moto.awslambda.models import EventSourceMapping, LambdaFunction, lambda_backends
from moto.sqs.models import Message, Queue, sqs_backends

from workbench.sandbox.local import INVOCATIONS, variables

RUN_HANDLER = Path(__file__).with_name("run_handler.py")
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_IMPORT = 60
# Whatever failed comes again this soon, not when the queue's visibility timeout or the job itself says.
SECONDS_UNTIL_NEXT_ATTEMPT = 2
AT_ONCE = 8  # functions; each of them runs once at a time


@dataclass(frozen=True)
class Answer:
    """What came of one invocation."""

    payload: Any
    failed: bool
    log: str = ""


class Execution:
    """One process with one version of a function's code and settings; it takes one event at a time."""

    def __init__(self, function: LambdaFunction, url: str, key: str, folder: Path) -> None:
        self.version, self._folder = _version(function), folder
        code = folder / "code"
        code.mkdir(parents=True)
        with ZipFile(BytesIO(function.code_bytes)) as archive:
            archive.extractall(code, own_files(archive))
        self._log = (folder / "log").open("w+b")
        self._connection, theirs = multiprocessing.Pipe()
        with theirs, (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-uI", RUN_HANDLER, str(theirs.fileno()), code, str(function.handler)],
                env={**_variables(function), **variables(url, key, function.region)},
                cwd=code,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._import_failed = "error" in (said := self._receive(SECONDS_TO_IMPORT))
        self._imported = said

    def run(self, function: LambdaFunction, event: Any) -> Answer:
        said = self._imported
        if not self._import_failed:
            seconds = int(function.timeout)
            request = {"event": event, "seconds": seconds, "facts": _context(function)}
            with suppress(BrokenPipeError):  # then there is no answer either
                self._connection.send_bytes(json.dumps(request).encode())
            said = self._receive(seconds)
        return Answer(
            said.get("error", said.get("payload")), "error" in said, self._log.read().decode(errors="replace")
        )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)  # the log is open, and can still be read

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _receive(self, seconds: int) -> dict[str, Any]:
        """The next message; when there is none in time, the process ends, as Lambda does it."""
        try:
            if self._connection.poll(seconds):
                said: dict[str, Any] = json.loads(self._connection.recv_bytes())
                return said
            problem = {"errorType": "Sandbox.Timedout", "errorMessage": f"Task timed out after {seconds} seconds"}
        except (EOFError, ConnectionResetError):
            problem = {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited without an answer"}
        self.stop()
        return {"error": problem}


class Runner:
    """Takes batches from queues to functions, and answers `aws lambda invoke`, from `start` to `stop`."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self._url, self._key, self._folder = url, key, folder
        self._executions: dict[str, Execution] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._counting = threading.Lock()
        self._busy: set[str] = set()
        self._stopping = threading.Event()
        self._bridges = ExitStack()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        runner, make = self, LambdaFunction.__init__

        def remember_log_group(function: LambdaFunction, account_id: str, spec: Any, *more: Any, **named: Any) -> None:
            make(function, account_id, spec, *more, **named)
            function.logs_group_name = (spec.get("LoggingConfig") or {}).get("LogGroup", function.logs_group_name)

        def invoke(function: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
            answer = runner.invoke(function, event)
            return json.dumps(answer.payload), answer.failed, answer.log

        # A queue that knows of no mappings leaves its messages to us.
        none = property(lambda _: {}, lambda *_: None)
        for model, name, ours in (
            (LambdaFunction, "__init__", remember_log_group),
            (LambdaFunction, "_invoke_lambda", invoke),
            (Queue, "lambda_event_source_mappings", none),
        ):
            self._bridges.enter_context(patch.object(model, name, ours, create=True))
        self._watching.start()

    def stop(self) -> None:
        self._stopping.set()
        self._watching.join()
        for execution in self._executions.values():
            execution.stop()  # whoever waits for an answer now has one
        self._pool.shutdown(cancel_futures=True)
        self._bridges.close()

    def invoke(self, function: LambdaFunction, event: Any) -> Answer:
        """Run the function once, in the process that it has, or in a new one."""
        arn = function.function_arn
        with self._locks.setdefault(arn, threading.Lock()):
            execution = self._executions.get(arn)
            if execution is None or not execution.alive or execution.version != _version(function):
                if execution is not None:
                    execution.stop()
                folder = self._folder / f"{function.function_name}-{uuid.uuid4().hex[:8]}"
                execution = self._executions[arn] = Execution(function, self._url, self._key, folder)
            answer = execution.run(function, event)
        self._count(function.function_name, answer)
        if text := answer.log + (f"[ERROR] {json.dumps(answer.payload)}\n" if answer.failed else ""):
            function.logs_backend.ensure_log_group(function.logs_group_name)
            function.save_logs(text)
        return answer

    def _count(self, name: str, answer: Answer) -> None:
        with self._counting:
            self._counts.setdefault(name, Counter()).update(invocations=1, errors=int(answer.failed))
            written = self._folder / f"{INVOCATIONS}.new"
            written.write_text(json.dumps(self._counts, indent=2, sort_keys=True), encoding="utf-8")
            os.replace(written, self._folder / INVOCATIONS)

    def _watch(self) -> None:
        while not self._stopping.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._look()
            except Exception:  # whatever it is, there must be somebody at the queues from now on, too
                traceback.print_exc()

    def _look(self) -> None:
        """Once at every queue and function; at copies of what moto has, which requests change meanwhile."""
        backends = [backend for account in list(lambda_backends.values()) for backend in list(account.values())]
        for mapping in [each for backend in backends for each in list(backend._event_source_mappings.values())]:
            queue = _queue(mapping)
            if queue is not None and queue.messages and mapping.enabled and mapping.uuid not in self._busy:
                self._busy.add(mapping.uuid)
                self._pool.submit(self._deliver, mapping, queue)
        functions = [each["latest"] for backend in backends for each in list(backend._lambdas._functions.values())]
        for arn in self._executions.keys() - {function.function_arn for function in functions if function}:
            self._executions.pop(arn).stop()

    def _deliver(self, mapping: EventSourceMapping, queue: Queue) -> None:
        """One batch: done messages go, failed ones come again until the queue sets them aside."""
        try:
            function = lambda_backends[mapping.account_id][mapping.region].get_function(mapping.function_arn)
            sqs = sqs_backends[queue.account_id][queue.region]
            hidden = queue.attributes["VisibilityTimeout"]
            messages = sqs.receive_message(queue.name, mapping.batch_size, 0, hidden, ["All"])
            if not messages:  # what came too often has just been set aside
                return
            answer = self.invoke(function, {"Records": [record(message, queue) for message in messages]})
            again = to_come_again(answer, {message.id for message in messages}, mapping.function_response_types or [])
            for message in messages:
                handle = str(message.receipt_handle)
                if message.id in again:
                    sqs.change_message_visibility(queue.name, handle, SECONDS_UNTIL_NEXT_ATTEMPT)
                else:
                    sqs.delete_message(queue.name, handle)
        except Exception:  # such as a queue that was destroyed meanwhile: the others go on
            traceback.print_exc()
        finally:
            self._busy.discard(mapping.uuid)


def own_files(archive: ZipFile) -> list[str]:
    """The files of an asset that no package in it brought along: every package lists its own."""
    names = set(archive.namelist())
    for listed in [name for name in names if name.endswith(".dist-info/RECORD")]:
        names -= {row[0] for row in csv.reader(archive.read(listed).decode().splitlines()) if row}
    return sorted(names)


def to_come_again(answer: Answer, sent: set[str], response_types: list[str]) -> set[str]:
    """Ids of the messages that Lambda would not take for done: all, when it does not understand the answer."""
    if answer.failed:
        return sent
    if "ReportBatchItemFailures" not in response_types:
        return set()
    try:
        ids = {item["itemIdentifier"] for item in (answer.payload or {}).get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError):
        return sent
    return ids if ids <= sent else sent


def record(message: Message, queue: Queue) -> dict[str, Any]:
    """A message as Lambda hands it to a function."""
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        },
        "messageAttributes": {
            name: {f"{key[0].lower()}{key[1:]}": value for key, value in attribute.items()}
            for name, attribute in message.message_attributes.items()
        },
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.queue_arn,
        "awsRegion": queue.region,
    }


def _queue(mapping: EventSourceMapping) -> Queue | None:
    _, _, service, region, account, name = mapping.event_source_arn.split(":", 5)
    return sqs_backends[account][region].queues.get(name) if service == "sqs" else None


def _version(function: LambdaFunction) -> tuple[object, ...]:
    """A process serves for as long as this stays the same."""
    return function.code_sha_256, function.handler, sorted((function.environment_vars or {}).items())


def _variables(function: LambdaFunction) -> dict[str, str]:
    """Its own, and those of Lambda. No LAMBDA_TASK_ROOT: that promises a tracing daemon."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        **{name: str(value) for name, value in (function.environment_vars or {}).items()},
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
    }


def _context(function: LambdaFunction) -> dict[str, str]:
    return {
        "aws_request_id": str(uuid.uuid4()),
        "function_name": function.function_name,
        "function_version": str(function.version),
        "invoked_function_arn": function.function_arn,
        "memory_limit_in_mb": str(function.memory_size),
        "log_group_name": function.logs_group_name,
    }
