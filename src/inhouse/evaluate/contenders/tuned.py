"""The models that were trained for the task, through the very files that would be served."""

from __future__ import annotations

from inhouse.core import Prediction, render_input
from inhouse.engine.prompts import shown_messages, trained_messages
from inhouse.evaluate.contenders.generating import generate, generate_some, load, room, too_long
from inhouse.evaluate.contenders.registry import NEEDED, Field, NotCompared, contender
from inhouse.evaluate.contenders.shots import NEAREST, nearest_shots, tell_bare

# Compared, and no version until it is promoted.
SHOWN_EXAMPLES = "fine-tuned+retrieval"


@contender("fine-tuned", "the language model, trained on your examples", fine_tuned=True, turn=NEEDED)
def fine_tuned(given: Field) -> list[Prediction]:
    """The trained causal model, through the very file that would be served."""
    messages = [trained_messages(given.system, inputs, chat=given.task.input.chat) for inputs in given.questions_read]
    prompts = [given.template.prompt_ids(m) for m in messages]
    answers = generate(given, "tuned", "fine-tuned", prompts, given.max_tokens)
    given.release("tuned")
    return answers


@contender(
    "fine-tuned-encoder",
    "a sentence encoder, trained on your examples",
    fine_tuned=True,
    kinds=("classify",),
    turn=NEEDED,
    encodes=True,
)
def fine_tuned_encoder(given: Field) -> list[Prediction]:
    """The trained encoder with its head, through the very file that would be served.

    It has learned from the validation examples too; those are answered as they were before.
    """
    load(given, "fine-tuned-encoder", "classifier")
    questions = [given.classifier.question(render_input(e.inputs)) for e in given.questions]
    edge = len(given.validation)
    bar = given.reporter.bar("fine-tuned-encoder", len(questions))
    answers = given.classifier.answer_unseen(questions[:edge], bar.update)
    answers += given.classifier.answer(questions[edge:], lambda done: bar.update(edge + done))
    given.release("classifier")
    return answers


@contender(
    SHOWN_EXAMPLES,
    "the trained language model, shown similar examples of yours with each request",
    fine_tuned=True,
    encodes=True,
)
def fine_tuned_retrieval(given: Field) -> list[Prediction]:
    """The trained causal model, shown the most similar training examples as turns that were answered before."""
    name, chat = SHOWN_EXAMPLES, given.task.input.chat
    if "fine-tuned" not in given.tuned_names:
        raise NotCompared("no language model is under test, and an encoder reads no examples")
    bare = [given.template.prompt_ids(trained_messages(given.system, i, chat=chat)) for i in given.questions_read]
    shots = nearest_shots(given, name, range(len(bare)), NEAREST, bare)
    tell_bare(given, name, shots, "similar example")
    prompts = {
        i: given.template.prompt_ids(shown_messages(given.system, given.questions_read[i], shots[i], chat=chat))
        for i, alone in enumerate(bare)
        if len(alone) <= given.max_tokens
    }
    found = generate_some(given, "tuned", name, prompts, max(given.max_tokens, room(given)))
    given.release("tuned")
    return [found[i] if i in found else too_long(alone, given.max_tokens) for i, alone in enumerate(bare)]
