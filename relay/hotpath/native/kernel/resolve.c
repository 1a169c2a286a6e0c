/* Answers of naming: identities become aliases of a series or sinks, and are forgotten again. */
#include "hotpath.h"

#include <math.h>

#define SWEPT_SLOTS 10000 /* whenever naming asks, ten times a second: a fraction of a millisecond */
#define RELEASED_ENTRIES 10000
#define SETTLED_GAUGES 10000 /* 1 to 2 ms */
#define ABANDONED_NAMES 10000 /* 2 to 3 ms */

/* --- answers ------------------------------------------------------------------------------------------------------ */

size_t hotpath_unresolved(hotpath *self, identity **found, size_t most) {
    hotpath_lock(self);
    sweep_aliases(self, SWEPT_SLOTS);
    release_discarded(self, RELEASED_ENTRIES);
    queue *queue = self->closing_queue.waiting ? &self->closing_queue : &self->queue;
    size_t count = queue_peek(queue, found, most);
    hotpath_unlock(self);
    return count;
}

bool hotpath_settled(hotpath *self) {
    hotpath_lock(self);
    bool settled = self->closing_queue.waiting == 0 && settle_gauges(self, SETTLED_GAUGES);
    hotpath_unlock(self);
    return settled;
}

/* Puts the relative samples of a gauge on their base; the result is in `waiting->cell`. */
static void settle_gauge(hotpath *self, provisional *waiting, double base) {
    if (waiting->relative == NULL) return;
    cell_shift(waiting->relative, base);
    cell absolute = *waiting->cell;
    cell_merge(waiting->cell, waiting->relative, GAUGE, &self->registry.memory);
    if (absolute.samples > 0) cell_adopt_last(waiting->cell, &absolute);
}

static void join_gauge(hotpath *self, provisional *waiting, const series *series, const window *window, cell *cell) {
    settle_gauge(self, waiting, cell->samples ? cell->last : gauge_base(series, window));
    cell_join(cell, waiting->cell);
}

/* Counts samples as accepted and dropped. */
static void drop(hotpath *self, int reason, uint64_t samples) {
    self->counts.samples += samples;
    self->counts.dropped[reason] += samples;
}

/* Rejects lines with deltas: there is no room for their gauge. Deltas of lines with other identities, which are accepted,
 * are dropped. Returns what is left. */
static provisional *reject_deltas(hotpath *self, const provisional *waiting) {
    provisional *left = waiting->overflow;
    self->rejects.counts[SERIES_LIMIT] += waiting->lines - left->lines;
    drop(self, SERIES_LIMIT, waiting->shared - left->shared);
    return left;
}

static uint64_t samples_of(const provisional *waiting) {
    return waiting->cell->samples + (waiting->relative ? waiting->relative->samples : 0);
}

/* Says whether a gauge of which all values came with a time waited while a newer value of its series was known. */
static bool is_outdated(const provisional *waiting, const identity *identity, const window *window) {
    if (identity->kind != GAUGE || waiting->untimed || samples_of(waiting) == 0) return false;
    return waiting_at(waiting) < floor(known_at(identity, window));
}

/* Accepts the lines that waited, and counts what their times have cost. */
static void accept_lines(hotpath *self, const provisional *waiting) {
    self->counts.accepted += waiting->lines;
    for (int i = 0; i < LOST_REASONS; i++) drop(self, TOO_OLD + i, waiting->dropped[i]);
}

/* Moves what waited to the cell of its series, or of the one of last resort. */
static void join(hotpath *self, provisional *waiting, series *wanted, window *window, bool stands_in) {
    cell *cell = NULL;
    series *placed = series_place(&self->registry, window, wanted, &cell);
    bool overflows = placed != wanted || stands_in || wanted == self->registry.catch_all[wanted->kind];
    if (overflows && waiting->overflow != NULL) waiting = reject_deltas(self, waiting);
    accept_lines(self, waiting);
    uint64_t samples = samples_of(waiting);
    if (samples == 0) return;
    if (cell == NULL) {
        drop(self, SERIES_LIMIT, samples);
        return;
    }
    counts *counts = &self->counts;
    counts->samples += samples;
    counts->late += waiting->late;
    counts->overflow += overflows ? samples : 0;
    counts->unnamed += placed == self->registry.catch_all[placed->kind] ? samples : 0;
    *(window == &self->open ? &counts->open : &counts->closing) += samples;
    if (placed->kind == GAUGE) join_gauge(self, waiting, placed, window, cell);
    else cell_merge(cell, waiting->cell, (enum kind)placed->kind, &self->registry.memory);
}

static bool is_worth_a_place(const provisional *waiting) { return samples_of(waiting) > 0 || waiting->overflow != NULL; }

/* Rejects what waited, or drops it; of lines with other identities, which are accepted, samples are dropped. */
static void sink(hotpath *self, const provisional *waiting, int reason, bool rejects) {
    if (rejects) {
        self->rejects.counts[reason] += waiting->lines;
        drop(self, reason, waiting->shared);
        return;
    }
    uint64_t samples = samples_of(waiting);
    for (int i = 0; i < LOST_REASONS; i++) samples += waiting->dropped[i];
    self->counts.accepted += waiting->lines;
    drop(self, reason, samples);
}

static void settle(hotpath *self, provisional *waiting, const identity *identity, window *window) {
    self->counts.received += waiting->lines;
    if (identity->state == SUNK) {
        sink(self, waiting, identity->to.sink.reason, identity->to.sink.rejects);
    } else if (is_outdated(waiting, identity, window)) {
        accept_lines(self, waiting);
        drop(self, LATE_GAUGE, samples_of(waiting));
    } else if (is_worth_a_place(waiting)) {
        join(self, waiting, identity->to.series, window, is_stand_in(identity));
    } else {
        accept_lines(self, waiting);
    }
}

/* Makes an identity an alias or a sink; false without memory for its series: its sink is the limit. */
static void learn(hotpath *self, identity *identity, const answer *answer) {
    identity->cell = NULL;
    identity->stamp = self->stamp;
    if (!answer->is_sink) {
        series *series = series_intern(&self->registry, &answer->series);
        if (series != NULL) {
            struct series *overflow = series_intern(&self->registry, &answer->overflow);
            if (overflow != NULL) series_set_overflow(&self->registry, series, overflow);
            identity->state = RESOLVED;
            identity->to.series = series;
            hold_stand_in(self, identity);
            return;
        }
    }
    identity->state = SUNK;
    identity->to.sink.reason = answer->is_sink ? answer->reason : SERIES_LIMIT;
    identity->to.sink.rejects = !answer->is_sink || answer->rejects;
}

/* What waited in the closing window joins first: its gauges are the base of the open one's. */
static void settle_waiting(hotpath *self, identity *identity, provisional *waiting) {
    provisional *in_order[] = {waiting->older, waiting};
    for (size_t i = 0; i < 2; i++) {
        if (in_order[i] == NULL) continue;
        bool is_open = in_order[i]->window == self->open.number;
        queue_remove(is_open ? &self->queue : &self->closing_queue, identity);
        settle(self, in_order[i], identity, is_open ? &self->open : &self->closing);
        provisional_free(self, in_order[i], (enum kind)identity->kind);
    }
}

static void resolve(hotpath *self, const answer *answer) {
    uint64_t hash = identity_hash(&self->registry.key, answer->kind, answer->name, answer->tags);
    identity *identity = find_identity(self, hash, answer->kind, answer->name, answer->tags);
    provisional *waiting = NULL;
    if (identity == NULL) {
        identity = make_identity(self, hash, answer->kind, answer->name, answer->tags, &self->aliases_memory);
        if (identity == NULL) return;
        count_alias(self, identity, 1);
    } else if (identity->state == WAITING) {
        waiting = identity->to.waiting;
        self->waiting_memory.used -= identity_bytes(identity);
        self->aliases_memory.used += identity_bytes(identity);
        count_alias(self, identity, 1);
    } else if (identity->state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, identity->to.series);
    }
    learn(self, identity, answer);
    if (waiting != NULL) settle_waiting(self, identity, waiting);
    evict_aliases(self);
}

/* --- names that come too late ------------------------------------------------------------------------------------- */

static void forget_waiting(hotpath *self, identity *identity) {
    span name = name_of_identity(identity), tags = tags_of_identity(identity);
    slot *slot = map_first(&self->identities, identity_hash(&self->registry.key, (enum kind)identity->kind, name, tags));
    while (slot->item != identity) slot = map_next(&self->identities, slot);
    remove_identity(self, slot, &self->waiting_memory);
}

/* What waits in the open window, too, goes on waiting there. */
static void abandon_name(hotpath *self, identity *identity) {
    provisional *newest = identity->to.waiting, *late = newest->window == self->open.number ? newest->older : newest;
    enum kind kind = (enum kind)identity->kind;
    self->counts.received += late->lines;
    if (is_worth_a_place(late)) join(self, late, self->registry.catch_all[kind], &self->closing, false);
    else accept_lines(self, late);
    provisional_free(self, late, kind);
    if (late == newest) forget_waiting(self, identity);
    else newest->older = NULL;
}

bool hotpath_abandon_names(hotpath *self) {
    hotpath_lock(self);
    queue *queue = &self->closing_queue;
    for (size_t most = ABANDONED_NAMES; most > 0 && queue->waiting > 0; queue->first++) {
        identity *identity = queue->items[queue->first];
        if (identity == NULL) continue;
        queue_remove_at(queue, queue->first);
        abandon_name(self, identity);
        most--;
    }
    bool settled = queue->waiting == 0 && settle_gauges(self, SETTLED_GAUGES);
    hotpath_unlock(self);
    return settled;
}

void hotpath_resolve(hotpath *self, const answer *answers, size_t count) {
    hotpath_lock(self);
    for (size_t i = 0; i < count; i++) resolve(self, &answers[i]);
    hotpath_unlock(self);
}
