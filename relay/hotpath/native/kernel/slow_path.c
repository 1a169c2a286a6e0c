/* The slow path: adds a line to a window if the fast path cannot.
 *
 * Lines come here with a new or pending identity, with several values or groups, with a timestamp, and with deltas
 * for an overflow series. A line is added or rejected as a whole. */
#include "hotpath.h"

#include <math.h>

/* --- values ------------------------------------------------------------------------------------------------------- */

static bool is_timed_gauge(const group *group) { return group->kind == GAUGE && group->timestamp != NO_TIMESTAMP; }

static void add_value(hotpath *self, cell *cell, const group *group, const value *value) {
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

static void add_values(hotpath *self, cell *cell, const group *group, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) add_value(self, cell, group, &group->values[i]);
}

/* --- timestamps --------------------------------------------------------------------------------------------------- */

enum timing { ON_TIME, LATE, DROPPED };

/* Checks the timestamp of samples, and sets the reason if they are DROPPED. `known_at` is the time of the gauge's
 * newest value. A timestamp has whole seconds: it counts as equal to every time within its second. */
static enum timing check_timestamp(const hotpath *self, const group *group, double known_at, int *reason) {
    int64_t time = group->timestamp;
    if (time == NO_TIMESTAMP) return ON_TIME;
    bool is_inside = time >= self->open.start && time < self->open.start + self->settings.window_seconds;
    if (!is_inside && (double)time < self->now - self->settings.max_age) *reason = TOO_OLD;
    else if (!is_inside && (double)time > self->now + TIMESTAMP_AHEAD) *reason = TOO_FAR_AHEAD;
    else if (group->kind == GAUGE && (double)time < floor(known_at)) *reason = LATE_GAUGE;
    else return is_inside ? ON_TIME : LATE;
    return DROPPED;
}

/* --- pending samples and cells ------------------------------------------------------------------------------------ */

static void hold_gauge(hotpath *self, pending_samples *pending, const group *group) {
    size_t absolute = 0;
    if (pending->cell->samples == 0)
        while (absolute < group->count && group->values[absolute].relative) absolute++;
    if (absolute > 0 && pending->relative == NULL)
        pending->relative = cell_new(&self->registry.cells, &self->registry.memory);
    if (pending->relative != NULL) add_values(self, pending->relative, group, 0, absolute);
    add_values(self, pending->cell, group, absolute, group->count);
    if (!is_timed_gauge(group)) pending->untimed = true;
}

double pending_at(const pending_samples *pending) {
    const cell *newest = pending->cell->samples > 0 || pending->relative == NULL ? pending->cell : pending->relative;
    return newest->last_at;
}

/* Begins to collect the samples for an overflow series separately; without memory it does not. */
static void split_overflow(hotpath *self, pending_samples *pending) {
    pending_samples *made = pending->overflow == NULL ? pending_new(self) : NULL;
    if (made == NULL) return;
    cell *cell = made->cell;
    *made = *pending;
    made->older = NULL;
    made->cell = cell;
    *cell = *pending->cell;
    pending->overflow = made;
}

static void hold_as(hotpath *self, const group *group, enum timing timing, int reason, pending_samples *pending) {
    if (timing == DROPPED) {
        pending->dropped[reason - TOO_OLD] += (uint32_t)group->count;
        return;
    }
    pending->late += timing == LATE ? (uint32_t)group->count : 0;
    if (group->kind == GAUGE) hold_gauge(self, pending, group);
    else add_values(self, pending->cell, group, 0, group->count);
}

/* Adds a group to pending samples. Lines with deltas are left out of the samples for an overflow series. */
static void hold_group(hotpath *self, const group *group, pending_samples *pending, bool has_deltas) {
    int reason = 0;
    enum timing timing = check_timestamp(self, group, pending_at(pending), &reason);
    if (has_deltas || (timing == DROPPED && reason == LATE_GAUGE)) split_overflow(self, pending);
    hold_as(self, group, timing, reason, pending);
    if (pending->overflow == NULL || has_deltas) return;
    timing = check_timestamp(self, group, -INFINITY, &reason);
    hold_as(self, group, timing, reason, pending->overflow);
}

/* Returns the cell that receives the samples of a resolved identity, and caches it there. For NULL, an identity that
 * found no room in the queue, it is the catch-all cell. Returns NULL without memory. */
static cell *place_identity(hotpath *self, identity *identity, enum kind kind, bool *overflows) {
    cell *cell = NULL;
    if (identity == NULL) {
        *overflows = true;
        series_place(&self->registry, &self->open, self->registry.catch_all[kind], &cell);
        return cell;
    }
    if (identity->generation != self->generation || identity->cell == NULL) {
        const series *found = series_place(&self->registry, &self->open, identity->to.series, &cell);
        bool placed = found == identity->to.series;
        identity->cell = cell;
        identity->route = placed && !is_stand_in(identity) ? TO_SERIES : TO_OVERFLOW;
        if (found == self->registry.catch_all[kind]) identity->route = TO_CATCH_ALL;
        identity->generation = self->generation;
    }
    *overflows = identity->route >= TO_OVERFLOW;
    return identity->cell;
}

/* Says whether a series has no cell in the open window, and another one took its samples. */
static bool series_overflows(const hotpath *self, const series *series) {
    const struct series *catch_all = self->registry.catch_all[series->kind];
    if (series == catch_all) return true;
    if (series_cell(series, &self->open) != NULL) return false;
    if (series->overflow != NULL && series_cell(series->overflow, &self->open) != NULL) return true;
    return series_cell(catch_all, &self->open) != NULL;
}

bool hotpath_overflows(hotpath *self, enum kind kind, span name, span tags) {
    hotpath_lock(self);
    const identity *found = find_identity(self, identity_hash(&self->registry.key, kind, name, tags), kind, name, tags);
    bool overflows = found == NULL || (found->state == RESOLVED && series_overflows(self, found->to.series));
    hotpath_unlock(self);
    return overflows;
}

double identity_known_at(const identity *identity, const window *window) {
    return is_stand_in(identity) ? -INFINITY : gauge_known_at(identity->to.series, window);
}

static void add_resolved_group(hotpath *self, const group *group, identity *identity) {
    int reason = 0;
    double newest_at = identity && is_timed_gauge(group) ? identity_known_at(identity, &self->open) : -INFINITY;
    enum timing timing = check_timestamp(self, group, newest_at, &reason);
    bool overflows = false;
    cell *cell = timing == DROPPED ? NULL : place_identity(self, identity, group->kind, &overflows);
    counts *counts = &self->counts;
    counts->samples += group->count;
    if (cell == NULL) {
        self->dropped = timing == DROPPED ? reason : SERIES_LIMIT;
        counts->dropped[self->dropped] += group->count;
        return;
    }
    counts->open += group->count;
    counts->overflow += overflows ? group->count : 0;
    counts->unnamed += identity == NULL || identity->route == TO_CATCH_ALL ? group->count : 0;
    counts->late += timing == LATE ? group->count : 0;
    add_values(self, cell, group, 0, group->count);
}

/* --- a line is all or nothing ------------------------------------------------------------------------------------- */

static bool has_deltas(const group *group) {
    for (size_t i = 0; i < group->count; i++)
        if (group->values[i].relative) return true;
    return false;
}

/* Returns the reason to reject a group, or NO_REASON; called before any sample of its line is added. */
static int check_group(hotpath *self, const group *group) {
    identity *identity = group->identity;
    if (identity != NULL && identity->state == NO_SERIES) {
        identity->generation = self->generation; /* in use */
        if (identity->to.no_series.rejects) return identity->to.no_series.reason;
    }
    if ((identity != NULL && identity->state != RESOLVED) || !has_deltas(group)) return NO_REASON;
    bool overflows;
    cell *cell = place_identity(self, identity, group->kind, &overflows);
    return cell == NULL || overflows ? SERIES_LIMIT : NO_REASON;
}

static void hold(hotpath *self, const group *group, bool line_has_deltas) {
    identity *identity = group->identity;
    hold_group(self, group, identity->to.pending, line_has_deltas);
    identity->generation = self->generation;
    identity->route = TO_PENDING;
    /* A tap gets every line that may be dropped: without a cached cell, each comes by the slow path. */
    identity->cell = group->kind == GAUGE || self->taps.is_open ? NULL : identity->to.pending->cell;
}

/* Adds a group to pending samples; its line has other identities too, and is accepted already. */
static void hold_shared(hotpath *self, const group *group) {
    const identity *identity = group->identity;
    pending_samples *pending = identity->to.pending;
    bool is_relative = has_deltas(group);
    hold(self, group, is_relative);
    pending->shared += (uint32_t)group->count;
    if (pending->overflow != NULL && !is_relative) pending->overflow->shared += (uint32_t)group->count;
}

/* Adds a line to pending samples; all its groups have one identity. */
static void hold_line(hotpath *self, const line *line, pending_samples *pending) {
    bool is_relative = false;
    for (size_t i = 0; i < line->count; i++) is_relative |= has_deltas(&line->groups[i]);
    for (size_t i = 0; i < line->count; i++) hold(self, &line->groups[i], is_relative);
    pending->lines++;
    if (pending->overflow != NULL && !is_relative) pending->overflow->lines++;
}

static void add_group(hotpath *self, const group *group) {
    identity *identity = group->identity;
    if (identity == NULL || identity->state == RESOLVED) {
        add_resolved_group(self, group, identity);
    } else if (identity->state == NO_SERIES) {
        self->counts.samples += group->count;
        self->dropped = identity->to.no_series.reason;
        self->counts.dropped[self->dropped] += group->count;
        self->dropped_by_rule[identity->to.no_series.rule] += group->count;
    } else {
        hold_shared(self, group);
    }
}

/* Adds the groups of a line; says whether any is pending. A line with one identity, which is pending, is counted once
 * its name is known. A line with several identities is accepted at once. */
static bool add_groups(hotpath *self, const line *line) {
    const identity *first = line->groups[0].identity;
    bool waits = first != NULL && first->state == PENDING, any_waits = false;
    for (size_t i = 0; i < line->count; i++) {
        const identity *identity = line->groups[i].identity;
        self->counts.sections_ignored += line->groups[i].ignored;
        waits &= identity == first;
        any_waits |= identity != NULL && identity->state == PENDING;
    }
    if (waits) {
        hold_line(self, line, first->to.pending);
        return true;
    }
    self->counts.received++;
    self->counts.accepted++;
    for (size_t i = 0; i < line->count; i++) add_group(self, &line->groups[i]);
    return any_waits;
}

/* Offers a line that has lost samples, or may lose them once its name is known. */
static void offer_dropped(hotpath *self, span text, const peer *peer, bool waits) {
    if (self->dropped == NO_REASON && !waits) return;
    enum tap_of of = self->dropped == NO_REASON ? TAP_UNDECIDED : TAP_DROPPED;
    taps_offer(&self->taps, line_trim(text), of, self->dropped, peer, self->now);
}

void slow_path_line(hotpath *self, const line *line, span text, const peer *peer) {
    for (size_t i = 0; i < line->count; i++) {
        group *group = &line->groups[i];
        size_t length = self->queue.length;
        group->identity = find_or_queue_identity(self, group->kind, line->name, group->tags);
        if (self->queue.length > length) self->counts.tags_unread += group->unread;
        bool has_room = group->identity != NULL && !is_stand_in(group->identity);
        if (self->queue.length > length || !has_room) count_sender(self, peer, line->name, group->tags);
    }
    for (size_t i = 0; i < line->count; i++) {
        int reason = check_group(self, &line->groups[i]);
        if (reason != NO_REASON) {
            reject_line(self, text, reason, peer);
            return;
        }
    }
    self->dropped = NO_REASON;
    bool waits = add_groups(self, line);
    if (UNLIKELY(self->taps.is_open)) offer_dropped(self, text, peer, waits);
}
