"""Every error that shopbot raises on purpose. The message says what happened and what to do next.

ShopbotError
├── UsageError             the caller's: wrong arguments, no shopper given
│   ├── ShopError          a shop folder that cannot be used: shop.toml, a data file, a row (names file and line)
│   ├── IndexRefused       an index that is missing, half-written, or made by another embedder
│   └── SessionBusy        this session has a turn running: wait for its end
├── ModelError             the model's
│   ├── WeightsMissing     no weights by that name here, and no hub to fetch them from
│   ├── ModelUnavailable   the server is down, slow, or refused
│   └── ModelInvalid       it answered what cannot be read
└── InternalError          ours
    ├── StoreError         the database or the index cannot be read or written
    └── ToolError          a tool raised, hung, or broke its contract
"""

from __future__ import annotations


class ShopbotError(Exception):
    """The root: catch this to catch everything shopbot raises on purpose."""


class UsageError(ShopbotError):
    """The caller can mend this."""


class ShopError(UsageError):
    """A shop folder or one of its files cannot be used."""


class IndexRefused(UsageError):
    """The knowledge index is missing, half-written or made for another embedder."""


class SessionBusy(UsageError):
    """A second turn of a session was begun while its first was running."""


class ModelError(ShopbotError):
    """The model, its weights or its server failed."""


class WeightsMissing(ModelError):
    """No weights by that name on this machine, and no hub that could be reached."""


class ModelUnavailable(ModelError):
    """The model server is down, too slow, or refused the request."""


class ModelInvalid(ModelError):
    """The model answered something that cannot be read."""


class InternalError(ShopbotError):
    """Ours, or the infrastructure's under us."""


class StoreError(InternalError):
    """The database or the index cannot be read or written: a full disk, permissions, another process at it."""


class ToolError(InternalError):
    """A tool raised, hung or broke its contract."""
