"""The tables of which a configuration has any number: `[[rule]]` and `[[tee]]`. What they must be: elements.py."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct, field

from relay.config.types import help_


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What names are to become; of all rules the first that matches a name is followed."""

    match: Annotated[
        str, help_("names, part by part: * is one part, ** at the end is one or more; each is a capture: $1, $2")
    ] = ""
    regex: Annotated[
        str, help_("instead of match: found anywhere in the name unless ^ and $ hold it; groups are $1")
    ] = ""
    type: Annotated[
        Literal["", "counter", "timer", "gauge", "set"], help_("metrics of this type alone; empty: of every type")
    ] = ""
    metric: Annotated[str, help_('what the metric is called, as in "web.$2"; empty: as before')] = ""
    tags: Annotated[dict[str, str], help_('tags to set, as in { service = "$1" }')] = field(default_factory=dict)
    keep_tags: Annotated[list[str], help_("tags of the line that are sent first when there are too many")] = field(
        default_factory=list
    )
    drop_tags: Annotated[list[str], help_('tags of the line to remove; "*": all that are not in keep_tags')] = field(
        default_factory=list
    )
    rename_tags: Annotated[dict[str, str], help_('tags of the line to rename, as in { old = "new" }')] = field(
        default_factory=dict
    )
    namespace: Annotated[str, help_("namespace in Cloud Monitor; empty: that of [cloud]")] = ""
    action: Annotated[Literal["map", "drop"], help_("drop: samples are counted as dropped, and go nowhere")] = "map"


class Tee(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a copy of every datagram goes, as it came."""

    to: Annotated[str, help_("HOST:PORT over UDP")] = ""
