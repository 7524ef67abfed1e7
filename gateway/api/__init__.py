"""The contract between the gateway and its filters: all that a filter may import, and no more."""

from gateway.api import fact
from gateway.api.body import Body, too_large
from gateway.api.bucket import Bucket, BucketHolder, Selection, Unreadable
from gateway.api.certificate import Certificate
from gateway.api.check import Check
from gateway.api.exchange import Exchange, Instant, Note, Request, Route, ShadowExchange
from gateway.api.fact import Fact
from gateway.api.filter import Effect, Filter, Services, facts_of
from gateway.api.flight import Pending, SingleFlight
from gateway.api.meter import Charge, Meter, Spec, Tariff
from gateway.api.network import HttpAnswer, HttpClient, HttpError, HttpOptions, TlsOptions
from gateway.api.option import Duration, OptionError, Options, Secret, Size
from gateway.api.permit import Claim, Demand, Permits
from gateway.api.principal import Principal
from gateway.api.reason import REASONS
from gateway.api.revocation import Owing, Revocable, Revocation, hashed_by
from gateway.api.shelf import TAGS, Shelf, Shelved
from gateway.api.store import NoStore, Store, StoreError, StoreOptions
from gateway.api.table import NOTE, Cell, Change, Place, Table, TableBusy
from gateway.api.timer import Timer
from gateway.api.verdict import Fault, Refused, Response, Rule, Verdict

API_VERSION = 1

__all__ = [
    "API_VERSION",
    "NOTE",
    "REASONS",
    "TAGS",
    "Body",
    "Bucket",
    "BucketHolder",
    "Cell",
    "Certificate",
    "Change",
    "Charge",
    "Check",
    "Claim",
    "Demand",
    "Duration",
    "Effect",
    "Exchange",
    "Fact",
    "Fault",
    "Filter",
    "HttpAnswer",
    "HttpClient",
    "HttpError",
    "HttpOptions",
    "Instant",
    "Meter",
    "NoStore",
    "Note",
    "OptionError",
    "Options",
    "Owing",
    "Pending",
    "Permits",
    "Place",
    "Principal",
    "Refused",
    "Request",
    "Response",
    "Revocable",
    "Revocation",
    "Route",
    "Rule",
    "Secret",
    "Selection",
    "Services",
    "ShadowExchange",
    "Shelf",
    "Shelved",
    "SingleFlight",
    "Size",
    "Spec",
    "Store",
    "StoreError",
    "StoreOptions",
    "Table",
    "TableBusy",
    "Tariff",
    "Timer",
    "TlsOptions",
    "Unreadable",
    "Verdict",
    "fact",
    "facts_of",
    "hashed_by",
    "too_large",
]
