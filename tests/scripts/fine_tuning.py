"""A script that was written for OpenAI's fine-tuning: upload, create, follow, call, call a checkpoint, delete."""

import base64
import json
import sys
import time

import openai
from openai import OpenAI

base, path, question = sys.argv[1:]
client = OpenAI()

file = client.files.create(file=open(path, "rb"), purpose="fine-tune")  # noqa: PTH123, SIM115 - as users write it
client.files.wait_for_processing(file.id)
job = client.fine_tuning.jobs.create(
    model=base,
    training_file=file.id,
    suffix="My Bank",
    seed=7,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 30, "learning_rate_multiplier": 10}}},
    metadata={"team": "cards"},
)
first = job.to_dict()
seen = set()
while job.status not in ("succeeded", "failed", "cancelled"):
    for event in reversed(client.fine_tuning.jobs.list_events(job.id, limit=50).data):
        if event.id not in seen:
            seen.add(event.id)
            print(event.created_at, event.message, file=sys.stderr)
    time.sleep(1)
    job = client.fine_tuning.jobs.retrieve(job.id)
events = list(client.fine_tuning.jobs.list_events(job.id, limit=7))  # the client pages through them


def ask(model):
    messages = [{"role": "system", "content": "You sort mail."}, {"role": "user", "content": question}]
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
    return [answer.model, answer.choices[0].message.content]


def refused(call, *arguments):
    try:
        call(*arguments)
    except openai.APIStatusError as error:
        return [error.status_code, error.code]


told = {"first": first, "job": job.to_dict(), "events": [event.to_dict() for event in events]}
if job.status == "succeeded":
    told["results"] = [base64.b64decode(client.files.content(name).read()).decode() for name in job.result_files]
    told["answer"] = ask(job.fine_tuned_model)
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
    told["checkpoints"] = [one.to_dict() for one in checkpoints]
    told["of checkpoints"] = [ask(one.fine_tuned_model_checkpoint) for one in checkpoints]
    told["listed"] = [one.id for one in client.models.list()]
    told["jobs"] = [one.id for one in client.fine_tuning.jobs.list(limit=1)]
    told["deleted"] = client.models.delete(job.fine_tuned_model).to_dict()
    told["gone"] = [refused(ask, one) for one in (job.fine_tuned_model, checkpoints[0].fine_tuned_model_checkpoint)]
    calls = client.fine_tuning.jobs
    other = calls.create(model=base, training_file=file.id, metadata={"team": "loans"})
    told["other"] = {
        "id": other.id,
        "paused": [calls.pause(other.id).status],
        "with metadata": [one.id for one in calls.list(metadata={"team": "loans"})],
        "with none of them": [one.id for one in calls.list(metadata={"team": "rents"})],
        "resumed": [calls.resume(other.id).status],
        "cancelled": calls.cancel(other.id).status,
        "events": [event.message for event in calls.list_events(other.id) if event.message.startswith("The job was")],
    }
print(json.dumps(told))
client.close()
