"""Calls openstacksdk on image metadata and what is around it: `python sdk.py IMAGE`, run by the Python that has it.

Prints what each call has given, by its name, as JSON. Where the services are is in the environment (OS_*).
"""

import importlib
import json
import sys
from typing import Any


def main() -> None:
    image = sys.argv[1]
    openstack: Any = importlib.import_module("openstack")
    cloud = openstack.connect()
    compute = cloud.compute
    told: dict[str, Any] = {}
    told["set"] = compute.set_image_metadata(image, one="1", two="2").metadata
    told["get"] = compute.get_image_metadata(image).metadata
    compute.delete_image_metadata(image, ["one"])
    told["left"] = compute.get_image_metadata(image).metadata
    compute.delete_image_metadata(image, ["two"])
    told["compute images"] = [one.id for one in compute.images()]
    told["compute image"] = compute.get_image(image).id
    told["compute endpoint"] = compute.get_endpoint()
    told["compute version"] = compute.get_endpoint_data().api_version
    told["limits"] = compute.get_limits().absolute.image_meta
    told["servers"] = [one.id for one in compute.servers()]
    told["flavors"] = [one.id for one in compute.flavors()]
    told["images"] = [one.id for one in cloud.image.images()]
    told["image"] = cloud.image.get_image(image).id
    told["image endpoint"] = cloud.image.get_endpoint_data().url
    made = cloud.image.create_image("from the SDK", data=b"z" * 300_000, disk_format="raw", wait=True)
    told["downloaded"] = len(cloud.image.download_image(made.id).content)
    cloud.image.delete_image(made.id)
    told["user"] = cloud.current_user_id
    told["project"] = cloud.current_project.name
    print(json.dumps(told))


if __name__ == "__main__":
    main()
