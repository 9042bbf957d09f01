"""Where every audit stands, by the digest of its thresholds; on disk where a folder is given."""

from __future__ import annotations

from pathlib import Path

import yaml

from a1_core.audit import (
    AuditRule,
    AuditState,
    audit_from_mapping,
    audit_to_mapping,
    begin_audit,
    observe_episode,
)
from a1_core.errors import ThresholdsError
from a1_core.strict_yaml import read_mapping
from a1_core.whole_file import write_whole
from a1_policy_node.shadow import EpisodeAudit


class AuditBook:
    """States of audits. Without a folder they are lost with the book.

    Attributes:
        unwritten: why the newest state is not on disk, with the mend; empty when it is.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._states: dict[str, AuditState] = {}
        self._losses: dict[str, float] = {}
        self.unwritten = ""

    def state(self, rule: AuditRule, setting: int) -> AuditState:
        """Where the audit of a rule stands; one that begins does so with `setting`.

        Raises ThresholdsError when the file of the audit is damaged, belongs to another rule, or
        names a setting beyond that one.
        """
        state = self._states.get(rule.thresholds)
        path = self._path(rule)
        if state is None and path is not None and path.exists():
            state = audit_from_mapping(read_mapping(path, ThresholdsError), rule, str(path))
            if state.setting > setting:
                raise ThresholdsError(
                    f"{path}.setting: is {state.setting}, the thresholds have 0 to {setting}; "
                    "remove the file to begin a new audit"
                )
        return self._states.setdefault(rule.thresholds, state or begin_audit(rule, setting))

    def note(self, episode: EpisodeAudit) -> bool:
        """Bet on an episode, and keep the outcome; whether it raised the alarm.

        An episode under a setting that is no longer in force counts as not audited.
        """
        rule = episode.rule
        before = self._states[rule.thresholds]
        loss = episode.loss if episode.setting == before.setting else None
        after = self._states[rule.thresholds] = observe_episode(rule, before, loss)
        if loss is not None:
            self._losses[rule.thresholds] = loss
        self._write(rule, after)
        return after.alarms > before.alarms

    def last_loss(self, rule: AuditRule) -> float | None:
        """Loss of the newest audited episode since the book was opened."""
        return self._losses.get(rule.thresholds)

    def _path(self, rule: AuditRule) -> Path | None:
        return None if self._folder is None else self._folder / f"{rule.thresholds}.yaml"

    def _write(self, rule: AuditRule, state: AuditState) -> None:
        path = self._path(rule)
        if path is None:
            return
        try:
            write_whole(path, yaml.safe_dump(audit_to_mapping(rule, state), sort_keys=False))
        except OSError as why:
            self.unwritten = (
                f"{path} cannot be written ({why.strerror}): what the audit found is lost at the "
                "next start; make room or set audit_folder to another place"
            )
            return
        self.unwritten = ""
