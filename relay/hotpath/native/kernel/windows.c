/* Windows are opened, swapped, handed out and given back; records are restored into the open one, series deleted. */
#include "hotpath.h"

#define RELEASED_AT_ONCE 10000 /* entries: 1 to 2 ms */

void hotpath_open_window(hotpath *self, int64_t start) {
    hotpath_lock(self);
    self->open.start = start;
    hotpath_unlock(self);
}

static void swap_tables(hotpath *self, int64_t next_start, bool folds) {
    self->closing = self->open;
    self->closing_queue = self->queue;
    self->is_closing = true;
    self->open = (window){.start = next_start, .number = self->closing.number + 1, .folds = folds};
    self->registry.expected = self->closing.used;
    self->queue = (queue){0};
    self->counts.closing = self->counts.open;
    self->counts.open = 0;
    self->generation++;
    self->generation_before = self->generation_opened;
    self->generation_opened = self->generation;
    map_shrink(&self->identities, &self->slots_memory);
    self->sweep_left = self->identities.capacity;
    self->gauges_begun = false;
}

bool hotpath_close_window(hotpath *self, int64_t next_start, bool folds, bool renames) {
    hotpath_lock(self);
    bool free = !self->is_closing;
    if (free) swap_tables(self, next_start, folds);
    if (free && renames) {
        self->generation_renamed = ++self->generation;
        memset(self->dropped_by_rule, 0, sizeof self->dropped_by_rule);
    }
    hotpath_unlock(self);
    return free;
}

/* --- handing out -------------------------------------------------------------------------------------------------- */

static bool repeats(const hotpath *self, const gauge *gauge, int64_t start) {
    double ttl = self->settings.idle_gauge_ttl;
    return gauge->known && ttl > 0 && (double)(start - gauge->updated) <= ttl;
}

/* Updates a gauge's base from the closing window; false: the window has no sample of the gauge. */
static bool update_base(const hotpath *self, gauge *gauge) {
    const cell *cell = series_cell(gauge->series, &self->closing);
    if (cell == NULL || cell->samples == 0) return false;
    gauge->base = cell->last;
    gauge->at = cell->last_at;
    gauge->updated = self->closing.start;
    gauge->known = true;
    return true;
}

static void add_idle_row(hotpath *self, const gauge *gauge) {
    gauge->series->refs++;
    self->idle[self->idle_used++] = (gauge_row){gauge->series, gauge->base};
}

static void begin_gauges(hotpath *self) {
    self->gauges_begun = true;
    self->gauges_left = self->registry.gauges_used;
    self->idle = calloc(self->gauges_left + 1, sizeof *self->idle);
    self->idle_used = 0;
}

/* An idle gauge repeats its value. A gauge with an expired TTL is deleted when room is needed, one without a base at
 * once. The loop runs from the last gauge to the first. New gauges are added at the end, and a deleted gauge is
 * replaced by the last one, which was updated already: no gauge is skipped. */
bool update_gauges(hotpath *self, size_t most) {
    if (!self->is_closing) return true;
    if (!self->gauges_begun) begin_gauges(self);
    bool crowded = self->registry.gauges_used > self->settings.series_limit / 2;
    for (; most > 0 && self->gauges_left > 0; most--) {
        if (--self->gauges_left >= self->registry.gauges_used) continue;
        gauge *gauge = self->registry.gauges[self->gauges_left];
        if (update_base(self, gauge)) continue;
        if (repeats(self, gauge, self->closing.start)) {
            if (self->idle != NULL) add_idle_row(self, gauge);
        } else if ((crowded || !gauge->known) && series_cell(gauge->series, &self->open) == NULL) {
            gauge_free(&self->registry, gauge);
        }
    }
    return self->gauges_left == 0;
}

closed *hotpath_closed_window(hotpath *self) {
    closed *closed = calloc(1, sizeof *closed);
    if (closed == NULL) return NULL;
    hotpath_lock(self);
    bool found = self->is_closing && self->closing_queue.length == 0;
    if (found) {
        update_gauges(self, SIZE_MAX);
        closed->idle = self->idle;
        closed->idle_used = self->idle_used;
        self->idle = NULL;
        self->idle_used = 0;
        closed->window = self->closing;
        closed->samples = self->counts.closing;
        self->counts.closing = 0;
        self->closing = (window){0};
        self->is_closing = false;
        queue_free(&self->closing_queue, &self->pending_memory);
        release_discarded(self, RELEASED_AT_ONCE);
    }
    hotpath_unlock(self);
    if (found) return closed;
    free(closed);
    return NULL;
}

/* Frees up to `most` entries; returns how many. */
static size_t release_entries(hotpath *self, closed *closed, size_t most) {
    window *window = &closed->window;
    size_t count = 0;
    for (; count < most && window->used > 0; count++) entry_release(&self->registry, &window->entries[--window->used]);
    for (; count < most && closed->idle_used > 0; count++)
        series_release(&self->registry, closed->idle[--closed->idle_used].series);
    if (count < most) {
        budget_free(&self->registry.memory, window->entries, window->capacity * sizeof *window->entries);
        free(closed->idle);
    }
    return count;
}

/* Moves the windows given back since the last call to `discarded`. */
static void collect_returned(hotpath *self) {
    for (closed *next, *one = atomic_exchange(&self->returned, NULL); one != NULL; one = next) {
        next = one->next;
        one->next = self->discarded;
        self->discarded = one;
    }
}

void release_discarded(hotpath *self, size_t most) {
    collect_returned(self);
    while (self->discarded != NULL) {
        size_t count = release_entries(self, self->discarded, most);
        if (count == most) return;
        most -= count;
        closed *next = self->discarded->next;
        free(self->discarded);
        self->discarded = next;
    }
}

void hotpath_discard(hotpath *self, closed *closed) {
    closed->next = atomic_load(&self->returned);
    while (!atomic_compare_exchange_weak(&self->returned, &closed->next, closed)) {}
}

/* --- restoring and deleting --------------------------------------------------------------------------------------- */

/* The series had a slot before the restart, possibly a reserved one: until naming knows its overflow series, it is
 * its own. */
static series *intern_restored(registry *registry, const series_name *name) {
    series *wanted = series_intern(registry, name);
    if (wanted != NULL && wanted->overflow == NULL) wanted->overflow = wanted;
    return wanted;
}

static void restore_cell(hotpath *self, const series_name *name, const cell *restored) {
    hotpath_lock(self);
    series *wanted = intern_restored(&self->registry, name);
    cell *cell = NULL;
    series *placed = wanted ? series_place(&self->registry, &self->open, wanted, &cell) : NULL;
    if (placed != NULL) {
        cell_merge(cell, restored, name->kind, &self->registry.memory);
        self->counts.open += restored->samples;
        self->counts.overflow += placed != wanted ? restored->samples : 0;
    } else {
        self->counts.dropped[SERIES_LIMIT] += restored->samples;
    }
    self->counts.samples += restored->samples;
    series_release(&self->registry, wanted);
    hotpath_unlock(self);
}

bool hotpath_restore(hotpath *self, const series_name *name, const record *record) {
    budget memory = {0, SIZE_MAX, RECORD_EXACT_MOST};
    cell restored = {0};
    bool valid = record->kind == name->kind && record_read(record, &restored, &memory);
    if (valid) restore_cell(self, name, &restored);
    cell_clear(&restored, name->kind, &memory);
    return valid;
}

bool hotpath_restore_gauge(hotpath *self, const series_name *name, double value, int64_t updated, double at) {
    if (!(fabs(value) <= FINITE && fabs(at) <= FINITE)) return false; /* comparisons with NaN are false */
    hotpath_lock(self);
    series *series = series_intern(&self->registry, name);
    if (series != NULL) gauge_restore(&self->registry, series, value, updated, at);
    series_release(&self->registry, series);
    hotpath_unlock(self);
    return true;
}

static void delete_entry(hotpath *self, const series *series) {
    size_t index = self->open.used;
    while (index > 0 && self->open.entries[index - 1].series != series) index--;
    if (index-- == 0) return;
    uint64_t samples = self->open.entries[index].cell->samples;
    self->counts.open -= samples;
    self->counts.dropped[FORGOTTEN] += samples;
    entry_remove(&self->registry, &self->open, index);
}

/* The rows of a window that was handed out stay, but their cells are no base for deltas any more. */
static void clear_handed_out(const hotpath *self, series *series) {
    const cell *open = series_cell(series, &self->open);
    const cell *closing = self->is_closing ? series_cell(series, &self->closing) : NULL;
    if (series->cell != open && series->cell != closing) series->cell = NULL;
    if (series->prev != open && series->prev != closing) series->prev = NULL;
}

/* Deletes the samples of the open window and the base. */
static bool delete_series(hotpath *self, series *series) {
    clear_handed_out(self, series);
    bool has_cell = series_cell(series, &self->open) != NULL, has_base = series->gauge != NULL;
    if (has_cell) delete_entry(self, series);
    if (has_base) gauge_free(&self->registry, series->gauge);
    return has_cell || has_base;
}

bool hotpath_delete(hotpath *self, const series_name *name) {
    hotpath_lock(self);
    self->generation++;
    series *series = series_intern(&self->registry, name);
    bool found = series != NULL && delete_series(self, series);
    series_release(&self->registry, series);
    hotpath_unlock(self);
    return found;
}
