"""A W&B server of a few answers, so that W&B's own client can be online on this machine."""

from __future__ import annotations

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "0123456789abcdef" * 2 + "01234567"


class Run(dict):
    """What the server keeps of a run."""

    def __init__(self) -> None:
        super().__init__(history=[], summary={}, exit=None, resuming=False)


class WandbServer:
    """`with WandbServer() as server`: `server.url`, and `server.runs[id]["history"]`."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.queries: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args) -> None: ...

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                reply = json.dumps(owner.reply(self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_PUT = answer  # noqa: N815  http.server's own names

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error) -> None:
        self.http.shutdown()
        self.http.server_close()

    def reply(self, path: str, body: bytes) -> dict:
        stream = re.fullmatch(r"/files/.*/(\w+)/file_stream", path)
        if stream:
            self._stream(self.runs[stream[1]], json.loads(body))
            return {}
        if path != "/graphql":
            return {}
        asked = json.loads(body)
        name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]
        self.queries.append(name)
        answers = {
            "Viewer": self._viewer,
            "UpsertBucket": self._upsert,
            "RunResumeStatus": self._resume,
            "CreateRunFiles": self._files,
            "ArtifactType": self._artifact_type,
            "CreateArtifact": self._artifact,
        }
        answer = answers.get(name, lambda variables: {})
        return {"data": answer(asked.get("variables") or {})}

    @staticmethod
    def _stream(run: Run, body: dict) -> None:
        files = body.get("files") or {}
        history = files.get("wandb-history.jsonl")
        if history:
            lines = [json.loads(line) for line in history["content"]]
            run["history"][history["offset"] :] = lines
        for line in files.get("wandb-summary.json", {}).get("content", []):
            run["summary"] = json.loads(line)
        if body.get("complete"):
            run["exit"], run["resuming"] = body["exitcode"], False

    @staticmethod
    def _viewer(variables: dict) -> dict:
        teams = {"edges": []}
        return {"viewer": {"id": "v", "entity": "me", "username": "me", "email": "", "flags": "{}",
                           "teams": teams}}  # fmt: skip

    def _upsert(self, variables: dict) -> dict:
        known = variables["name"] in self.runs
        run = self.runs.setdefault(variables["name"], Run())
        if variables.get("displayName") and not run["resuming"]:
            run["history"] = []  # W&B's documentation: without `resume` it is always a new run
        bucket = self._bucket(variables["name"])
        return {"upsertBucket": {"bucket": bucket, "inserted": not known}}

    def _resume(self, variables: dict) -> dict:
        name = variables["name"]
        bucket = None
        if name in self.runs:
            self.runs[name]["resuming"] = True
            bucket = self._bucket(name)
        return {"model": {"id": "p", "name": "ppr", "entity": {"id": "e", "name": "me"},
                          "bucket": bucket}}  # fmt: skip

    def _bucket(self, name: str) -> dict:
        run = self.runs[name]
        return {
            "id": f"id-{name}",
            "name": name,
            "displayName": name,
            "description": None,
            "config": "{}",
            "sweepName": None,
            "summaryMetrics": json.dumps(run["summary"]),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyLineCount": len(run["history"]),
            "historyTail": json.dumps([json.dumps(line) for line in run["history"][-1:]]),
            "eventsTail": "[]",
            "tags": [],
            "wandbConfig": json.dumps({"t": {}}),  # by which the client knows that it began
            "project": {"id": "p", "name": "ppr", "entity": {"id": "e", "name": "me"}},
        }

    @staticmethod
    def _files(variables: dict) -> dict:
        return {"createRunFiles": {"runID": "id", "uploadHeaders": [], "files": []}}

    @staticmethod
    def _artifact_type(variables: dict) -> dict:
        return {"project": {"artifact": None}}

    @staticmethod
    def _artifact(variables: dict) -> dict:
        sequence = {"id": "s", "name": "result", "latestArtifact": {"id": "a", "versionIndex": 0}}
        artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}
