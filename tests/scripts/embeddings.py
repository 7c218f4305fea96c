"""What scripts for embeddings do: the client asks for base64 unless told otherwise."""

import json
import sys

from openai import APIStatusError, OpenAI

model, other = sys.argv[1:]
client = OpenAI(max_retries=0)


def ask(text, **wishes):
    return client.embeddings.create(**{"model": model, "input": text, **wishes})


def refused(text, **wishes):
    try:
        ask(text, **wishes)
    except APIStatusError as error:
        return [error.status_code, error.code, error.param, error.message]


plain = ask(["where is my card", "new pin please"])
width = len(plain.data[0].embedding)
told = {
    "listed": [one.id for one in client.models.list()],
    "retrieved": client.models.retrieve(model).id,
    "object": [plain.object, plain.data[1].object, plain.model],
    "indices": [one.index for one in plain.data],
    "vectors": [one.embedding for one in plain.data],
    "floats": ask("where is my card", encoding_format="float").data[0].embedding,
    "usage": [plain.usage.prompt_tokens, plain.usage.total_tokens],
    "same width": len(ask("x", dimensions=width).data[0].embedding),
    "refused": [
        refused("x", dimensions=width - 1),
        refused([1, 2, 3]),
        refused([[1], [2]]),
        refused(""),
        refused(["x", " "]),
        refused([]),
        refused(["x", "card " * 600]),
        refused("x", model=other),
        refused("x", model="none"),
        refused("x", extra_body={"truncate": True}),
    ],
}
client.close()
print(json.dumps(told))
