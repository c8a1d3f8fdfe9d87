"""Recordings above the live cache, and the one rule of which stored answers count.

An answer counts while its model is served under the name that gave it: answers of two models must
not meet in one verdict because an alias moved between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.cache.live import Cache, ModelId
from calibrate.cache.recordings import Recordings
from calibrate.completion import Completion, Failure, Reply, Request
from calibrate.providers.base import bounded

__all__ = ["Move", "Stored", "StoredAnswers"]

LISTED_NAMES = 4
MOST_MOVES = 3  # in one run; a server with ever new names gets no further start


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer from storage, and whether a recording gave it."""

    reply: Reply
    is_recorded: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A model answered under a name that did not count before."""

    model: ModelId
    before: tuple[str, ...]
    now: tuple[str, ...]
    is_spoiling: bool  # this run has used answers that count no longer: it must start over

    @property
    def is_by_turns(self) -> bool:
        return len(self.now) > 1

    def __str__(self) -> str:
        where = f"{self.model.name} at {self.model.base_url}"
        if self.is_by_turns:
            return (
                f"{where} answers by turns as {_listed(self.now)}: all of them count, and a "
                "verdict is that of the mixture; ask for one of them by its full name"
            )
        return (
            f"{where} is served as {_listed(self.now)} now, and was as {_listed(self.before)}: "
            "what that answered does not count any more"
        )


class StoredAnswers:
    """What is stored of a run's requests, recorded or cached, and what arrives in it.

    The first name under which a model answers counts, and another one takes its place. Only where
    a name returns that was replaced in this same run, or after a few such moves, is the model
    taken to be served by turns: then all of its names count, or the run would never end.
    """

    def __init__(
        self,
        recordings: Recordings,
        cache: Cache | None,
        *,
        give_failures: bool = True,
        give_unmeasured: bool = True,
    ) -> None:
        self._recordings = recordings
        self._cache = cache
        self._give_failures = give_failures
        self._give_unmeasured = give_unmeasured  # answers without a latency
        self._names: dict[ModelId, frozenset[str]] = {}  # that count, where there is no cache
        self._given: defaultdict[ModelId, set[str]] = defaultdict(set)
        self._arrived: defaultdict[ModelId, set[str]] = defaultdict(set)
        self._spoilt: dict[ModelId, Move] = {}
        self._moves: dict[tuple[ModelId, bool], Move] = {}  # the last one of each kind
        self._passed_over: defaultdict[ModelId, set[str]] = defaultdict(set)  # requests' keys

    def has(self, request: Request, base_url: str) -> bool:
        """Return whether `get` would give an answer."""
        return self._find(request, _model(request, base_url)) is not None

    def look_ahead(self, requests: Sequence[Request], base_url: str) -> None:
        """Read together what `get` is asked for next."""
        if self._cache is not None:
            self._cache.look_ahead(requests, base_url)

    def get(self, request: Request, base_url: str) -> Stored | None:
        """Return the stored answer that counts: the recorded one, else the cached one."""
        model = _model(request, base_url)
        found = self._find(request, model)
        if (found is None or not found.is_recorded) and self._recorded(request) is not None:
            self._passed_over[model].add(request.key)
        if found is not None and isinstance(found.reply, Completion):
            name = found.reply.served_model
            if name not in self._given[model]:
                self._given[model].add(name)
                self._heard_elsewhere(model)
        return found

    def spoilt(self, request: Request, base_url: str) -> Move | None:
        """Return the move that has spoilt what this run was given of a request's model, if any."""
        return self._spoilt.get(_model(request, base_url))

    def put(self, request: Request, base_url: str, reply: Reply) -> Move | None:
        """Add an answer that has arrived; return the move that it tells of, if any.

        It is kept, whatever happens to the process, once `commit` returns.
        A spoiling move is returned for every further answer of its model until `start_over`.
        """
        model = _model(request, base_url)
        if isinstance(reply, Failure) or self._is_late(model, reply):
            self._keep(request, base_url, reply, name_counts=False)
            return self._spoilt.get(model)
        move = self._name_arrived(model, reply.served_model)
        self._keep(request, base_url, reply)
        return self._spoilt.get(model, move)

    def commit(self) -> None:
        """Write the answers that were put."""
        if self._cache is not None:
            self._cache.commit()

    def start_over(self) -> frozenset[ModelId]:
        """Return the models that a move has spoilt; from now on they may be asked anew."""
        spoilt = frozenset(self._spoilt)
        for model in spoilt:
            del self._spoilt[model], self._given[model]
        return spoilt

    def notes(self) -> list[str]:
        """Return what must not stay unsaid: each move, and recordings that do not count."""
        passed_over = (
            f"{len(keys)} recorded answers of {model.name} do not count: {model.base_url} serves "
            f"it as {_listed(tuple(sorted(self._counting(model))))} now; record them again, or "
            f"forget that with `calibrate cache prune --model {model.name}`"
            for model, keys in self._passed_over.items()
        )
        return [*map(str, self._moves.values()), *passed_over]

    def _find(self, request: Request, model: ModelId) -> Stored | None:
        recorded = self._recorded(request)
        if recorded is not None and self._counts(recorded, model):
            return Stored(recorded, is_recorded=True)
        cached = self._wanted(self._cache.get(request, model.base_url)) if self._cache else None
        return None if cached is None else Stored(cached, is_recorded=False)

    def _recorded(self, request: Request) -> Reply | None:
        return self._wanted(self._recordings.get(request))

    def _wanted(self, reply: Reply | None) -> Reply | None:
        if reply is None or (reply.latency_s is None and not self._give_unmeasured):
            return None
        return None if isinstance(reply, Failure) and not self._give_failures else reply

    def _counts(self, recorded: Reply, model: ModelId) -> bool:
        counting = self._counting(model)
        if not counting:
            return True
        if isinstance(recorded, Completion):
            return recorded.served_model in counting
        names = self._recordings.served_names(model.kind, model.name)
        return not names or not names.isdisjoint(counting)

    def _counting(self, model: ModelId) -> frozenset[str]:
        if self._cache is None:
            return self._names.get(model, frozenset())
        return self._cache.served_names(model)

    def _is_late(self, model: ModelId, reply: Completion) -> bool:
        """Return whether an answer was asked for before the move that its model made."""
        return model in self._spoilt and reply.served_model not in self._spoilt[model].now

    def _name_arrived(self, model: ModelId, name: str) -> Move | None:
        arrived, given = self._arrived[model], self._given[model]
        counting = self._counting(model)
        if name in arrived and name in given and given <= counting:  # as nearly always
            return None
        before = counting or self._recordings.served_names(model.kind, model.name)
        is_by_turns = name in arrived or len(arrived) > MOST_MOVES
        now = before | {name} if name in before or is_by_turns else frozenset({name})
        move = None
        if before and name not in before:
            move = Move(model, tuple(sorted(before)), tuple(sorted(now)), not given <= now)
            self._moves[model, move.is_by_turns] = move
            if move.is_spoiling:
                self._spoilt[model] = move
        if now != counting:
            self._let_count(model, now)
        arrived.add(name)
        given.add(name)
        return move or self._heard_elsewhere(model)

    def _heard_elsewhere(self, model: ModelId) -> Move | None:
        """Return the move of a model that another run on this cache has heard of, and this not."""
        given, counting = self._given[model], self._counting(model)
        if not counting or given <= counting or model in self._spoilt:
            return None
        before, now = tuple(sorted(given - counting)), tuple(sorted(counting))
        move = self._spoilt[model] = Move(model, before, now, is_spoiling=True)
        self._moves[model, move.is_by_turns] = move
        return move

    def _let_count(self, model: ModelId, names: frozenset[str]) -> None:
        if self._cache is None:
            self._names[model] = names
        else:
            self._cache.count_names(model, names)

    def _keep(
        self, request: Request, base_url: str, reply: Reply, *, name_counts: bool = True
    ) -> None:
        if self._cache is not None:
            self._cache.add(request, base_url, reply, name_counts=name_counts)


def _model(request: Request, base_url: str) -> ModelId:
    return ModelId(base_url, request.kind, request.name)


def _listed(names: tuple[str, ...]) -> str:
    shown = [repr(bounded(name)) for name in names[:LISTED_NAMES]]
    return ", ".join(shown) + (
        f" and {len(names) - len(shown)} more" if names[len(shown) :] else ""
    )
