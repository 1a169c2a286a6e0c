"""The four formats of an answer with refused points, as the API documents and SDKs show them."""

from __future__ import annotations

import json
from typing import Any, Final

SHAPES: Final = (1, 2, 3, 4)


def partial_failure(shape: int, bad: list[tuple[dict[str, Any], str]], request_id: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of an answer that lists bad points.

    1: errMetricDataList with the point as a text; 2: the same with an object; 3: the key ErrMetricData and an error,
    with status 400; 4: metricDataList with `data`, and an error.
    """
    entries: list[dict[str, Any]]
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "some points are invalid"}
    match shape:
        case 1:
            entries = [{"errMetricData": json.dumps(point), "errDetail": detail} for point, detail in bad]
            return 200, _body(request_id, {"errMetricDataList": entries, "success": False})
        case 2:
            entries = [{"errMetricData": point, "errDetail": detail} for point, detail in bad]
            return 200, _body(request_id, {"errMetricDataList": entries, "success": False})
        case 3:
            entries = [{"ErrMetricData": json.dumps(point), "ErrDetail": detail} for point, detail in bad]
            return 400, {**_body(request_id, {"errMetricDataList": entries, "success": False}), "error": error}
        case _:
            entries = [{"data": point, "errDetail": detail} for point, detail in bad]
            return 200, {**_body(request_id, {"metricDataList": entries, "success": False}), "error": error}


def _body(request_id: str, result: dict[str, Any]) -> dict[str, Any]:
    return {"requestId": request_id, "result": result}


def failure(status: int, name: str, message: str, request_id: str) -> dict[str, Any]:
    """Return the body of an answer that refuses the whole request."""
    return {"requestId": request_id, "error": {"code": status, "status": name, "message": message}}
