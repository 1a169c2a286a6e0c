/* Applies the answers of naming: an identity becomes an alias of its series, or has none, and its pending samples are
 * merged, dropped or rejected. */
#include "hotpath.h"

#include <math.h>

#define SWEPT_SLOTS 10000 /* in each call of hotpath_unresolved, ten times a second: a fraction of a millisecond */
#define RELEASED_ENTRIES 10000
#define SETTLED_GAUGES 10000 /* 1 to 2 ms */
#define ABANDONED_NAMES 10000 /* 2 to 3 ms */

/* --- answers ------------------------------------------------------------------------------------------------------ */

size_t hotpath_unresolved(hotpath *self, identity **found, size_t most) {
    hotpath_lock(self);
    sweep_aliases(self, SWEPT_SLOTS);
    release_discarded(self, RELEASED_ENTRIES);
    queue *queue = self->closing_queue.length ? &self->closing_queue : &self->queue;
    size_t count = queue_peek(queue, found, most);
    hotpath_unlock(self);
    return count;
}

bool hotpath_settled(hotpath *self) {
    hotpath_lock(self);
    bool settled = self->closing_queue.length == 0 && update_gauges(self, SETTLED_GAUGES);
    hotpath_unlock(self);
    return settled;
}

/* Adds the base to the relative samples of a gauge, and merges them into `pending->cell`. */
static void rebase_gauge(hotpath *self, pending_samples *pending, double base) {
    if (pending->relative == NULL) return;
    cell_shift(pending->relative, base);
    cell absolute = *pending->cell;
    cell_merge(pending->cell, pending->relative, GAUGE, &self->registry.memory);
    if (absolute.samples > 0) cell_adopt_last(pending->cell, &absolute);
}

static void merge_pending_gauge(hotpath *self, pending_samples *pending, const series *series, const window *window,
                                cell *cell) {
    rebase_gauge(self, pending, cell->samples ? cell->last : gauge_base(series, window));
    cell_merge_gauge(cell, pending->cell);
}

/* Counts samples as accepted and dropped. */
static void drop(hotpath *self, int reason, uint64_t samples) {
    self->counts.samples += samples;
    self->counts.dropped[reason] += samples;
}

/* Rejects the pending lines with deltas, because their gauge has no series of its own. Deltas in lines with other
 * identities are dropped: these lines are accepted already. Returns the samples that are left. */
static pending_samples *reject_deltas(hotpath *self, const pending_samples *pending) {
    pending_samples *left = pending->overflow;
    self->rejects.counts[SERIES_LIMIT] += pending->lines - left->lines;
    drop(self, SERIES_LIMIT, pending->shared - left->shared);
    return left;
}

static uint64_t samples_of(const pending_samples *pending) {
    return pending->cell->samples + (pending->relative ? pending->relative->samples : 0);
}

/* Says whether all pending values of a gauge have timestamps, and a newer value is known by now. */
static bool is_outdated(const pending_samples *pending, const identity *identity, const window *window) {
    if (identity->kind != GAUGE || pending->untimed || samples_of(pending) == 0) return false;
    return pending_at(pending) < floor(identity_known_at(identity, window));
}

/* Accepts the pending lines, and counts the samples dropped for their timestamps. */
static void accept_lines(hotpath *self, const pending_samples *pending) {
    self->counts.accepted += pending->lines;
    for (int i = 0; i < TIMESTAMP_REASONS; i++) drop(self, TOO_OLD + i, pending->dropped[i]);
}

/* Merges pending samples into the cell of their series, or of its overflow or catch-all series. */
static void merge_pending(hotpath *self, pending_samples *pending, series *wanted, window *window, bool stands_in) {
    cell *cell = NULL;
    series *placed = series_place(&self->registry, window, wanted, &cell);
    bool overflows = placed != wanted || stands_in || wanted == self->registry.catch_all[wanted->kind];
    if (overflows && pending->overflow != NULL) pending = reject_deltas(self, pending);
    accept_lines(self, pending);
    uint64_t samples = samples_of(pending);
    if (samples == 0) return;
    if (cell == NULL) {
        drop(self, SERIES_LIMIT, samples);
        return;
    }
    counts *counts = &self->counts;
    counts->samples += samples;
    counts->late += pending->late;
    counts->overflow += overflows ? samples : 0;
    counts->unnamed += placed == self->registry.catch_all[placed->kind] ? samples : 0;
    *(window == &self->open ? &counts->open : &counts->closing) += samples;
    if (placed->kind == GAUGE) merge_pending_gauge(self, pending, placed, window, cell);
    else cell_merge(cell, pending->cell, (enum kind)placed->kind, &self->registry.memory);
}

static bool needs_cell(const pending_samples *pending) { return samples_of(pending) > 0 || pending->overflow != NULL; }

/* Rejects the pending lines or drops their samples. Samples of lines with other identities are always dropped. */
static void drop_pending(hotpath *self, const pending_samples *pending, const identity *identity) {
    int reason = identity->to.no_series.reason;
    if (identity->to.no_series.rejects) {
        self->rejects.counts[reason] += pending->lines;
        drop(self, reason, pending->shared);
        return;
    }
    uint64_t samples = samples_of(pending);
    for (int i = 0; i < TIMESTAMP_REASONS; i++) samples += pending->dropped[i];
    self->counts.accepted += pending->lines;
    self->dropped_by_rule[identity->to.no_series.rule] += samples;
    drop(self, reason, samples);
}

static void settle_one(hotpath *self, pending_samples *pending, const identity *identity, window *window) {
    self->counts.received += pending->lines;
    if (identity->state == NO_SERIES) {
        drop_pending(self, pending, identity);
    } else if (is_outdated(pending, identity, window)) {
        accept_lines(self, pending);
        drop(self, LATE_GAUGE, samples_of(pending));
    } else if (needs_cell(pending)) {
        merge_pending(self, pending, identity->to.series, window, is_stand_in(identity));
    } else {
        accept_lines(self, pending);
    }
}

/* Makes an identity an alias, or one without a series; without memory for the series its reason is the limit. */
static void apply_answer(hotpath *self, identity *identity, const answer *answer) {
    identity->cell = NULL;
    identity->generation = self->generation;
    if (!answer->has_no_series) {
        series *series = series_intern(&self->registry, &answer->series);
        if (series != NULL) {
            struct series *overflow = series_intern(&self->registry, &answer->overflow);
            if (overflow != NULL) series_set_overflow(&self->registry, series, overflow);
            identity->state = RESOLVED;
            identity->to.series = series;
            retain_stand_in(self, identity);
            return;
        }
    }
    identity->state = NO_SERIES;
    identity->to.no_series.reason = answer->has_no_series ? answer->reason : SERIES_LIMIT;
    identity->to.no_series.rejects = !answer->has_no_series || answer->rejects;
    identity->to.no_series.rule = answer->has_no_series && answer->rule < RULES_COUNTED ? (uint16_t)answer->rule : 0;
}

/* The samples of the closing window are merged first: its gauges are the base of those of the open window. */
static void settle_pending(hotpath *self, identity *identity, pending_samples *pending) {
    pending_samples *in_order[] = {pending->older, pending};
    for (size_t i = 0; i < 2; i++) {
        if (in_order[i] == NULL) continue;
        bool is_open = in_order[i]->window == self->open.number;
        queue_remove(is_open ? &self->queue : &self->closing_queue, identity);
        settle_one(self, in_order[i], identity, is_open ? &self->open : &self->closing);
        pending_free(self, in_order[i], (enum kind)identity->kind);
    }
}

static void resolve(hotpath *self, const answer *answer) {
    uint64_t hash = identity_hash(&self->registry.key, answer->kind, answer->name, answer->tags);
    identity *identity = find_identity(self, hash, answer->kind, answer->name, answer->tags);
    pending_samples *pending = NULL;
    if (identity == NULL) {
        identity = identity_new(self, hash, answer->kind, answer->name, answer->tags, &self->aliases_memory);
        if (identity == NULL) return;
        count_alias(self, identity, 1);
    } else if (identity->state == PENDING) {
        pending = identity->to.pending;
        self->pending_memory.used -= identity_bytes(identity);
        self->aliases_memory.used += identity_bytes(identity);
        count_alias(self, identity, 1);
    } else if (identity->state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, identity->to.series);
    }
    apply_answer(self, identity, answer);
    if (pending != NULL) settle_pending(self, identity, pending);
    evict_aliases(self);
}

/* --- abandoned names ---------------------------------------------------------------------------------------------- */

static void remove_pending_identity(hotpath *self, identity *identity) {
    span name = name_of_identity(identity), tags = tags_of_identity(identity);
    uint64_t hash = identity_hash(&self->registry.key, (enum kind)identity->kind, name, tags);
    identity_remove(self, map_slot(&self->identities, hash, identity), &self->pending_memory);
}

/* An identity that is pending in the open window too stays pending there. */
static void abandon_name(hotpath *self, identity *identity) {
    pending_samples *newest = identity->to.pending;
    pending_samples *late = newest->window == self->open.number ? newest->older : newest;
    enum kind kind = (enum kind)identity->kind;
    self->counts.received += late->lines;
    if (needs_cell(late)) merge_pending(self, late, self->registry.catch_all[kind], &self->closing, false);
    else accept_lines(self, late);
    pending_free(self, late, kind);
    if (late == newest) remove_pending_identity(self, identity);
    else newest->older = NULL;
}

bool hotpath_abandon_names(hotpath *self) {
    hotpath_lock(self);
    queue *queue = &self->closing_queue;
    for (size_t most = ABANDONED_NAMES; most > 0 && queue->length > 0; queue->first++) {
        identity *identity = queue->items[queue->first];
        if (identity == NULL) continue;
        queue_remove_at(queue, queue->first);
        abandon_name(self, identity);
        most--;
    }
    bool settled = queue->length == 0 && update_gauges(self, SETTLED_GAUGES);
    hotpath_unlock(self);
    return settled;
}

void hotpath_resolve(hotpath *self, const answer *answers, size_t count) {
    hotpath_lock(self);
    for (size_t i = 0; i < count; i++) resolve(self, &answers[i]);
    hotpath_unlock(self);
}
