/* The series of the windows, and who may become one; the same rules as relay/hotpath/python/table.py.
 *
 * Theory. A series lives as long as something refers to it: identities that are its aliases, windows in which it has a
 * cell, a gauge's base, other series whose overflow it is. Its cell of the open window hangs on it; the one of the
 * window before stays reachable as `prev` until that window's rows are given back. A window is a vector of (series,
 * cell) and a number, so that closing one is swapping two structs, whatever it holds.
 *
 * Admission: 90 % of the slots are for ordinary series, the rest for overflow series; a metric has at most
 * `series_per_metric`; at the bound of memory nothing new is kept apart. An idle gauge holds a slot.
 *
 * Memory of one series: 60 bytes and its dimensions, 16 in the map at least, 64 for its cell; a metric 24 and its name.
 * Invariants: cell and prev are NULL or alive; a gauge's `base` is its value at the end of the last window handed out. */
#ifndef RELAY_SERIES_H
#define RELAY_SERIES_H

#include "cell.h"
#include "hash.h"
#include "map.h"

typedef struct metric {
    uint32_t refs, window; /* number of the window that `active` counts */
    uint32_t active, before; /* series with a cell in it, and in the one before */
    uint16_t size;
    uint8_t name[];
} metric;

typedef struct gauge {
    struct series *series;
    double base;
    double at; /* time of the base: its own, or when it was received */
    int64_t updated; /* id of the window that last saw a sample */
    size_t index; /* in registry.gauges */
    bool known;   /* it has a base */
} gauge;

typedef struct series {
    metric *metric;
    struct series *overflow;
    cell *cell, *prev;
    gauge *gauge;
    uint32_t refs, window, prev_window; /* numbers of the windows of `cell` and `prev` */
    uint16_t size;
    uint8_t kind, derived;
    uint8_t dimensions[]; /* key NUL value NUL key NUL value; behind them NUL namespace, if it is not the default one */
} series;

typedef struct entry {
    series *series;
    cell *cell;
    uint64_t exported; /* samples of the cell when it was last exported (export.h) */
} entry;

/* The cells of one window. */
typedef struct window {
    int64_t start;
    uint32_t number;
    entry *entries;
    size_t used, capacity;
    size_t active_gauges;
    bool folds; /* it has no series of its own: everything is in the series of last resort */
} window;

/* What names a series from outside; `dimensions` as in a series. */
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
    size_t expected; /* series of the last window that have no cell in the open one yet */
    series *catch_all[KINDS];
    budget memory;
} registry;

/* Returns the series of a name, made if it is new, with one more reference; NULL without memory. */
series *series_intern(registry *registry, const series_name *name);
void series_release(registry *registry, series *series);

/* Takes over the caller's reference to `overflow`. A series may be its own. */
void series_set_overflow(registry *registry, series *series, struct series *overflow);

/* Returns the cell of a series in a window, or NULL. */
static inline cell *series_cell(const series *series, const window *window) {
    if (series->window == window->number) return series->cell;
    return series->prev_window == window->number ? series->prev : NULL;
}

/* Returns the series that takes samples of `wanted` in a window, with its cell in `*cell`; another one: it overflows.
 * NULL: there is no memory, not even for that. */
series *series_place(registry *registry, window *window, series *wanted, cell **cell);

/* Returns the value on which a gauge's next delta stands, before its first sample of a window. */
double gauge_base(const series *series, const window *window);

/* Returns the time of a gauge's newest value that a sample of this window can find; -INFINITY: there is none. */
double gauge_known_at(const series *series, const window *window);

/* Series of the open window, idle gauges included. */
static inline size_t window_series(const registry *registry, const window *window) {
    return window->used + registry->gauges_used - window->active_gauges;
}

/* Gives back one entry of a window whose rows were read. */
void entry_release(registry *registry, const entry *entry);

/* Takes an entry out of the open window, whose order stays; its samples are the caller's to account for. */
void entry_remove(registry *registry, window *window, size_t index);

/* Forgets a gauge's base; it must be idle. */
void gauge_free(registry *registry, gauge *gauge);

/* A gauge that had no sample in a window and repeats its value. */
typedef struct gauge_row {
    series *series;
    double value;
} gauge_row;

bool gauge_restore(registry *registry, series *series, double value, int64_t updated, double at);

#endif
