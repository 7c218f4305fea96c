"""`evaluate`: every contender on the same examples, the verdict, the report; and the candidate that comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.clean import certain_leaks
from inhouse.core import (
    ContenderResult,
    Dataset,
    EncoderRecipe,
    Evaluation,
    Example,
    Metric,
    ModelVersion,
    Prediction,
    Reporter,
    Silent,
    Task,
    TrainResult,
    read_recipe,
    render_input,
)
from inhouse.core.json_schema import parse_object, validate
from inhouse.dataset import fitted
from inhouse.engine import StreamingEngine, get_base, require_base, served_file
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.errors import NoMetric, NotFound
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.packaging import package_versions
from inhouse.scoring import FactFinder, Judged, compare_scores, judge, summarise
from inhouse.store import Settings, Workspace, disk_guard, records, registry, write_bytes
from inhouse.store.database import now
from inhouse.train import max_tokens_of

if TYPE_CHECKING:
    from inhouse.engine.remote_engine import RemoteEngine
    from inhouse.evaluate.contenders import Answers


def evaluate(workspace: Workspace, name: str, reporter: Reporter | None = None, *, which: str = "latest") -> Evaluation:
    """Compare a model version with what the user would do instead, and decide.

    Every answer is kept; the report is written beside the task; the version becomes the candidate.

    Args:
        which: a version number, an alias, or `latest`.

    Raises:
        NotFound: no such task or version, or it has no test examples.
        ModelUnavailable, DiskFull
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    version = registry.find_version(workspace, name, which)
    dataset = to_learn_from(workspace, name, version.lineage["dataset"])
    if not dataset.of("test"):
        raise NotFound(f"task {name!r} has no test examples", f"add a test file: `inhouse add {name} --test FILE`")
    for model in encoders_of(task):
        require_base(model, workspace.settings)
    for remote in task.remotes:  # a missing key is told before hours of work
        _open_remote(remote, workspace.settings).close()
    with workspace.lock(f"train-{name}", f"training or evaluating {name!r}"), disk_guard(workspace.paths.root):
        return _evaluate(workspace, task, version, dataset, reporter)


def _evaluate(
    workspace: Workspace, task: Task, version: ModelVersion, dataset: Dataset, reporter: Reporter
) -> Evaluation:
    from inhouse.evaluate.contenders import ask_all, curve_rises
    from inhouse.evaluate.report import ReportData, render_report
    from inhouse.evaluate.verdict import ContenderAnswers, decide

    trained = TrainResult.model_validate(version.training or records.run_result(workspace, version.run))
    task = version.answers_as(task)
    given = make_field(workspace, task, version, dataset, reporter)
    try:
        answers = ask_all(given)
        rises = curve_rises(given) if task.metrics.minimum is not None else None
    finally:
        given.close()
    test, validation = dataset.of("test"), dataset.of("validation")
    expected = [e.target for e in test]
    groups = [e.group for e in test]
    facts = facts_of(task, dataset)
    judged = {a.name: judge(task, test, [p.target for p in a.test], facts) for a in answers}
    on_validation = {a.name: judge(task, validation, [p.target for p in a.validation], facts) for a in answers}
    primary = task.metrics.primary
    for one in answers:
        records.save_predictions(
            workspace,
            task=task.name,
            model_version=version.name,
            contender=one.name,
            dataset=dataset,
            examples=[*validation, *test],
            splits=["validation"] * len(validation) + ["test"] * len(test),
            answers=[*one.validation, *one.test],
        )
    verdict = decide(
        [
            ContenderAnswers(
                name=a.name,
                fine_tuned=a.fine_tuned,
                validation=[p.target for p in a.validation],
                test=[p.target for p in a.test],
                validation_scores=on_validation[a.name].scores.get(primary),
                test_scores=judged[a.name].scores.get(primary),
            )
            for a in answers
        ],
        expected_test=expected,
        expected_validation=[e.target for e in validation],
        metrics=task.metrics,
        test_groups=groups,
        leaked=leaked(dataset),
        curve_rises=rises,
        train_examples=len(dataset.of("train")),
    )
    path = workspace.paths.report(task.name, version.number)
    evaluation = Evaluation(
        task=task.name,
        report=str(path),
        dataset_fingerprint=dataset.fingerprint,
        base_model=version.lineage["base"],
        model_version=version.name,
        test_examples=len(test),
        validation_examples=len(validation),
        primary_metric=primary,
        contenders=tuple(
            _result(a.name, version, a.test, _metrics(task, judged[a.name], expected, groups), a.seconds, a.rate)
            for a in answers
        ),
        verdict=verdict,
        against_champion=_against_champion(workspace, task, version, dataset, answers[0].test, facts, reporter),
        warnings=(*_warnings(workspace.load_task(task.name), version, dataset, answers), *given.notes),
    )
    base = get_base(
        version.lineage["recipe"]["base_model"], workspace.settings, sha256=version.lineage["base_sha256"]
    ).spec
    html = render_report(
        ReportData(
            evaluation=evaluation,
            task=task,
            train=trained,
            base_description=base.title,
            base_limits=base.limits,
            examples=test,
            predictions={a.name: [p.target for p in a.test] for a in answers},
            scores={name: j.scores["accuracy" if primary == "macro_f1" else primary] for name, j in judged.items()},
            history=_history(trained),
            steps=[row for row in records.metrics_of(workspace, version.run) if row["step"] <= trained.steps],
            dataset_number=dataset.number,
            counts=dataset.counts(),
            packages=package_versions(),
            created_at=now(),
        )
    )
    write_bytes(path, html.encode("utf-8"))
    report = workspace.blobs.put(html.encode("utf-8"), ".html")
    registry.update_version(
        workspace,
        version.model_copy(update={"report": report, "evaluation": evaluation.model_dump(mode="json")}),
    )
    if version.parity.passed and registry.alias_number(workspace, task.name, registry.CHAMPION) != version.number:
        registry.move_alias(workspace, task.name, registry.CANDIDATE, version.number, action="evaluate")
    return evaluation


def make_field(workspace: Workspace, task: Task, version: ModelVersion, dataset: Dataset, reporter: Reporter) -> Any:  # noqa: ANN401 - the type would import the models
    """What the contenders may use; models are loaded when a contender first asks."""
    from inhouse.deploy import form_of
    from inhouse.deploy.served import CLASSIFIER, GGUF
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.choice import choose_engine, gguf_architecture, open_engine
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.engine.gguf_fields import context_length, read_fields
    from inhouse.engine.gguf_traits import traits_of
    from inhouse.evaluate.contenders import Field

    settings, recipe = workspace.settings, read_recipe(version.lineage["recipe"])
    if isinstance(recipe, EncoderRecipe):  # the base that is prompted is the task's
        base = get_base(task.base_model, settings, reporter.say)
        engine = choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))
        encoder, encoder_sha256 = recipe.base_model, recipe.base_sha256
        system, max_tokens = TRAINED_SYSTEM, max_tokens_of(task)
    else:
        base = get_base(recipe.base_model, settings, reporter.say, sha256=recipe.base_sha256)
        engine, encoder, encoder_sha256 = version.engine, task.encoder_model, ""
        system, max_tokens = recipe.system, recipe.max_tokens
    template = ChatTemplate(base.folder, base.spec.end_of_turn)

    def opened(file: Path, *, exact: bool) -> StreamingEngine:
        return open_engine(engine, file, template.end_of_turn, threads=settings.threads, exact=exact)

    return Field(
        task=version.answers_as(task),
        form=form_of(version),
        train=dataset.of("train"),
        validation=dataset.of("validation"),
        test=dataset.of("test"),
        system=system,
        max_tokens=max_tokens,
        context=context_length(read_fields(base.gguf)),
        tuned_name=version.contender,
        make_tuned=lambda: opened(workspace.blobs.path(version.file_sha256, GGUF), exact=version.exact),
        make_classifier=lambda: LabelClassifier(
            workspace.blobs.path(version.file_sha256, CLASSIFIER), threads=settings.threads, exact=version.exact
        ),
        make_base=lambda: opened(served_file(base, engine), exact=False),
        make_remote=lambda name: _open_remote(name, settings),
        make_encoder=lambda: SentenceEncoder(get_base(encoder, settings, reporter.say, sha256=encoder_sha256).folder),
        template=template,
        reporter=reporter,
        trimming=version.trimming,
    )


def _open_remote(name: str, settings: Settings) -> RemoteEngine:
    from inhouse.engine.remote_engine import open_remote

    return open_remote(name, settings)


def _result(
    name: str,
    version: ModelVersion,
    test: Sequence[Prediction],
    metrics: dict[str, Metric],
    seconds: float,
    rate: float,
) -> ContenderResult:
    generated = any(p.prompt_tokens for p in test)
    return ContenderResult(
        name=name,
        model=version.name if name == version.contender else None,
        metrics=metrics,
        seconds=seconds,
        requests_per_second=rate,
        prompt_tokens=sum(p.prompt_tokens for p in test) / len(test) if generated else None,
        answer_tokens=sum(p.answer_tokens for p in test) / len(test) if generated else None,
        unanswered=sum(p.target is None for p in test),
    )


def _metrics(task: Task, judged: Judged, expected: Sequence[str], groups: Sequence[str]) -> dict[str, Metric]:
    """Every metric of the task that applies to some example, with its interval."""
    found = {}
    for name in (*judged.scores, *(("macro_f1",) if task.kind == "classify" else ())):
        with suppress(NoMetric):  # facts of inputs that hold none, say
            found[name] = summarise(judged, expected, name, groups)
    return found


def facts_of(task: Task, dataset: Dataset) -> FactFinder | None:
    """What finds facts in texts, by what the training inputs hold; None where answers are no texts."""
    if task.kind != "generate":
        return None
    train = dataset.of("train")
    return FactFinder.learn([render_input(e.inputs) for e in train], [e.target for e in train])


def encoders_of(task: Task) -> tuple[str, ...]:
    """The sentence encoder, where a contender of the task's kind needs it."""
    return (task.encoder_model,) if task.kind == "classify" else ()


def leaked(dataset: Dataset) -> int:
    """How many examples that were trained or chosen on stand in the test set too; nearly the same ones do not count."""
    return len(certain_leaks(dataset))


def _against_champion(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    candidate: Sequence[Prediction],
    facts: FactFinder | None,
    reporter: Reporter,
) -> dict[str, Any] | None:
    """The version against the one that serves now, on the same test examples; None when nothing else serves.

    Compared on the primary metric; for macro-F1, which no single answer has, on accuracy.
    """
    from inhouse.deploy import open_served

    number = registry.alias_number(workspace, task.name, registry.CHAMPION)
    if number is None or number == version.number:
        return None
    champion = registry.find_version(workspace, task.name, number)
    unseen = _unseen_by(workspace, champion, dataset)
    test = dataset.of("test")
    if not unseen:
        reporter.warn(f"every test example was learned by the champion {champion.name}: the two are not compared")
        return None
    if len(unseen) < len(test):
        reporter.warn(
            f"{len(test) - len(unseen)} test examples were learned by the champion {champion.name}; they are left out "
            "of its comparison with the candidate"
        )
    asked = [test[i] for i in unseen]
    served = open_served(workspace, champion)
    bar = reporter.bar(f"champion {champion.name}", len(asked))
    try:
        answered = [a.prediction.target for a in served.answer([e.inputs for e in asked], bar.update)]
    finally:
        served.close()
    metric = "accuracy" if task.kind == "classify" else task.metrics.primary
    expected = [e.target for e in asked]
    groups = [e.group for e in asked]
    ours = judge(task, asked, [candidate[i].target for i in unseen], facts)
    theirs = judge(task, asked, answered, facts)
    gain, low, high, p_value = compare_scores(ours.scores[metric], theirs.scores[metric], groups=groups)
    return {
        "champion": champion.name,
        "metric": metric,
        f"champion_{metric}": summarise(theirs, expected, metric, groups).model_dump(),
        f"candidate_{metric}": summarise(ours, expected, metric, groups).model_dump(),
        "gain": gain,
        "low": low,
        "high": high,
        "p_value": p_value,
    }


def _unseen_by(workspace: Workspace, champion: ModelVersion, dataset: Dataset) -> list[int]:
    """Positions of the test examples that the champion neither learned from nor was chosen on."""
    learned = to_learn_from(workspace, champion.task, champion.lineage["dataset"])
    known = learned.learned
    keys, groups = {e.input_key for e in known}, {e.group for e in known}
    return [i for i, e in enumerate(dataset.of("test")) if e.input_key not in keys and e.group not in groups]


def _warnings(task: Task, version: ModelVersion, dataset: Dataset, answers: Sequence[Answers]) -> tuple[str, ...]:
    warnings = []
    for one in answers:
        cut = sum(not p.finished for p in one.test)
        if cut and one.fine_tuned:
            warnings.append(
                f"{one.name}: {cut} of {len(one.test)} answers were cut off after {version.answer_tokens} tokens"
            )
    labelled = task.kind == "classify"
    if out_of_reach := _out_of_reach(version, dataset.of("test")):
        count = sum(out_of_reach.values())
        whats = "carry labels that no training example has" if labelled else "do not meet the schema"
        named = "; ".join(f"{what} ({times})" for what, times in out_of_reach.most_common(5))
        warnings.append(f"{count} test examples {whats}: they can only be answered wrongly: {named}")
    schemas = (task.json_schema, task.from_input or {}), (version.json_schema, version.from_input)
    if set(task.labels) != set(version.labels) or schemas[0] != schemas[1]:
        what = "labels have" if labelled else "schema, or what is taken from the input, has"
        warnings.append(f"the task's {what} changed since this version was trained: train again")
    if not version.parity.passed:
        warnings.append(f"the parity gate failed: {version.parity.reason}")
    return tuple(warnings)


def _out_of_reach(version: ModelVersion, test: Sequence[Example]) -> Counter[str]:
    """What no answer of the version can say, and in how many test examples it is expected."""
    if version.kind == "classify":
        return Counter(e.target for e in test if e.target not in version.labels)
    if version.kind == "generate":
        return Counter()
    objects = [fitted(version.json_schema, parse_object(e.target) or {}) for e in test]
    return Counter(fault for o in objects if (fault := validate(version.json_schema, o)))


def _history(trained: TrainResult) -> list[dict[str, float]]:
    return [
        {
            "step": r["step"],
            "train_loss": r["train_loss"],
            "validation_loss": r["validation_loss"],
            "validation_score": r.get("validation_score", r["validation_right"]),
        }
        for r in trained.history
    ]
