"""What scripts for chat completions do: list the models, ask, read along, and handle what is refused."""

import json
import sys

from openai import APIStatusError, OpenAI, __version__

model, text = sys.argv[1:]
client = OpenAI()
messages = [{"role": "user", "content": text}]
told = {"version": __version__, "models": [one.id for one in client.models.list()]}
told["retrieved"] = client.models.retrieve(model).id

answer = client.chat.completions.create(model=model, messages=messages)
told["answer"] = answer.choices[0].message.content
told["finish"] = answer.choices[0].finish_reason
told["usage"] = answer.usage.total_tokens
told["ours"] = answer.model_extra["inhouse"]["model_version"]

pieces = []
for chunk in client.chat.completions.create(
    model=model, messages=messages, stream=True, stream_options={"include_usage": True}
):
    pieces += [choice.delta.content or "" for choice in chunk.choices]
    if chunk.usage:
        told["streamed usage"] = chunk.usage.total_tokens
told["streamed"] = "".join(pieces)

told["errors"] = []
for wrong in (
    {"model": "nobody"},
    {"messages": [{"role": "user", "content": ""}]},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
):
    try:
        client.chat.completions.create(**{"model": model, "messages": messages, **wrong})
    except APIStatusError as error:
        told["errors"].append([type(error).__name__, error.status_code, error.type, error.code, error.request_id[:4]])
raw = client.chat.completions.with_raw_response.create(model=model, messages=messages)
told["request id"] = raw.headers["x-request-id"][:4]
client.close()
print(json.dumps(told))
