/* The series of the windows, and the admission of new ones; the same rules as relay/hotpath/python/table.py.
 *
 * Theory. A series is reference-counted: by its aliases, the windows in which it has a cell, a gauge's base, and the
 * series that overflow into it. `cell` is its cell of the open window; `prev` is that of the window before, until the
 * rows of that window are given back. A window is a vector of (series, cell) and a number, so closing a window swaps
 * two structs, whatever their size.
 *
 * Admission: 90 % of the slots are for ordinary series, the rest for overflow series. A metric has at most
 * `series_per_metric`. At the bound of memory new series are not admitted. An idle gauge occupies a slot.
 *
 * Memory of a series: 60 bytes and its dimensions, at least 16 in the map, 64 for its cell; of a metric: 24 and its
 * name. Invariants: `cell` and `prev` are NULL or valid; a gauge's `base` is its value at the end of the last window
 * handed out. */
#ifndef RELAY_SERIES_H
#define RELAY_SERIES_H

#include "cell.h"
#include "hash.h"
#include "map.h"

typedef struct metric {
    uint32_t refs, window; /* number of the window that `active` counts */
    uint32_t active, before; /* series with a cell in that window, and in the one before */
    uint16_t size;
    uint8_t name[];
} metric;

typedef struct gauge {
    struct series *series;
    double base;
    double at; /* time of the base: its timestamp, or its receive time */
    int64_t updated; /* id of the window of the last sample */
    size_t index; /* in registry.gauges */
    bool known;   /* the gauge has a base */
} gauge;

typedef struct series {
    metric *metric;
    struct series *overflow;
    cell *cell, *prev;
    gauge *gauge;
    uint32_t refs, window, prev_window; /* windows of `cell` and `prev`, by number */
    uint16_t size;
    uint8_t kind, derived;
    uint8_t dimensions[]; /* key NUL value NUL key NUL value; then NUL namespace, unless it is the default one */
} series;

typedef struct entry {
    series *series;
    cell *cell;
    uint64_t exported; /* samples of the cell at its last export (export.h) */
} entry;

/* The cells of one window. */
typedef struct window {
    int64_t start;
    uint32_t number;
    entry *entries;
    size_t used, capacity;
    size_t active_gauges;
    bool folds; /* the window has only catch-all series */
} window;

/* The key of a series; `dimensions` as in a series. */
typedef struct series_name {
    span metric, dimensions;
    enum kind kind;
    bool derived;
} series_name;

typedef struct registry {
    hash_key key;
    map series, metrics;
    cells cells;
    gauge **gauges;
    size_t gauges_used, gauges_capacity;
    size_t limit, admitted, per_metric;
    size_t expected; /* series of the last window without a cell in the open one */
    series *catch_all[KINDS];
    budget memory;
} registry;

/* Returns the series of a name, created if it is new, with one more reference; NULL without memory. */
series *series_intern(registry *registry, const series_name *name);
void series_release(registry *registry, series *series);

/* Consumes the caller's reference to `overflow`. A series may be its own overflow series. */
void series_set_overflow(registry *registry, series *series, struct series *overflow);

/* Returns the cell of a series in a window, or NULL. */
static inline cell *series_cell(const series *series, const window *window) {
    if (series->window == window->number) return series->cell;
    return series->prev_window == window->number ? series->prev : NULL;
}

/* Returns the series that receives the samples of `wanted` in a window, and sets `*cell`; if it is another series,
 * `wanted` overflows. NULL: there is no memory for a catch-all cell either. */
series *series_place(registry *registry, window *window, series *wanted, cell **cell);

/* Returns the base of a gauge's next delta, before its first sample of a window. */
double gauge_base(const series *series, const window *window);

/* Returns the time of a gauge's newest value; -INFINITY if it has none. */
double gauge_known_at(const series *series, const window *window);

/* Returns the number of series of the open window, idle gauges included. */
static inline size_t window_series(const registry *registry, const window *window) {
    return window->used + registry->gauges_used - window->active_gauges;
}

/* Frees an entry of a window that was handed out. */
void entry_release(registry *registry, const entry *entry);

/* Removes an entry of the open window; the order of the others stays, and the caller counts its samples. */
void entry_remove(registry *registry, window *window, size_t index);

/* Deletes the base of an idle gauge. */
void gauge_free(registry *registry, gauge *gauge);

/* A gauge without a sample in a window, which repeats its value. */
typedef struct gauge_row {
    series *series;
    double value;
} gauge_row;

bool gauge_restore(registry *registry, series *series, double value, int64_t updated, double at);

#endif
