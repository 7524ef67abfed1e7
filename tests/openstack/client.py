"""OpenStack's own clients, run as their users run them: by a name, a password, an auth URL and a region."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.openstack.front import Way
from tests.openstack.install import environment, program
from tests.support.deadline import within

_RUN = 90.0
"""Seconds that a client may take, on a busy machine."""


def _variables(way: Way, user: str) -> dict[str, str]:
    return {
        **environment(),
        "OS_AUTH_URL": way.auth_url,
        "OS_REGION_NAME": way.region,
        "OS_USERNAME": user,
        "OS_PASSWORD": f"{user}-password",
        "OS_PROJECT_NAME": "demo",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_IDENTITY_API_VERSION": "3",
    }


async def _run(way: Way, user: str, *command: str) -> str:
    """What the program says; fails where it does."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=_variables(way, user),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await within(process.communicate(), f"{command[0]} ends", _RUN)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{' '.join(command)}\n{output.decode()}\n{errors.decode()}"
    return output.decode()


async def openstack(way: Way, *words: str, user: str = "demo") -> Any:
    """`openstack WORDS`, which answers with JSON, or with nothing."""
    output = await _run(way, user, program("client", "openstack"), *words)
    return json.loads(output) if output else None


async def nova(way: Way, *words: str) -> str:
    """`nova WORDS` of the last novaclient that knows image metadata."""
    return await _run(way, "demo", program("novaclient", "nova"), *words)


async def sdk(way: Way, image: str) -> dict[str, Any]:
    """What each of the calls in sdk.py has given, by its name."""
    script = Path(__file__).with_name("sdk.py")
    # -P: a module beside the script is not taken for one of the client's.
    answer = json.loads(await _run(way, "demo", program("client"), "-P", str(script), image))
    assert isinstance(answer, dict)
    return answer
