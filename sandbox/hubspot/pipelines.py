"""Pipelines and stages, owners, account details: what records refer to. Source: HubSpot "Pipelines", "Owners"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from . import wire
from .catalogue import DEAL_STAGES, LIFECYCLE_ORDER, TICKET_STAGES
from .errors import ApiError, invalid_json, missing_fields, validation


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. Every metadata value is text, `isClosed` and `probability` too."""

    id: str
    label: str
    order: int
    metadata: tuple[tuple[str, str], ...]
    created: int = 0
    updated: int = 0
    archived: bool = False

    def meta(self, name: str) -> str:
        """One metadata value, empty if absent."""
        return dict(self.metadata).get(name, "")

    def as_json(self) -> dict[str, Any]:
        """The stage as the API shows it."""
        return {
            "label": self.label,
            "displayOrder": self.order,
            "metadata": dict(self.metadata),
            "id": self.id,
            "createdAt": wire.iso(self.created),
            "updatedAt": wire.iso(self.updated),
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            "archived": self.archived,
        }


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline with its stages in order."""

    id: str
    label: str
    order: int
    stages: tuple[Stage, ...]
    created: int = 0
    updated: int = 0
    archived: bool = False

    def stage(self, stage_id: str) -> Stage:
        """A stage by id. Raises 404."""
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise _not_found("stage", stage_id)

    def as_json(self) -> dict[str, Any]:
        """The pipeline as the API shows it."""
        return {
            "label": self.label,
            "displayOrder": self.order,
            "id": self.id,
            "stages": [stage.as_json() for stage in self.stages],
            "createdAt": wire.iso(self.created),
            "updatedAt": wire.iso(self.updated),
            "archived": self.archived,
        }


class Pipelines:
    """The pipelines of every type that has some."""

    REQUIRED = {"deals": "probability", "tickets": "ticketState"}

    def __init__(self) -> None:
        deal = tuple(
            Stage(i, label, n, (("isClosed", str(closed).lower()), ("probability", probability)))
            for n, (i, label, probability, closed) in enumerate(DEAL_STAGES)
        )
        ticket = tuple(
            Stage(i, label, n, (("isClosed", str(state == "CLOSED").lower()), ("ticketState", state)))
            for n, (i, label, state) in enumerate(TICKET_STAGES)
        )
        lifecycle = tuple(
            Stage(i, i.capitalize(), n, (("isClosed", "false"), ("state", "OPEN")))
            for n, i in enumerate(LIFECYCLE_ORDER)
        )
        self.by_type: dict[str, dict[str, Pipeline]] = {
            "deals": {"default": Pipeline("default", "Sales Pipeline", 0, deal)},
            "tickets": {"0": Pipeline("0", "Support Pipeline", 0, ticket)},
            "contacts": {
                "contacts-lifecycle-pipeline": Pipeline(
                    "contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline", 0, lifecycle
                )
            },
            "companies": {
                "companies-lifecycle-pipeline": Pipeline(
                    "companies-lifecycle-pipeline", "Lifecycle Stage Pipeline", 0, lifecycle
                )
            },
        }
        self.audits: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
        self.next_id = 700_000_001

    def copy(self) -> Pipelines:
        """A copy that later writes do not reach."""
        twin = Pipelines.__new__(Pipelines)
        twin.by_type = {name: found.copy() for name, found in self.by_type.items()}
        twin.audits = {key: list(found) for key, found in self.audits.items()}
        twin.next_id = self.next_id
        return twin

    def of(self, type_name: str) -> dict[str, Pipeline]:
        """Pipelines of a type that are not archived; none is no error."""
        return {key: found for key, found in self.by_type.get(type_name, {}).items() if not found.archived}

    def get(self, type_name: str, pipeline_id: str) -> Pipeline:
        """A pipeline by id. Raises 404."""
        found = self.of(type_name).get(pipeline_id)
        if found is None:
            raise _not_found("pipeline", pipeline_id)
        return found

    def stages(self, type_name: str) -> dict[str, tuple[Pipeline, Stage]]:
        """Every live stage of a type, by id."""
        return {
            stage.id: (pipeline, stage)
            for pipeline in self.of(type_name).values()
            for stage in pipeline.stages
            if not stage.archived
        }

    def put(self, type_name: str, pipeline: Pipeline, action: str, now: int, stage: str | None = None) -> None:
        """Store a pipeline and note the change for the audit."""
        self.by_type.setdefault(type_name, {})[pipeline.id] = pipeline
        entry = {
            "identifier": stage or pipeline.id,
            "action": action,
            "timestamp": wire.iso(now),
            "rawObject": None,
            "fromUserId": None,
            "message": f"{action} of {'stage' if stage else 'pipeline'} {stage or pipeline.id}",
        }
        self.audits.setdefault((type_name, pipeline.id, stage), []).append(
            {key: value for key, value in entry.items() if value is not None}
        )

    def create(self, type_name: str, document: dict[str, Any], now: int) -> Pipeline:
        """`POST /pipelines/{type}`. Raises 400."""
        made = self._pipeline(type_name, document, now, None)
        self.put(type_name, made, "CREATE", now)
        return made

    def replace(self, type_name: str, pipeline_id: str, document: dict[str, Any], now: int) -> Pipeline:
        """`PUT /pipelines/{type}/{id}`: label, order and all stages anew."""
        before = self.get(type_name, pipeline_id)
        made = self._pipeline(type_name, document, now, before)
        self.put(type_name, made, "UPDATE", now)
        return made

    def patch(self, type_name: str, pipeline_id: str, document: dict[str, Any], now: int) -> Pipeline:
        """`PATCH /pipelines/{type}/{id}`: label and order."""
        before = self.get(type_name, pipeline_id)
        made = replace(
            before,
            label=_text(document.get("label", before.label), "label"),
            order=_whole(document.get("displayOrder", before.order)),
            archived=bool(document.get("archived", before.archived)),
            updated=now,
        )
        self.put(type_name, made, "UPDATE", now)
        return made

    def remove(self, type_name: str, pipeline_id: str, now: int) -> None:
        """`DELETE /pipelines/{type}/{id}`."""
        found = self.get(type_name, pipeline_id)
        self.put(type_name, replace(found, archived=True, updated=now), "DELETE", now)

    def create_stage(self, type_name: str, pipeline_id: str, document: dict[str, Any], now: int) -> Stage:
        """`POST .../stages`. Raises 400."""
        pipeline = self.get(type_name, pipeline_id)
        made = self._stage(type_name, document, now, None)
        if made.id in self.stages(type_name):
            raise validation(f"A stage with the id {made.id} already exists")
        self._put_stages(type_name, pipeline, (*pipeline.stages, made), now, "CREATE", made.id)
        return made

    def change_stage(
        self, type_name: str, pipeline_id: str, stage_id: str, document: dict[str, Any], now: int, *, whole: bool
    ) -> Stage:
        """`PATCH` (some members) or `PUT` (`whole`: all of them) of a stage."""
        pipeline = self.get(type_name, pipeline_id)
        before = pipeline.stage(stage_id)
        if not whole:
            document = {
                "label": before.label,
                "displayOrder": before.order,
                **document,
                "metadata": {**dict(before.metadata), **_object(document.get("metadata", {}))},
            }
        made = self._stage(type_name, document, now, before)
        stages = tuple(made if stage.id == stage_id else stage for stage in pipeline.stages)
        self._put_stages(type_name, pipeline, stages, now, "UPDATE", stage_id)
        return made

    def remove_stage(self, type_name: str, pipeline_id: str, stage_id: str, in_use_by: Iterable[int], now: int) -> None:
        """`DELETE` of a stage. Raises 400 STAGE_ID_IN_USE while records stand in it."""
        pipeline = self.get(type_name, pipeline_id)
        pipeline.stage(stage_id)
        self.refuse_in_use([stage_id], in_use_by)
        self._put_stages(
            type_name, pipeline, tuple(s for s in pipeline.stages if s.id != stage_id), now, "DELETE", stage_id
        )

    @staticmethod
    def refuse_in_use(stage_ids: list[str], record_ids: Iterable[int]) -> None:
        """Raises 400 STAGE_ID_IN_USE if there are such records."""
        found = [str(record_id) for record_id in record_ids]
        if found:
            raise validation(
                f"Stage IDs {', '.join(stage_ids)} are being referenced by object IDs {', '.join(found[:10])}",
                sub_category="PipelineError.STAGE_ID_IN_USE",
                context={"stageId": stage_ids, "objectIds": found[:100]},
            )

    def _put_stages(
        self, type_name: str, pipeline: Pipeline, stages: tuple[Stage, ...], now: int, action: str, stage_id: str
    ) -> None:
        ordered = tuple(sorted(stages, key=lambda stage: stage.order))
        self.put(type_name, replace(pipeline, stages=ordered, updated=now), action, now, stage_id)

    def _pipeline(self, type_name: str, document: dict[str, Any], now: int, before: Pipeline | None) -> Pipeline:
        missing = [key for key in ("label", "displayOrder", "stages") if key not in document]
        if missing:
            raise missing_fields(missing)
        given = document["stages"]
        if not isinstance(given, list):
            raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `stages`")
        known = {stage.label: stage for stage in before.stages} if before else {}
        label = _text(document["label"], "label")
        if any(p.label == label and (before is None or p.id != before.id) for p in self.of(type_name).values()):
            raise validation(
                f"A pipeline with the label '{label}' already exists", sub_category="PipelineError.DUPLICATE_LABEL"
            )
        stages = [self._stage(type_name, _object(s), now, known.get(str(_object(s).get("label")))) for s in given]
        if len({stage.label for stage in stages}) < len(stages):
            raise validation(
                "Stage labels must be unique within a pipeline", sub_category="PipelineError.DUPLICATE_LABEL"
            )
        return Pipeline(
            before.id if before else str(document.get("pipelineId") or self._take()),
            label,
            _whole(document["displayOrder"]),
            tuple(sorted(stages, key=lambda stage: stage.order)),
            before.created if before else now,
            now,
        )

    def _stage(self, type_name: str, document: dict[str, Any], now: int, before: Stage | None) -> Stage:
        missing = [key for key in ("label", "displayOrder", "metadata") if key not in document]
        if missing:
            raise missing_fields(missing)
        metadata = {str(key): _plain(value) for key, value in _object(document["metadata"]).items()}
        needed = self.REQUIRED.get(type_name)
        if needed and needed not in metadata:
            raise validation(f"Stage metadata needs '{needed}'", sub_category="PipelineError.REQUIRED_METADATA_MISSING")
        if needed == "probability":
            try:
                probability = float(metadata["probability"])
            except ValueError:
                probability = -1.0
            if not 0 <= probability <= 1:
                raise validation(
                    f"Stage probability must be between 0.0 and 1.0, not {metadata['probability']}",
                    sub_category="PipelineError.INVALID_METADATA",
                )
            metadata.setdefault("isClosed", str(probability in (0.0, 1.0)).lower())
        return Stage(
            before.id if before else str(document.get("stageId") or self._take()),
            _text(document["label"], "label"),
            _whole(document["displayOrder"]),
            tuple(sorted(metadata.items())),
            before.created if before else now,
            now,
        )

    def _take(self) -> str:
        self.next_id += 1
        return str(self.next_id - 1)


@dataclass(frozen=True, slots=True)
class Owner:
    """A person who can own records. `id` goes into `hubspot_owner_id`; `user_id` never does."""

    id: int
    user_id: int
    email: str
    first_name: str
    last_name: str
    created: int
    updated: int
    archived: bool = False
    teams: tuple[tuple[str, str, bool], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The owner as the API shows it; an archived one has no current user."""
        shown: dict[str, Any] = {
            "id": str(self.id),
            "email": self.email,
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": None if self.archived else self.user_id,
            "userIdIncludingInactive": self.user_id,
            "createdAt": wire.iso(self.created),
            "updatedAt": wire.iso(self.updated),
            "archived": self.archived,
        }
        if self.teams:
            shown["teams"] = [{"id": team, "name": name, "primary": primary} for team, name, primary in self.teams]
        return shown


def _not_found(what: str, given: str) -> ApiError:
    return ApiError(
        404,
        f"Unable to find {what} with {what} ID '{given}'",
        "OBJECT_NOT_FOUND",
        sub_category=f"PipelineError.{what.upper()}_NOT_FOUND",
        context={f"{what}Id": [given]},
    )


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_json("Cannot deserialize value of type `java.util.LinkedHashMap`")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise validation(f"{name} must be a non-empty string")
    return value


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_json("Cannot deserialize value of type `int` for `displayOrder`")
    return value
