"""How likely the tokens of an answer were."""

import json
import sys

from openai import APIStatusError, OpenAI

model, labels, text = sys.argv[1:]
client = OpenAI(max_retries=0)


def ask(model=model, **wishes):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, logprobs=True, **wishes)


def of(choice):
    tokens = choice.logprobs.content
    return [[t.token, t.logprob, t.bytes, [[o.token, o.logprob] for o in t.top_logprobs]] for t in tokens]


def told(answer):
    return {"text": answer.choices[0].message.content, "tokens": of(answer.choices[0])}


def streamed(**wishes):
    found = {"text": "", "tokens": []}
    for chunk in ask(stream=True, **wishes):
        choice = chunk.choices[0]
        if choice.logprobs:
            found["tokens"] += of(choice)
        found["text"] += choice.delta.content or ""
    return found


def refused(**wishes):
    try:
        ask(**wishes)
    except APIStatusError as error:
        return [error.status_code, error.param]


sampled = {"temperature": 1.9, "seed": 3, "max_tokens": 25}
whole = told(ask())
stop = whole["text"][4:6]
result = {
    "whole": whole,
    "streamed": streamed(),
    "best": told(ask(top_logprobs=1)),
    "sampled": told(ask(**sampled)),
    "sampled streamed": streamed(**sampled),
    "cut": told(ask(stop=stop)),
    "cut streamed": streamed(stop=stop),
    "label": told(ask(labels)),
    "without": client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
    .choices[0]
    .logprobs,
    "refused": [refused(top_logprobs=2), refused(top_logprobs=1, temperature=1), refused(model=labels, top_logprobs=1)],
}
client.close()
print(json.dumps(result))
