"""What scripts for a plain model do: a conversation, and answers in JSON."""

import json
import sys

from openai import APIStatusError, OpenAI

(model,) = sys.argv[1:]
client = OpenAI(max_retries=0)
TURNS = [
    {"role": "system", "content": "You help at a bank. "},
    {"role": "user", "content": "where is my card"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "since monday<|im_end|>\n"},
]
SCHEMA = {
    "type": "object",
    "properties": {
        "topic": {"enum": ["card", "pin"]},
        "urgent": {"type": "boolean"},
        "note": {"type": "string", "maxLength": 12},
        "days": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["topic", "urgent", "note", "days"],
    "additionalProperties": False,
}


def ask(messages=TURNS, **wishes):
    return client.chat.completions.create(model=model, messages=messages, **wishes)


def in_form(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def refused(wanted):
    try:
        ask(response_format=wanted)
    except APIStatusError as error:
        return [error.status_code, error.param, error.message]


def part(schema):
    return in_form({"type": "object", "properties": {"a": schema}, "required": ["a"]})


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return in_form(schema)


plain = ask(max_tokens=20)
pieces = [chunk.choices[0].delta.content or "" for chunk in ask(max_tokens=20, stream=True)]
told = {
    "models": [one.id for one in client.models.list()],
    "retrieved": client.models.retrieve(model).id,
    "answer": plain.choices[0].message.content,
    "streamed": "".join(pieces),
    "tokens": plain.usage.prompt_tokens,
    "ours": plain.model_extra["inhouse"],
    "id": plain.id,
    "schema": SCHEMA,
    "held": [ask(response_format=in_form(SCHEMA), seed=n, temperature=1).choices[0].message.content for n in range(4)],
    "object": [
        [choice.message.content, choice.finish_reason]
        for n in range(6)
        for choice in ask(response_format={"type": "json_object"}, seed=n, temperature=2, max_tokens=300).choices
    ],
    "text": ask(response_format={"type": "text"}, max_tokens=20).choices[0].message.content,
    "refused": [
        refused(in_form({"type": "array", "items": {"type": "string"}})),
        refused(part({"anyOf": [{"type": "string"}, {"type": "integer"}]})),
        refused(part({"$ref": "#/$defs/b"})),
        refused(part({"type": "array", "items": {"type": "integer"}, "maxItems": 10**9})),
        refused(part({"type": "string", "minLength": 10**9})),
        refused(nested(200)),
        refused({"type": "json_schema"}),
        refused({"type": "xml"}),
    ],
}
client.close()
print(json.dumps(told))
