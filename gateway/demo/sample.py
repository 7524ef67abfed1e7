"""The identities, tokens and images of the demonstration: fixed values, so that examples can be pasted.

The tokens are public by design: they open nothing but the bundled metadata API on this machine.
"""

from typing import Any, Final

SAMPLE_PROJECT: Final = "8f0e4c1d2b7a4a55b6f1f2c0c9a7d3e1"
OTHER_PROJECT: Final = "c2b94f6de8074c1aa1d35b7e90f64a28"

SAMPLE_IMAGE: Final = "70a599e0-31e7-49b7-b260-868f441e862b"
"""Private image of the sample project: every operation works."""
SAVING_IMAGE: Final = "3d4a6c1e-95f0-4b6b-8f0a-0d2b9f6c7e11"
"""Image of the sample project that is still being saved: reads 200, writes 409."""
BROKEN_IMAGE: Final = "b5e0c7a2-6d1f-4c39-9a58-41e7d2f8036c"
"""Image of the sample project whose store is broken: 500."""
OFFLINE_IMAGE: Final = "e91f3b58-0c7d-4f26-b1a4-7c65d0e2984f"
"""Image of the sample project whose store is offline: 503 with Retry-After."""
PUBLIC_IMAGE: Final = "0aa8705d-5d7c-4ae3-822f-18fa6598d04a"
"""Public image of the other project: the sample project may read it (200) and not write it (403)."""
FOREIGN_IMAGE: Final = "f7c21d94-3be8-4d05-96af-a20b6e41c87d"
"""Private image of the other project: for the sample project it does not exist (404)."""
UNKNOWN_IMAGE: Final = "00000000-0000-4000-8000-000000000000"
"""An image that is never seeded: 404."""

MEMBER_TOKEN: Final = "demo-member-token"  # noqa: S105 - a public sample value
READER_TOKEN: Final = "demo-reader-token"  # noqa: S105 - a public sample value
ADMIN_TOKEN: Final = "demo-other-admin-token"  # noqa: S105 - a public sample value

SAMPLE_METADATA: Final = {
    "com.rackspace__1__options": "0",
    "base_image_ref": "ffa476b1-9b14-46bd-99a8-862d1d94eb7a",
    "os_distro": "ubuntu",
    "label": "Original",
    "auto_disk_config": "True",
    "os_type": "linux",
}


def token_list() -> list[dict[str, Any]]:
    """The sample tokens, in the form that the `static` provider of `token_auth` takes as `tokens:`."""
    return [
        {
            "token": MEMBER_TOKEN,
            "user": "demo-member",
            "user_id": "5f3b1c0a9d6e4a7f8b2c4d6e8f0a1b3c",
            "project_id": SAMPLE_PROJECT,
            "project_name": "demo",
            "roles": ["member", "reader"],
        },
        {
            "token": READER_TOKEN,
            "user": "demo-reader",
            "user_id": "a7d9e2f4c1b84365907e6f5d4c3b2a19",
            "project_id": SAMPLE_PROJECT,
            "project_name": "demo",
            "roles": ["reader"],
        },
        {
            "token": ADMIN_TOKEN,
            "user": "other-admin",
            "user_id": "1e8c6a4b2d0f4957b3a1c5e7f9d8b6a4",
            "project_id": OTHER_PROJECT,
            "project_name": "other",
            "roles": ["admin", "member", "reader"],
        },
    ]
