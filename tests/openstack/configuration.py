"""What the configuration files of the services say: all on SQLite and without a broker, their data in one folder each."""

from pathlib import Path
from typing import NamedTuple

_KEYSTONE = """
[DEFAULT]
max_token_size = 1024
[database]
connection = sqlite:///{place}/keystone.db
[token]
provider = {provider}
expiration = {expiration}
[fernet_tokens]
key_repository = {place}/fernet-keys
[jwt_tokens]
jws_public_key_repository = {place}/jws-keys/public
jws_private_key_repository = {place}/jws-keys/private
[credential]
key_repository = {place}/credential-keys
[cache]
# Without it a token costs some hundred queries, which is a second.
enabled = true
backend = dogpile.cache.memory
"""

_AUTHENTICATION = """
[keystone_authtoken]
www_authenticate_uri = {identity}
auth_url = {identity}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = {user}
password = {user}-password
service_token_roles = service
service_token_roles_required = true
service_type = {service}
token_cache_time = 10
"""

_GLANCE = """
[DEFAULT]
enabled_backends = store:file
enabled_import_methods = []
transport_url = fake://
node_staging_uri = file://{place}/staging/
[database]
connection = sqlite:///{place}/glance.db
[glance_store]
default_backend = store
[store]
filesystem_store_datadir = {place}/images
[os_glance_staging_store]
filesystem_store_datadir = {place}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {place}/tasks
[paste_deploy]
flavor = keystone
config_file = {paste}
[oslo_concurrency]
lock_path = {place}/lock
"""

_NOVA = """
[DEFAULT]
state_path = {place}/state
transport_url = fake://
my_ip = 127.0.0.1
[api]
auth_strategy = keystone
[wsgi]
api_paste_config = {paste}
[api_database]
connection = sqlite:///{place}/nova_api.db
[database]
connection = sqlite:///{place}/nova.db
[glance]
endpoint_override = {image}
[oslo_concurrency]
lock_path = {place}/lock
[quota]
metadata_items = 128
[service_user]
send_service_user_token = true
auth_url = {identity}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = nova
password = nova-password
"""

NOWHERE = "http://127.0.0.1:1"
"""The URL of a service that is not asked: the databases are made while none runs."""


class Tokens(NamedTuple):
    """What tokens Keystone issues: `fernet` or `jws`, good for `expiration` seconds."""

    provider: str = "fernet"
    expiration: int = 3600


def keystone(place: Path, tokens: Tokens = Tokens()) -> Path:
    """Writes the configuration of a Keystone; several may be over the same data."""
    path = place / f"keystone-{tokens.provider}-{tokens.expiration}.conf"
    path.write_text(_KEYSTONE.format(place=place, **tokens._asdict()))
    return path


def glance(place: Path, paste: Path, identity: str = NOWHERE) -> Path:
    """The same of a Glance; `identity` is the URL of Keystone, and `paste` the file that came with Glance."""
    for name in ("images", "staging", "tasks", "lock"):
        (place / name).mkdir(exist_ok=True)
    path = place / "glance-api.conf"
    text = _GLANCE.format(place=place, paste=paste)
    path.write_text(text + _AUTHENTICATION.format(identity=identity, user="glance", service="image"))
    return path


def nova(place: Path, paste: Path, identity: str = NOWHERE, image: str = NOWHERE) -> Path:
    """The same of a Nova, which asks the Glance at `image` about images."""
    for name in ("state", "lock"):
        (place / name).mkdir(exist_ok=True)
    path = place / "nova.conf"
    text = _NOVA.format(place=place, paste=paste, identity=identity, image=image)
    path.write_text(text + _AUTHENTICATION.format(identity=identity, user="nova", service="compute"))
    return path
