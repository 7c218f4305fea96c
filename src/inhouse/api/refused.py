"""Endpoints of OpenAI's API that make no sense on a machine of one's own, and what there is instead."""

from __future__ import annotations

_TEXT_ONLY = "models here read and write text alone"
_CHAT = "send the conversation to /v1/chat/completions"
_EVALUATE = "`inhouse evaluate` judges every version, and its verdict is kept with it"

# The beginning of a path, and why there is nothing.
REFUSED = {
    "/v1/responses": f"answers keep no state here: {_CHAT}",
    "/v1/conversations": f"conversations are not kept here: {_CHAT}",
    "/v1/assistants": f"assistants are not kept here: {_CHAT}",
    "/v1/threads": f"threads are not kept here: {_CHAT}",
    "/v1/vector_stores": "documents are looked up by a task's own contenders: put them into tasks/NAME/documents",
    "/v1/evals": _EVALUATE,
    "/v1/fine_tuning/alpha/graders": f"there is no reinforcement fine-tuning, which graders are for; {_EVALUATE}",
    "/v1/fine_tuning/checkpoints": "there are no projects to share checkpoints with: access keys say who may ask which",
    "/v1/fine_tuning/model_limits": "no account bounds a job: `inhouse train TASK --dry-run` tells what one will take",
    "/v1/moderations": "there is no moderation model; train a classify task of your own labels",
    "/v1/images": _TEXT_ONLY,
    "/v1/audio": _TEXT_ONLY,
    "/v1/videos": _TEXT_ONLY,
    "/v1/realtime": _TEXT_ONLY,
    "/v1/containers": "no code is run here for a model",
    "/v1/organization": "there is no organization here: `inhouse keys` makes and revokes access keys",
}


def reason_of(path: str) -> str | None:
    """Why there is nothing at a path of OpenAI's; None where OpenAI has nothing there either, or it is done here."""
    return next((told for begin, told in REFUSED.items() if path == begin or path.startswith(f"{begin}/")), None)
