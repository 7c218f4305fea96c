"""What scripts for texts do: sample, take several answers, and end them at a string of their own."""

import json
import sys

from openai import APIStatusError, OpenAI

model, text = sys.argv[1:]
client = OpenAI(max_retries=0)


def ask(**wishes):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, **wishes)


def texts(answer):
    return [choice.message.content for choice in answer.choices]


def streamed(**wishes):
    found = {}
    for chunk in ask(stream=True, **wishes):
        for choice in chunk.choices:
            one = found.setdefault(choice.index, {"text": "", "finish": [], "roles": 0})
            one["text"] += choice.delta.content or ""
            one["roles"] += choice.delta.role == "assistant"
            one["finish"] += [choice.finish_reason] if choice.finish_reason else []
    return [found[index] for index in sorted(found)]


def refused(**wishes):
    try:
        ask(**wishes)
    except APIStatusError as error:
        return [error.status_code, error.code, error.param, error.message]


sampled = {"temperature": 1.8, "seed": 11, "n": 3, "max_tokens": 12}
plain = ask()
(whole,) = texts(plain)
stop = whole[len(whole) // 2 :][:2]
cut = ask(stop=stop)
several = ask(**sampled)
told = {
    "whole": whole,
    "again": texts(ask(temperature=0))[0],
    "stop": stop,
    "cut": [texts(cut)[0], cut.choices[0].finish_reason, cut.usage.completion_tokens < plain.usage.completion_tokens],
    "cut streamed": streamed(stop=["never said", stop]),
    "cut at once": texts(ask(stop=whole[:1]))[0],
    "sampled": texts(several),
    "indices": [choice.index for choice in several.choices],
    "prompt tokens": [plain.usage.prompt_tokens, several.usage.prompt_tokens],
    "sampled again": texts(ask(**sampled)),
    "sampled streamed": streamed(**sampled),
    "other seed": texts(ask(**{**sampled, "seed": 12})),
    "no seed": texts(ask(temperature=1.8, max_tokens=12)) + texts(ask(temperature=1.8, max_tokens=12)),
    "alike": ask(n=2).model_extra["inhouse"]["warnings"],
    "unused": ask(top_p=0.5).model_extra["inhouse"]["warnings"],
    "refused": [
        refused(presence_penalty=0.5),
        refused(frequency_penalty=-1),
        refused(logit_bias={"5": 1}),
    ],
}
client.close()
print(json.dumps(told))
