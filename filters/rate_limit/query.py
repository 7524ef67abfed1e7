"""Names of the parameters of a query, as limits compare them."""

from urllib.parse import unquote_to_bytes


def folded_name(name: str) -> str:
    """A name percent-decoded, without regard to case; `+` is a space."""
    raw = unquote_to_bytes(name.replace("+", " ").encode("utf-8", "surrogatepass"))
    return raw.decode("utf-8", "replace").casefold()


def query_names(query: str | None) -> frozenset[str]:
    """The names in a raw query, latin-1 text as it came; none where there is no query."""
    if not query:
        return frozenset()
    names = set()
    for parameter in query.split("&"):
        name = parameter.partition("=")[0]
        if name.isascii():
            names.add(folded_name(name))
        else:
            raw = unquote_to_bytes(name.replace("+", " ").encode("latin-1"))
            names.add(raw.decode("utf-8", "replace").casefold())
    return frozenset(names)
