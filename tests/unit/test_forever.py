"""Work that a server does again and again."""

from __future__ import annotations

import asyncio

import pytest

from inhouse.api.forever import forever


def test_no_fault_ends_the_work_and_one_that_goes_on_is_logged_once(caplog):
    left = [OSError("the disk\nand more"), OSError("the disk\nand more"), None, OSError("the disk"), ValueError("odd")]

    async def work():
        if not left:
            raise asyncio.CancelledError
        if (fault := left.pop(0)) is not None:
            raise fault

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(forever("it", work, 0))
    told = ["OSError: the disk", "OSError: the disk", "ValueError: odd"]
    assert caplog.messages == [f"it is tried again in 0 s: {one}" for one in told]
