"""What scripts do with files: upload, follow, list, read, delete; and in parts."""

import hashlib
import json
import sys
from pathlib import Path

import openai
from openai import APIStatusError, OpenAI

path = Path(sys.argv[1])
client = OpenAI(max_retries=0)


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except APIStatusError as error:
        return [error.status_code, error.code, error.param, error.body["message"]]


with path.open("rb") as file:
    made = client.files.create(file=file, purpose="fine-tune")
ready = client.files.wait_for_processing(made.id)
kept = [client.files.create(file=(f"{name}.jsonl", path.read_bytes()), purpose="batch").id for name in "abc"]
timed = {"expires_after": {"anchor": "created_at", "seconds": 3600}}
if openai.VERSION.startswith("1."):
    timed = {"extra_body": {f"expires_after[{key}]": value for key, value in timed["expires_after"].items()}}
expiring = client.files.create(file=path, purpose="batch", **timed)
pages = list(client.files.list(limit=2))
oldest = [one.id for one in client.files.list(order="asc", limit=1)]
of_training = [one.id for one in client.files.list(purpose="fine-tune")]
content = client.files.content(made.id)
whole = path.read_bytes()
half = len(whole) // 2
upload = client.uploads.create(purpose="batch", filename="parts.jsonl", bytes=len(whole), mime_type="application/jsonl")
second = client.uploads.parts.create(upload.id, data=whole[half:])
first = client.uploads.parts.create(upload.id, data=whole[:half])
wrong = refused(client.uploads.complete, upload.id, part_ids=[second.id, first.id], md5=hashlib.md5(whole).hexdigest())
done = client.uploads.complete(upload.id, part_ids=[first.id, second.id], md5=hashlib.md5(whole).hexdigest())
again = refused(client.uploads.complete, upload.id, part_ids=[first.id])
chunked = client.uploads.upload_file_chunked(file=path, mime_type="application/jsonl", purpose="batch", part_size=100)
cancelled = client.uploads.create(purpose="batch", filename="x", bytes=5, mime_type="text/plain")
cancelled = client.uploads.cancel(cancelled.id)
deleted = client.files.delete(made.id)
print(
    json.dumps(
        {
            "made": made.to_dict(),
            "status": ready.status,
            "expires": expiring.to_dict()["expires_at"] - expiring.created_at,
            "pages": [one.id for one in pages],
            "kept": [made.id, *kept, expiring.id],
            "oldest": oldest,
            "of training": of_training,
            "content": content.text,
            "binary": hashlib.sha256(content.read()).hexdigest(),
            "upload": [upload.id[:7], upload.object, upload.status, upload.expires_at - upload.created_at],
            "part": [first.object, first.upload_id == upload.id],
            "wrong": wrong,
            "done": [done.status, done.file.filename, client.files.content(done.file.id).text == whole.decode()],
            "again": again,
            "chunked": [chunked.status, client.files.content(chunked.file.id).text == whole.decode()],
            "cancelled": cancelled.status,
            "deleted": deleted.to_dict(),
            "gone": [refused(client.files.retrieve, made.id), refused(client.files.content, made.id)],
            "refused": [
                refused(client.files.create, file=("x.jsonl", text), purpose=purpose)
                for text, purpose in ((b"[1]\n", "fine-tune"), (b"{}\n", "assistants"), (b"", "batch"))
            ],
        }
    )
)
client.close()
