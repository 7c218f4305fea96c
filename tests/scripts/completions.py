"""What scripts for plain completions do."""

import json
import sys

from openai import APIStatusError, OpenAI

base, letters, labels, text = sys.argv[1:]
client = OpenAI(max_retries=0)


def ask(prompt, model=base, **wishes):
    return client.completions.create(model=model, prompt=prompt, **wishes)


def texts(answer):
    return [choice.text for choice in answer.choices]


def streamed(prompt, **wishes):
    found, usage = {}, None
    for chunk in ask(prompt, stream=True, stream_options={"include_usage": True}, **wishes):
        for choice in chunk.choices:
            one = found.setdefault(choice.index, {"text": "", "finish": []})
            one["text"] += choice.text
            one["finish"] += [choice.finish_reason] if choice.finish_reason else []
        usage = chunk.usage or usage
    return {"choices": [found[index] for index in sorted(found)], "usage": usage.total_tokens}


def refused(prompt, **wishes):
    try:
        ask(prompt, **wishes)
    except APIStatusError as error:
        return [error.status_code, error.param]


plain = ask(text)
several = ask([text, "new pin"], n=2, temperature=1.5, seed=5, max_tokens=8)
chances = ask(text, logprobs=1).choices[0].logprobs
told = {
    "id": plain.id,
    "object": plain.object,
    "text": texts(plain)[0],
    "finish": plain.choices[0].finish_reason,
    "usage": [plain.usage.prompt_tokens, plain.usage.completion_tokens],
    "streamed": streamed(text),
    "total": plain.usage.total_tokens,
    "several": texts(several),
    "several id": several.id,
    "indices": [choice.index for choice in several.choices],
    "several streamed": streamed([text, "new pin"], max_tokens=8),
    "two": texts(ask([text, "new pin"], max_tokens=8)),
    "special": ask("<|im_end|>").usage.prompt_tokens,
    "chances": [chances.tokens, chances.token_logprobs, chances.top_logprobs, chances.text_offset],
    "letters": texts(ask(text, letters, max_tokens=40))[0],
    "chat letters": client.chat.completions.create(model=letters, messages=[{"role": "user", "content": text}])
    .choices[0]
    .message.content,
    "cut": texts(ask(text, letters, stop="_a"))[0],
    "label": texts(ask(text, labels))[0],
    "refused": [
        refused([1, 2, 3]),
        refused([[1, 2], [3]]),
        refused(text, echo=True),
        refused(text, suffix="x"),
        refused(text, best_of=3),
        refused(text, logprobs=2),
        refused(text, presence_penalty=1),
    ],
    "empty": [refused(""), refused([]), refused([text, " "])],
}
client.close()
print(json.dumps(told))
