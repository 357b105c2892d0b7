"""Actions: proposed, run once, and cleared up after a crash. The one road for every tool that writes.

The journal decides who may call the tool; this module calls it. A tool that raises or takes too long may or may not
have done its work, so its action is `unknown` until the tool's `lookup` says, or a person.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from shopbot import wire
from shopbot.errors import StoreError, UsageError
from shopbot.journal import PATIENCE, Action, Journal
from shopbot.tools import NeedsPerson, Refusal, ShopTool, Toolbox
from shopbot.types import CallStatus, Shopper, ToolCall

log = logging.getLogger(__name__)

_STATUS: Mapping[str, CallStatus] = {"confirmed": "running", "lapsed": "declined", "handed_over": "unknown"}
"""Of an action's states those that a `ToolCall` calls otherwise."""


class Actions:
    """Everything that a shop's tools do, through one journal. All calls block: from async code, in a thread."""

    def __init__(self, toolbox: Toolbox, journal: Journal, clock: Callable[[], datetime]) -> None:
        self._toolbox = toolbox
        self._journal = journal
        self._clock = clock

    def propose(
        self,
        name: str,
        arguments: Mapping[str, Any],
        shopper: Shopper,
        session_id: str,
        turn_id: str,
        instead_of: ToolCall | None = None,
    ) -> ToolCall:
        """Check a write and write it down; nothing is done yet. `result` is the tool's preview, `id` the action's key.

        Refused where the ids are not the shopper's, and where the preview says that the shop's rules forbid it. What waited
        until now (`instead_of`) is declined in its favour; the same again stays as it is.
        """
        if shopper.id is None:
            return ToolCall(name, dict(arguments), "refused", {"reason": "log in first"})
        try:
            tool, ready = self._toolbox.checked(name, arguments, shopper)
            self._within_limit(tool, shopper.id)
            preview = {} if tool.preview is None else self._toolbox.apply_in_time(tool, tool.preview, ready, shopper)
        except Refusal as refusal:
            return ToolCall(name, dict(arguments), "refused", refusal.as_result())
        except StoreError:
            raise
        except Exception as error:  # a shop's tool may raise anything; the turn must survive it
            log.exception("the preview of %s raised", name)
            return ToolCall(name, dict(arguments), "failed", {"reason": f"{type(error).__name__}: {error}"})
        if instead_of is not None and (name, wire.to_json(ready)) == (instead_of.name, dict(instead_of.arguments)):
            return instead_of
        made = self._journal.propose(session_id, turn_id, shopper.id, name, ready, preview, self._clock())
        if instead_of is not None:
            self._journal.decline(instead_of.id, self._clock())
        return _as_call(made)

    def waiting(self, key: str, shopper: Shopper, session_id: str) -> ToolCall | None:
        """The action of this key: `proposed`, or `declined` where it has waited too long.

        None where it is not the shopper's, or of another session: only a session's own turn, which holds it, may run what
        it promised, since its next turn takes for dead what runs in none.
        """
        found = self._journal.action(key)
        if found is None or (found.shopper_id, found.session_id) != (shopper.id, session_id):
            return None
        if found.status == "proposed" and self._clock() - found.proposed_at > PATIENCE:
            found = self._journal.lapse(key, self._clock())
        return _as_call(found)

    def _within_limit(self, tool: ShopTool, shopper_id: str) -> None:
        now = self._clock()
        if tool.daily is None or self._journal.count_done(shopper_id, tool.name, now - timedelta(days=1)) < tool.daily:
            return
        raise NeedsPerson(
            "you have reached the number of such changes that I may make in a day",
            "您今天的此类操作次数已达到我可以办理的上限",
        )

    def decline(self, key: str, shopper: Shopper) -> ToolCall:
        """The shopper said no. Raises UsageError where there is no such action of theirs, or they have said yes before."""
        return _as_call(self._journal.decline(self._own(key, shopper).key, self._clock()))

    def run(self, key: str, shopper: Shopper) -> ToolCall:
        """The shopper said yes: do it, once. A repeat gets what became of it, and does nothing.

        Raises:
            UsageError: no such action, not this shopper's, or declined or lapsed before.
        """
        action = self._own(key, shopper)
        self._journal.confirm(key, self._clock())
        return _as_call(self._run_if_first(action, shopper))

    def _own(self, key: str, shopper: Shopper) -> Action:
        action = self._journal.action(key)
        if action is None or action.shopper_id != shopper.id:
            raise UsageError(f"no action {key!r} of this shopper")
        return action

    def recover(self, session_id: str) -> list[ToolCall]:
        """Clear up what an earlier turn of the session left open: finish it, or hand it to a person.

        Call it in a turn of the session, before anything else.
        """
        cleared: list[ToolCall] = []
        for action in self._journal.interrupted(session_id, self._clock()):
            if action.status == "unknown":
                # What a dead process was running may run again; what was given up as slow may be running still.
                dead = action.result is None and self._journal.hold(action.key)
                if dead:
                    self._journal.let_go(action.key)
                again = "confirmed" if dead else None
                action = self._looked_up(action, Shopper(action.shopper_id), otherwise=again)
            if action.status == "confirmed":
                action = self._run_if_first(action, Shopper(action.shopper_id))
            if action.status == "unknown":
                facts = {"reason": "it was begun and its end was not seen", "result": action.result}
                action = self._journal.resolve(action.key, "handed_over", facts, self._clock())
            cleared.append(_as_call(action))
        return cleared

    # ------------------------------------------------------------ one call of a tool

    def _run_if_first(self, action: Action, shopper: Shopper) -> Action:
        ended = self._journal.start(action.key, self._clock()) and self._call(action, shopper)
        found = self._journal.action(action.key)
        assert found is not None
        if found.status == "unknown" and ended:
            return self._looked_up(found, shopper, otherwise="failed")
        return found

    def _call(self, action: Action, shopper: Shopper) -> bool:
        """Call the tool in a thread of its own; False where it takes too long: it writes down its end when that comes."""
        try:
            tool, ready = self._toolbox.checked(action.tool, action.arguments, shopper)
        except Refusal as refusal:  # the shop's data have changed since it was proposed
            self._journal.finish(action.key, "refused", refusal.as_result(), self._clock())
            return True
        self._journal.hold(action.key)  # until the work ends, so that nobody takes it for dead before
        work = copy_context().run
        worker = threading.Thread(target=work, args=(self._work, tool, ready, action, shopper), daemon=True)
        worker.start()
        worker.join(tool.timeout)
        slow = worker.is_alive()
        if slow:
            try:
                reason = {"reason": f"no answer in {tool.timeout:g} s"}
                self._journal.finish(action.key, "unknown", reason, self._clock())
            except UsageError:  # it ended in this very moment
                log.info("action %s ended as it was given up", action.key)
        return not slow

    def _work(self, tool: ShopTool, ready: Mapping[str, Any], action: Action, shopper: Shopper) -> None:
        try:
            result = wire.to_json(self._toolbox.apply(tool, tool.function, ready, shopper, action.key))
        except Refusal as refusal:
            self._end(action.key, "refused", refusal.as_result())
        except Exception as error:
            log.exception("action %s: %s raised", action.key, action.tool)
            self._end(action.key, "unknown", {"reason": f"{type(error).__name__}: {error}"})
        else:
            self._end(action.key, "done", result)
        finally:
            self._journal.let_go(action.key)

    def _end(self, key: str, status: Any, result: Any) -> None:
        now = self._clock()
        try:
            self._journal.finish(key, status, result, now)
        except UsageError:
            if status == "done":  # it was given up as too slow: now its end is known
                self._journal.resolve(key, "done", result, now)
        except StoreError:  # the action stays `running`, and the session's next turn finds out
            log.exception("action %s has ended (%s) and that could not be written down", key, status)

    def _looked_up(self, action: Action, shopper: Shopper, otherwise: Any) -> Action:
        """What the tool knows of an action whose end was not seen: done, or `otherwise` where it knows of none (None: as it was)."""
        try:
            tool, ready = self._toolbox.checked(action.tool, action.arguments, shopper)
            if tool.lookup is None:
                return action
            result = self._toolbox.apply_in_time(tool, tool.lookup, ready, shopper, action.key)
        except Refusal:  # the shop's data have changed since: what became of it, a person must find out
            return action
        except Exception:
            log.exception("action %s: the lookup of %s raised", action.key, action.tool)
            return action
        if result is None and otherwise is None:
            return action
        status = otherwise if result is None else "done"
        return self._journal.resolve(
            action.key, status, None if result is None else wire.to_json(result), self._clock()
        )


def _as_call(action: Action) -> ToolCall:
    result = action.preview if action.status == "proposed" else action.result
    status: Any = _STATUS.get(action.status, action.status)
    return ToolCall(action.tool, action.arguments, status, result, action.key)
