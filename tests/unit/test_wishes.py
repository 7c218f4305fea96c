"""Texts as the caller wants them: sampled, several, cut at strings; through both lines of the official client."""

from __future__ import annotations

import pytest
from clients import CLIENTS, run_script
from hypothesis import given
from hypothesis import strategies as st
from letters import add_letters
from servers import served_copy

from inhouse.api.errors import ApiError
from inhouse.api.shapes.logprobs import check_chances
from inhouse.core import ModelVersion
from inhouse.deploy import Options
from inhouse.deploy.token_chances import Chances
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import open_engine
from inhouse.store import Workspace, traffic

TEXT = "where is my card now"


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment):
    with served_copy(trained, tmp_path_factory.mktemp("letters"), environment, add_letters) as server:
        yield server


@pytest.fixture(scope="module")
def template(tiny_base):
    return ChatTemplate(tiny_base.folder)


def traces(folder):
    workspace = Workspace(folder)
    kept = traffic.traces(workspace, "letters")
    workspace.close()
    return kept


@pytest.mark.parametrize("line", CLIENTS)
def test_texts_through_either_line_of_the_official_client(server, line):
    told = run_script("texts.py", line, server.url, "letters", TEXT)
    whole, stop = told["whole"], told["stop"]
    assert told["again"] == whole
    before = whole[: whole.index(stop)]
    assert told["cut"] == [before, "stop", True]
    assert told["cut streamed"] == [{"text": before, "finish": ["stop"], "roles": 1}]
    assert told["cut at once"] == ""
    sampled = told["sampled"]
    assert (told["indices"], len(set(sampled))) == ([0, 1, 2], 3)
    assert len(set(told["prompt tokens"])) == 1  # read once for all
    for again in (told["sampled again"], [one["text"] for one in told["sampled streamed"]]):
        assert sum(a == b for a, b in zip(again, sampled, strict=True)) >= 2  # see docs/design/sampling.md
    assert all((len(one["finish"]), one["roles"]) == (1, 1) for one in told["sampled streamed"])
    assert not set(told["other seed"]) & set(sampled)
    assert len(set(told["no seed"])) == 2
    assert "n = 2 answers were written alike: each is the likeliest" in told["alike"]
    assert "top_p had no effect: without a temperature the text is the likeliest" in told["unused"]
    for (status, code, param, said), name in zip(
        told["refused"], ("presence_penalty", "frequency_penalty", "logit_bias"), strict=True
    ):
        assert (status, code, param) == (400, "unsupported_value", name)
        assert f"`{name}` is not supported as asked" in said


def test_the_trace_keeps_what_was_wished(server):
    wishes = {"temperature": 1.5, "top_p": 0.9, "seed": -1, "n": 2, "stop": ["x y z"], "max_tokens": 9}
    messages = [{"role": "user", "content": TEXT}]
    status, _, answer = server.post("/v1/chat/completions", model="letters", messages=messages, **wishes)
    assert status == 200
    (trace,) = [one for one in traces(server.folder) if one.id == answer["id"]]
    sampling = {"temperature": 1.5, "top_p": 0.9, "seed": 2**63 - 1}
    assert trace.asked == {"most": 9, "stop": ["x y z"], "sampling": sampling, "n": 2}
    assert trace.output == answer["choices"][0]["message"]["content"]
    assert all("confidence" in choice["inhouse"] for choice in answer["choices"])


@pytest.mark.parametrize("stream", [False, True])
def test_labels_stay_the_likeliest_and_say_so(server, stream):
    wishes = {"temperature": 2, "presence_penalty": 1, "logit_bias": {"1": 5}, "stop": "card", "n": 2}
    messages = [{"role": "user", "content": TEXT}]
    status, _, answer = server.post("/v1/chat/completions", model="intents", messages=messages, stream=stream, **wishes)
    assert status == 200
    said = "temperature, presence_penalty, logit_bias and stop had no effect: a label is always the likeliest"
    if stream:
        assert answer.count(said) == 2  # with the last piece of each
        return
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["card_arrival"] * 2
    assert answer["inhouse"]["warnings"] == [said, "n = 2 answers were written alike: each is the likeliest"]


# ---------------------------------------------------------------------- how likely tokens were


@pytest.mark.parametrize("line", CLIENTS)
def test_the_chances_of_tokens_through_either_line_of_the_official_client(server, tiny_base, line):
    told = run_script("logprobs.py", line, server.url, "letters", "intents", TEXT)
    for name in ("whole", "sampled", "cut", "label", "sampled streamed"):
        said, tokens = told[name]["text"], told[name]["tokens"]
        joined = b"".join(bytes(one) for _, _, one, _ in tokens)
        assert joined.decode("utf-8", "replace").startswith(said)
        assert all(logprob <= 0 for _, logprob, _, _ in tokens)
        assert all(bytes(one).decode("utf-8", "backslashreplace") == token for token, _, one, _ in tokens)
        assert all(top == [] for _, _, _, top in tokens)
        if name != "cut":
            assert joined.decode("utf-8", "replace") == said
    assert [token for token, *_ in told["streamed"]["tokens"]] == [token for token, *_ in told["whole"]["tokens"]]
    assert told["streamed"]["text"] == told["whole"]["text"]
    assert told["cut streamed"]["text"] == told["cut"]["text"]
    assert [token for token, *_ in told["cut streamed"]["tokens"]] == [token for token, *_ in told["cut"]["tokens"]]
    assert len(told["cut"]["tokens"]) < len(told["whole"]["tokens"])
    assert [top for *_, top in told["best"]["tokens"]] == [[[t, p]] for t, p, _, _ in told["best"]["tokens"]]
    assert told["without"] is None
    assert told["refused"] == [[400, "top_logprobs"]] * 3


@given(st.text())
def test_the_bytes_of_tokens_are_those_of_the_text(template, text):
    assert b"".join(map(template.token_bytes, template.text_ids(text))) == text.encode()


def test_chances_are_those_of_the_next_token(tiny_base, template):
    engine = open_engine("openvino-genai", tiny_base.gguf, template.end_of_turn, threads=1, exact=True)
    prompt = template.prompt_ids([{"role": "user", "content": TEXT}])
    (answer,) = engine.generate([prompt], max_new_tokens=12)
    tokens = Chances(template).of(answer)
    assert len(tokens) == 12
    ids, logprobs = engine.next_tokens([[*prompt, *answer.ids[:n]] for n in range(12)])
    engine.close()
    assert ids == answer.ids
    assert [one.logprob for one in tokens] == pytest.approx(logprobs, abs=0.02)
    starts = [one.start for one in tokens]
    assert starts == sorted(starts)


def test_sentence_piece_tokens_have_their_bytes(tmp_path):
    from tokenizers import Tokenizer, decoders, models

    vocab = {"<unk>": 0, "\u2581hi": 1, "<0xC3>": 2, "<0xA9>": 3, "</s>": 4}
    made = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["</s>"])
    made.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}</s>{% endfor %}")
    template = ChatTemplate(tmp_path)
    assert [template.token_bytes(n) for n in (1, 2, 3, 4)] == [b" hi", b"\xc3", b"\xa9", b"</s>"]


def test_a_classifier_has_no_tokens_to_tell_of():
    version = ModelVersion.model_construct(kind="classify", engine="openvino")
    with pytest.raises(ApiError, match="it writes no tokens"):
        check_chances("top_logprobs", 0, version, Options())
