#include "series.h"

/* --- names -------------------------------------------------------------------------------------------------------- */

static uint64_t metric_hash(const registry *registry, span name) {
    return hash_finish(hash_bytes(&registry->key, 1, name));
}

static uint64_t series_hash(const registry *registry, const series_name *name) {
    uint64_t state = hash_bytes(&registry->key, 2 + (uint64_t)name->kind * 2 + name->derived, name->metric);
    return hash_finish(hash_bytes(&registry->key, state, name->dimensions));
}

static metric *metric_intern(registry *registry, span name) {
    uint64_t hash = metric_hash(registry, name);
    for (slot *slot = map_first(&registry->metrics, hash); slot; slot = map_next(&registry->metrics, slot)) {
        metric *found = slot->item;
        if (span_equal((span){found->name, found->size}, name)) return found;
    }
    if (!map_reserve(&registry->metrics, &registry->memory)) return NULL;
    metric *made = budget_alloc(&registry->memory, sizeof *made + name.size);
    if (made == NULL) return NULL;
    made->size = (uint16_t)name.size;
    span_copy(made->name, name);
    map_insert(&registry->metrics, hash, made);
    return made;
}

static void metric_release(registry *registry, metric *metric) {
    if (--metric->refs > 0) return;
    uint64_t hash = metric_hash(registry, (span){metric->name, metric->size});
    map_remove(&registry->metrics, map_slot(&registry->metrics, hash, metric));
    budget_free(&registry->memory, metric, sizeof *metric + metric->size);
}

static series_name name_of(const series *series) {
    return (series_name){{series->metric->name, series->metric->size}, {series->dimensions, series->size},
                         (enum kind)series->kind, series->derived};
}

static bool is_named(const series *series, const series_name *name) {
    return series->kind == name->kind && series->derived == name->derived &&
           span_equal((span){series->dimensions, series->size}, name->dimensions) &&
           span_equal((span){series->metric->name, series->metric->size}, name->metric);
}

static series *series_new(registry *registry, const series_name *name, uint64_t hash) {
    metric *metric = metric_intern(registry, name->metric);
    if (metric == NULL) return NULL;
    metric->refs++;
    size_t size = name->dimensions.size;
    bool has_slot = map_reserve(&registry->series, &registry->memory);
    series *made = has_slot ? budget_alloc(&registry->memory, sizeof *made + size) : NULL;
    if (made == NULL) {
        metric_release(registry, metric);
        return NULL;
    }
    made->metric = metric;
    made->size = (uint16_t)size;
    made->kind = (uint8_t)name->kind;
    made->derived = name->derived;
    span_copy(made->dimensions, name->dimensions);
    map_insert(&registry->series, hash, made);
    return made;
}

series *series_intern(registry *registry, const series_name *name) {
    if (name->metric.size > UINT16_MAX || name->dimensions.size > UINT16_MAX) return NULL;
    uint64_t hash = series_hash(registry, name);
    for (slot *slot = map_first(&registry->series, hash); slot; slot = map_next(&registry->series, slot)) {
        series *found = slot->item;
        if (is_named(found, name)) {
            found->refs++;
            return found;
        }
    }
    series *made = series_new(registry, name, hash);
    if (made != NULL) made->refs = 1;
    return made;
}

void series_release(registry *registry, series *series) {
    while (series != NULL && --series->refs == 0) {
        series_name name = name_of(series);
        uint64_t hash = series_hash(registry, &name);
        map_remove(&registry->series, map_slot(&registry->series, hash, series));
        struct series *overflow = series->overflow == series ? NULL : series->overflow;
        metric_release(registry, series->metric);
        budget_free(&registry->memory, series, sizeof *series + series->size);
        series = overflow;
    }
}

void series_set_overflow(registry *registry, series *series, struct series *overflow) {
    struct series *before = series->overflow;
    if (overflow == before || overflow == series) series_release(registry, overflow);
    if (overflow == before) return;
    series->overflow = overflow;
    if (before != series) series_release(registry, before);
}

/* --- gauges ------------------------------------------------------------------------------------------------------- */

/* Returns the cell of the window before, if it has samples: the base has them only once that window is handed out. */
static const cell *cell_before(const series *series, const window *window) {
    const cell *before = NULL;
    if (series->window + 1 == window->number) before = series->cell;
    else if (series->prev_window + 1 == window->number) before = series->prev;
    return before != NULL && before->samples > 0 ? before : NULL;
}

double gauge_base(const series *series, const window *window) {
    const cell *before = cell_before(series, window);
    if (before != NULL) return before->last;
    return series->gauge != NULL ? series->gauge->base : 0.0;
}

double gauge_known_at(const series *series, const window *window) {
    const cell *own = series_cell(series, window);
    if (own == NULL || own->samples == 0) own = cell_before(series, window);
    if (own != NULL) return own->last_at;
    return series->gauge != NULL && series->gauge->known ? series->gauge->at : -INFINITY;
}

static gauge *gauge_make(registry *registry, series *series) {
    if (series->gauge != NULL) return series->gauge;
    void *items = registry->gauges;
    bool room = vector_grow(&items, &registry->gauges_capacity, registry->gauges_used, sizeof(gauge *), &registry->memory);
    registry->gauges = items;
    gauge *made = room ? budget_alloc(&registry->memory, sizeof *made) : NULL;
    if (made == NULL) return NULL;
    made->series = series;
    made->index = registry->gauges_used;
    registry->gauges[registry->gauges_used++] = made;
    series->gauge = made;
    series->refs++;
    return made;
}

void gauge_free(registry *registry, gauge *gauge) {
    struct gauge *last = registry->gauges[--registry->gauges_used];
    registry->gauges[gauge->index] = last;
    last->index = gauge->index;
    series *series = gauge->series;
    series->gauge = NULL;
    budget_free(&registry->memory, gauge, sizeof *gauge);
    series_release(registry, series);
}

bool gauge_restore(registry *registry, series *series, double value, int64_t updated, double at) {
    if (series->gauge != NULL || registry->gauges_used >= registry->limit) return false;
    gauge *gauge = gauge_make(registry, series);
    if (gauge == NULL) return false;
    gauge->base = value;
    gauge->updated = updated;
    gauge->at = at;
    gauge->known = true;
    return true;
}

/* --- cells -------------------------------------------------------------------------------------------------------- */

/* Returns the number of the metric's series in a window, which is the open one or the one before. */
static uint32_t *metric_active(metric *metric, uint32_t window) {
    if (window + 1 == metric->window) return &metric->before;
    if (metric->window != window) {
        metric->before = metric->window + 1 == window ? metric->active : 0;
        metric->active = 0;
        metric->window = window;
    }
    return &metric->active;
}

/* Says whether a series had a cell in the window before: it is not new, and its next cell is small. */
static bool was_active(const series *series, const window *window) {
    return series->window != 0 && series->window + 1 == window->number;
}

static void attach(series *series, const window *window, cell *cell) {
    if (series->window > window->number) { /* the open window already has one */
        series->prev = cell;
        series->prev_window = window->number;
        return;
    }
    series->prev = series->cell;
    series->prev_window = series->window;
    series->cell = cell;
    series->window = window->number;
}

static cell *make_cell(registry *registry, window *window, series *series) {
    cell *made = series_cell(series, window);
    if (made != NULL) return made;
    void *items = window->entries;
    bool room = vector_grow(&items, &window->capacity, window->used, sizeof(entry), &registry->memory);
    window->entries = items;
    made = room ? cell_new(&registry->cells, &registry->memory) : NULL;
    if (made == NULL) return NULL;
    if (series->kind == GAUGE && gauge_make(registry, series) == NULL) {
        cell_free(&registry->cells, made, GAUGE, &registry->memory);
        return NULL;
    }
    if (was_active(series, window) && registry->expected > 0) registry->expected--;
    attach(series, window, made);
    if (series->kind == GAUGE) {
        made->last = gauge_base(series, window); /* the base of deltas */
        window->active_gauges++;
    }
    window->entries[window->used++] = (entry){series, made, 0};
    series->refs++;
    ++*metric_active(series->metric, window->number);
    return made;
}

/* A flood of new series must leave room for the cells of the series of the last window. */
static bool has_memory(const registry *registry, const window *window, const series *series) {
    size_t reserved = registry->expected * (sizeof(cell) + sizeof(entry));
    return was_active(series, window) || registry->memory.used + reserved < registry->memory.limit;
}

static bool has_room(registry *registry, const window *window, series *series) {
    if (series->gauge != NULL) return true;
    if (window_series(registry, window) >= registry->admitted || !has_memory(registry, window, series)) return false;
    return *metric_active(series->metric, window->number) < registry->per_metric;
}

series *series_place(registry *registry, window *window, series *wanted, cell **cell) {
    if ((*cell = series_cell(wanted, window)) != NULL) return wanted;
    if (!window->folds && has_room(registry, window, wanted) && (*cell = make_cell(registry, window, wanted)) != NULL)
        return wanted;
    series *overflow = wanted->overflow;
    if (overflow != NULL && !window->folds) {
        bool room = window_series(registry, window) < registry->limit && !budget_full(&registry->memory);
        *cell = room ? make_cell(registry, window, overflow) : series_cell(overflow, window);
        if (*cell != NULL) return overflow;
    }
    series *catch_all = registry->catch_all[wanted->kind];
    *cell = make_cell(registry, window, catch_all);
    return *cell != NULL ? catch_all : NULL;
}

void entry_release(registry *registry, const entry *entry) {
    series *series = entry->series;
    if (series->cell == entry->cell) series->cell = NULL;
    if (series->prev == entry->cell) series->prev = NULL;
    cell_free(&registry->cells, entry->cell, (enum kind)series->kind, &registry->memory);
    series_release(registry, series);
}

void entry_remove(registry *registry, window *window, size_t index) {
    entry removed = window->entries[index];
    memmove(&window->entries[index], &window->entries[index + 1], (--window->used - index) * sizeof removed);
    window->active_gauges -= removed.series->kind == GAUGE;
    --*metric_active(removed.series->metric, window->number);
    entry_release(registry, &removed);
}
