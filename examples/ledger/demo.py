"""The main job on the example, as a newcomer would do it: run, verdict, one answer over HTTP, the report.

    python examples/ledger/demo.py [FOLDER]

Everything goes through the commands that a user types; this script only types them.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
TASK = "ledger"
INHOUSE = [str(Path(sys.executable).with_name("inhouse"))]
LINE = {"supplier": "Elektro Toonder", "description": "LED paneel 60x60 trapp.huis, 12 st", "amount": "389.40"}
# Three passes teach this example most of what five do, and keep the demonstration short.
EPOCHS = "3"


def main(folder: str = "demo") -> int:
    """Run the demonstration in a workspace folder; return the exit code."""
    begun = time.monotonic()
    workspace = ["--workspace", folder]
    file = str(HERE / "invoice_lines.csv")
    columns = ["--input", "supplier", "--input", "description", "--input", "amount", "--target", "account"]
    columns += ["--group", "invoice_no"]  # lines of one invoice stay on one side of the split
    command = ["run", TASK, file, *columns, "--epochs", EPOCHS, *workspace]
    print(f"$ inhouse {shlex.join(command)}\n", flush=True)
    done = subprocess.run([*INHOUSE, *command], check=False)
    if done.returncode != 0:
        return done.returncode
    print(f"\n$ inhouse serve --workspace {folder} --port 0", flush=True)
    with subprocess.Popen([*INHOUSE, "serve", "--port", "0", *workspace], stderr=subprocess.PIPE, text=True) as server:
        try:
            address = _address(server)
            answer = _ask(address, f"{TASK}@candidate", json.dumps(LINE))
        finally:
            server.terminate()
    ours = answer["inhouse"]
    print(
        f"{json.dumps(LINE)}\n  -> {answer['choices'][0]['message']['content']}  (confidence {ours['confidence']:.2f}, "
        f"needs review: {str(ours['needs_review']).lower()}, by {ours['model_version']})"
    )
    status = subprocess.run([*INHOUSE, "status", "--json", *workspace], check=True, capture_output=True, text=True)
    report = next(t for t in json.loads(status.stdout)["tasks"] if t["task"] == TASK)["versions"][-1]["report"]
    print(f"\nreport: {report}\nthe whole demonstration took {time.monotonic() - begun:.0f} s after installation")
    return 0


def _address(server: subprocess.Popen[str]) -> str:
    """The address that the server says it listens on."""
    assert server.stderr is not None
    for line in server.stderr:
        if "serving on " in line:
            return line.split("serving on ")[1].split()[0]
    raise SystemExit("the server ended before it served")


def _ask(address: str, model: str, content: str) -> dict:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": content}]}).encode()
    request = urllib.request.Request(f"{address}/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
