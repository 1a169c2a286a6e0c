/* The slow ways of a line: what it means for a window, when not everything about it is plain. */
#include "hotpath.h"

#include <math.h>

/* --- values ------------------------------------------------------------------------------------------------------- */

static bool is_timed_gauge(const group *group) { return group->kind == GAUGE && group->timestamp != NO_TIMESTAMP; }

static void take_value(hotpath *self, cell *cell, const group *group, const value *value) {
    budget *memory = &self->registry.memory;
    if (group->kind == SET) {
        cell_add_member(cell, value->text, self->now, memory);
        return;
    }
    double number = value->number, at = is_timed_gauge(group) ? (double)group->timestamp : self->now;
    if (value->relative) number = saturate(cell->last + number);
    cell_add(cell, group->kind, number, group->weight, at, memory);
    if (group->kind == GAUGE) cell->received = self->now;
}

static void take_values(hotpath *self, cell *cell, const group *group, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) take_value(self, cell, group, &group->values[i]);
}

/* --- timestamps --------------------------------------------------------------------------------------------------- */

enum fate { KEPT, KEPT_LATE, LOST };

/* Says what a timestamp makes of a sample; LOST comes with its reason. `known_at`: time of a gauge's newest value; a time
 * of whole seconds is as new as any in its second. */
static enum fate fate_of(const hotpath *self, const group *group, double known_at, int *reason) {
    int64_t time = group->timestamp;
    if (time == NO_TIMESTAMP) return KEPT;
    bool is_inside = time >= self->open.start && time < self->open.start + self->settings.window_seconds;
    if (!is_inside && (double)time < self->now - self->settings.max_age) *reason = TOO_OLD;
    else if (!is_inside && (double)time > self->now + TIMESTAMP_AHEAD) *reason = TOO_FAR_AHEAD;
    else if (group->kind == GAUGE && (double)time < floor(known_at)) *reason = LATE_GAUGE;
    else return is_inside ? KEPT : KEPT_LATE;
    return LOST;
}

/* --- where a group goes ------------------------------------------------------------------------------------------- */

static void hold_gauge(hotpath *self, provisional *waiting, const group *group) {
    size_t absolute = 0;
    if (waiting->cell->samples == 0)
        while (absolute < group->count && group->values[absolute].relative) absolute++;
    if (absolute > 0 && waiting->relative == NULL)
        waiting->relative = cell_new(&self->registry.cells, &self->registry.memory);
    if (waiting->relative != NULL) take_values(self, waiting->relative, group, 0, absolute);
    take_values(self, waiting->cell, group, absolute, group->count);
    if (!is_timed_gauge(group)) waiting->untimed = true;
}

double waiting_at(const provisional *waiting) {
    const cell *newest = waiting->cell->samples > 0 || waiting->relative == NULL ? waiting->cell : waiting->relative;
    return newest->last_at;
}

/* Lets what an overflow series takes of a gauge differ from now on; without memory it does not. */
static void part(hotpath *self, provisional *waiting) {
    provisional *made = waiting->overflow == NULL ? provisional_new(self) : NULL;
    if (made == NULL) return;
    cell *cell = made->cell;
    *made = *waiting;
    made->older = NULL;
    made->cell = cell;
    *cell = *waiting->cell;
    waiting->overflow = made;
}

static void hold_as(hotpath *self, const group *group, enum fate fate, int reason, provisional *waiting) {
    if (fate == LOST) {
        waiting->dropped[reason - TOO_OLD] += (uint32_t)group->count;
        return;
    }
    waiting->late += fate == KEPT_LATE ? (uint32_t)group->count : 0;
    if (group->kind == GAUGE) hold_gauge(self, waiting, group);
    else take_values(self, waiting->cell, group, 0, group->count);
}

/* Lets a group wait, of a line or of samples that an overflow series rejects if they have deltas. */
static void hold_group(hotpath *self, const group *group, provisional *waiting, bool has_deltas) {
    int reason = 0;
    enum fate fate = fate_of(self, group, waiting_at(waiting), &reason);
    if (has_deltas || (fate == LOST && reason == LATE_GAUGE)) part(self, waiting);
    hold_as(self, group, fate, reason, waiting);
    if (waiting->overflow == NULL || has_deltas) return;
    fate = fate_of(self, group, -INFINITY, &reason);
    hold_as(self, group, fate, reason, waiting->overflow);
}

/* Returns the cell that takes an answered identity's samples, and remembers it there. An identity that found no room to
 * wait for its name is NULL: its cell is the catch-all's. NULL: there is no memory. */
static cell *place(hotpath *self, identity *identity, enum kind kind, bool *overflows) {
    cell *cell = NULL;
    if (identity == NULL) {
        *overflows = true;
        series_place(&self->registry, &self->open, self->registry.catch_all[kind], &cell);
        return cell;
    }
    if (identity->stamp != self->stamp || identity->cell == NULL) {
        const series *found = series_place(&self->registry, &self->open, identity->to.series, &cell);
        bool placed = found == identity->to.series;
        identity->cell = cell;
        identity->route = placed && !is_stand_in(identity) ? PLAIN : OVERFLOWS;
        if (found == self->registry.catch_all[kind]) identity->route = LAST_RESORT;
        identity->stamp = self->stamp;
    }
    *overflows = identity->route >= OVERFLOWS;
    return identity->cell;
}

/* An overflow series has values of many gauges: none is newer. */
double known_at(const identity *identity, const window *window) {
    return is_stand_in(identity) ? -INFINITY : gauge_known_at(identity->to.series, window);
}

static void add_group(hotpath *self, const group *group, identity *identity) {
    int reason = 0;
    double newest_at = identity && is_timed_gauge(group) ? known_at(identity, &self->open) : -INFINITY;
    enum fate fate = fate_of(self, group, newest_at, &reason);
    bool overflows = false;
    cell *cell = fate == LOST ? NULL : place(self, identity, group->kind, &overflows);
    counts *counts = &self->counts;
    counts->samples += group->count;
    if (cell == NULL) {
        counts->dropped[fate == LOST ? reason : SERIES_LIMIT] += group->count;
        return;
    }
    counts->open += group->count;
    counts->overflow += overflows ? group->count : 0;
    counts->unnamed += identity == NULL || identity->route == LAST_RESORT ? group->count : 0;
    counts->late += fate == KEPT_LATE ? group->count : 0;
    take_values(self, cell, group, 0, group->count);
}

/* --- a line is all or nothing ------------------------------------------------------------------------------------- */

static bool has_deltas(const group *group) {
    for (size_t i = 0; i < group->count; i++)
        if (group->values[i].relative) return true;
    return false;
}

/* Looks at a group before anything of its line is taken; returns the reason against it. */
static int admit_group(hotpath *self, const group *group) {
    identity *identity = group->identity;
    if (identity != NULL && identity->state == SUNK) identity->stamp = self->stamp; /* in use */
    if (identity != NULL && identity->state == SUNK && identity->to.sink.rejects) return identity->to.sink.reason;
    if ((identity != NULL && identity->state != RESOLVED) || !has_deltas(group)) return NO_REASON;
    bool overflows;
    cell *cell = place(self, identity, group->kind, &overflows);
    return cell == NULL || overflows ? SERIES_LIMIT : NO_REASON;
}

static void hold(hotpath *self, const group *group, bool line_has_deltas) {
    identity *identity = group->identity;
    hold_group(self, group, identity->to.waiting, line_has_deltas);
    identity->stamp = self->stamp;
    identity->route = WAITS;
    identity->cell = group->kind == GAUGE ? NULL : identity->to.waiting->cell;
}

/* Lets a group wait of a line that is accepted, since it has other identities as well. */
static void hold_shared(hotpath *self, const group *group) {
    const identity *identity = group->identity;
    provisional *waiting = identity->to.waiting;
    bool is_relative = has_deltas(group);
    hold(self, group, is_relative);
    waiting->shared += (uint32_t)group->count;
    if (waiting->overflow != NULL && !is_relative) waiting->overflow->shared += (uint32_t)group->count;
}

/* Lets a line wait, all groups of which have one identity. */
static void hold_line(hotpath *self, const line *line, provisional *waiting) {
    bool is_relative = false;
    for (size_t i = 0; i < line->count; i++) is_relative |= has_deltas(&line->groups[i]);
    for (size_t i = 0; i < line->count; i++) hold(self, &line->groups[i], is_relative);
    waiting->lines++;
    if (waiting->overflow != NULL && !is_relative) waiting->overflow->lines++;
}

static void take_group(hotpath *self, const group *group) {
    identity *identity = group->identity;
    if (identity == NULL || identity->state == RESOLVED) {
        add_group(self, group, identity);
    } else if (identity->state == SUNK) {
        self->counts.samples += group->count;
        self->counts.dropped[identity->to.sink.reason] += group->count;
    } else {
        hold_shared(self, group);
    }
}

/* Takes the groups of a line. One of a single identity waits with it, one of several is accepted although a name may be
 * new. */
static void take_groups(hotpath *self, const line *line) {
    const identity *first = line->groups[0].identity;
    bool waits = first != NULL && first->state == WAITING;
    for (size_t i = 0; i < line->count; i++) {
        self->counts.sections_ignored += line->groups[i].ignored;
        waits &= line->groups[i].identity == first;
    }
    if (waits) {
        hold_line(self, line, first->to.waiting);
        return;
    }
    self->counts.received++;
    self->counts.accepted++;
    for (size_t i = 0; i < line->count; i++) take_group(self, &line->groups[i]);
}

void take_line(hotpath *self, const line *line, span text, const peer *peer) {
    for (size_t i = 0; i < line->count; i++) {
        group *group = &line->groups[i];
        size_t waiting = self->queue.waiting;
        group->identity = meet_identity(self, group->kind, line->name, group->tags);
        if (self->queue.waiting > waiting) self->counts.tags_unread += group->unread;
        bool has_room = group->identity != NULL && !is_stand_in(group->identity);
        if (self->queue.waiting > waiting || !has_room) add_newcomer(self, peer, line->name, group->tags);
    }
    for (size_t i = 0; i < line->count; i++) {
        int reason = admit_group(self, &line->groups[i]);
        if (reason != NO_REASON) {
            self->counts.received++;
            rejects_add(&self->rejects, text, reason, peer, self->now);
            return;
        }
    }
    take_groups(self, line);
}
