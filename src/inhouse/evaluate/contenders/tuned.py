"""The models that were trained for the task, through the very files that would be served."""

from __future__ import annotations

from inhouse.core import Prediction, render_input
from inhouse.engine.prompts import trained_messages
from inhouse.evaluate.contenders.generating import generate, load
from inhouse.evaluate.contenders.registry import NEEDED, Field, contender


@contender("fine-tuned", fine_tuned=True, turn=NEEDED)
def fine_tuned(given: Field) -> list[Prediction]:
    """The trained causal model, through the very file that would be served."""
    messages = [trained_messages(given.system, inputs, chat=given.task.input.chat) for inputs in given.questions_read]
    prompts = [given.template.prompt_ids(m) for m in messages]
    answers = generate(given, "tuned", "fine-tuned", prompts, given.max_tokens)
    given.release("tuned")
    return answers


@contender("fine-tuned-encoder", fine_tuned=True, kinds=("classify",), turn=NEEDED)
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
