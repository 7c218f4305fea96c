"""What a script does with a batch: upload, create, follow, read the answers."""

import io
import json
import sys
import time

from openai import APIStatusError, OpenAI

rows = json.loads(sys.argv[1])
client = OpenAI(max_retries=0)
lines = "\n".join(
    json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})
    for name, body in rows
)
file = client.files.create(file=("requests.jsonl", io.BytesIO(lines.encode())), purpose="batch")
made = client.batches.create(
    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"month": "11"}
)
deadline = time.monotonic() + 120
while (batch := client.batches.retrieve(made.id)).status not in ("completed", "failed") and time.monotonic() < deadline:
    time.sleep(0.3)


def content(name):
    return [json.loads(line) for line in client.files.content(name).text.splitlines()] if name else None


try:
    client.batches.cancel(made.id)
    refused = None
except APIStatusError as error:
    refused = [error.status_code, error.body["message"]]
print(
    json.dumps(
        {
            "made": made.to_dict(),
            "batch": batch.to_dict(),
            "output": content(batch.output_file_id),
            "errors": content(batch.error_file_id),
            "listed": [one.id for one in client.batches.list(limit=1)],
            "refused": refused,
        }
    )
)
client.close()
