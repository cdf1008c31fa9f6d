"""One try of a command: it has what is sent on its input, and its exit code counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from streams.hooks.delivery import Delivery, Failure
from streams.settings_load import PREFIX


async def run(argv: Sequence[str], delivery: Delivery, *, timeout_s: float) -> Failure | None:
    """Run once; None when it ended with 0. What takes longer is killed with all that it has started.

    Settings are not handed on, since passwords may be among them; the delivery's key is, as SERINUS_HOOK_KEY.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {"SERINUS_HOOK_KEY": delivery.key, "SERINUS_HOOK_ACTION": delivery.action}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Failure(f"cannot be run: {error}")
    try:
        async with asyncio.timeout(timeout_s):
            # A command that does not read its input may end well all the same.
            await process.communicate(delivery.body)
    except TimeoutError:
        return Failure(f"took longer than {timeout_s:g} s and was ended")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Failure(f"ended with {process.returncode}") if process.returncode else None
