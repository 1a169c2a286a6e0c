/* Shared by the fuzzers and the race: a small hot path, a naming with fixed rules, and the equations of the ledger.
 * */
#ifndef RELAY_HARNESS_H
#define RELAY_HARNESS_H

#include "kernel/export.h"
#include "kernel/receive.h"

#include <stdio.h>

#define START 1764000000

static span text_of(const char *text) { return (span){(const uint8_t *)text, strlen(text)}; }

static hotpath *make_hotpath(size_t series_limit, size_t memory) {
    settings settings = {.series_limit = series_limit, .series_per_metric = 5, .alias_limit = 4 * series_limit,
                         .memory = memory, .window_seconds = 60, .max_age = 86400, .idle_gauge_ttl = 120,
                         .exact_samples = QUANTILE_EXACT, .gauge_deltas = true, .secret = {1, 2, 3, 4},
                         .separators = {[';'] = true}};
    for (unsigned kind = 0; kind < KINDS; kind++)
        settings.catch_all[kind] = (series_name){text_of("overflow"), {NULL, 0}, kind, false};
    hotpath *self = hotpath_new(&settings);
    if (self == NULL) abort();
    hotpath_open_window(self, START);
    return self;
}

/* Rejects a name that begins with byte 1, drops one with byte 2; other names stay, and the first byte of the tags is
 * the dimension. */
static answer answer_of(const identity *identity) {
    answer answer = {.kind = identity->kind, .name = {identity->text, identity->name_size},
                     .tags = {identity->text + identity->name_size, identity->tags_size}};
    uint8_t first = answer.name.size ? answer.name.at[0] : 0;
    answer.has_no_series = first == 1 || first == 2;
    answer.rejects = first == 1;
    answer.reason = first == 1 ? RESERVED_NAME : REASONS;
    answer.series = (series_name){answer.name, {answer.tags.at, answer.tags.size > 0}, identity->kind, false};
    answer.overflow = (series_name){answer.name, text_of("overflow"), identity->kind, false};
    if (is_stand_in(identity)) answer.series = answer.overflow;
    return answer;
}

static size_t name_some(hotpath *self, size_t most) {
    identity *found[64];
    answer answers[64];
    size_t count = hotpath_unresolved(self, found, most < 64 ? most : 64);
    for (size_t i = 0; i < count; i++) answers[i] = answer_of(found[i]);
    hotpath_resolve(self, answers, count);
    return count;
}

/* Checks that a row has neither infinity nor NaN. */
static void check_finite(const entry *entry) {
    const cell *cell = entry->cell;
    if (cell->samples == 0) return;
    if (entry->series->kind == SET) {
        if (cell->extra && !isfinite(distinct_cardinality(cell->extra))) abort();
        return;
    }
    bool finite = isfinite(cell->count) && isfinite(cell->sum) && isfinite(cell->low) && isfinite(cell->high);
    if (!finite || !isfinite(cell->last)) abort();
}

/* Reads the rows of the closing window; returns their samples. */
static uint64_t read_closed(hotpath *self) {
    closed *closed = hotpath_closed_window(self);
    uint64_t samples = 0;
    if (closed == NULL) abort();
    for (size_t i = 0; i < closed->window.used; i++) {
        const entry *entry = &closed->window.entries[i];
        samples += entry->cell->samples;
        check_finite(entry);
        if (entry->series->kind == TIMER && entry->cell->extra) sketch_quantile(entry->cell->extra, 0.95, 0, 1);
    }
    if (samples != closed->samples) abort();
    hotpath_discard(self, closed);
    return samples;
}

/* Closes a window, answers its identities, and reads its rows. */
static uint64_t close_and_read(hotpath *self, int64_t next_start) {
    if (!hotpath_close_window(self, next_start, false, false)) abort();
    while (!hotpath_settled(self)) name_some(self, 64);
    return read_closed(self);
}

/* Exports the open window, and discards the result. */
static void export_all(hotpath *self, bool changed) {
    output out = {0};
    progress progress = {0};
    while (!progress.exhausted) hotpath_export(self, &progress, changed, &out);
    output_free(&out);
}

/* Replays files, in a program that was built without libFuzzer. */
static inline int replay(int count, char **paths, int (*play_one)(const uint8_t *, size_t)) {
    static uint8_t data[1 << 20];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        if (file == NULL) return 1;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        play_one(data, size);
    }
    printf("%d inputs replayed\n", count - 1);
    return 0;
}

/* Checks both equations of the ledger (I5). */
static void check_balance(hotpath *self, uint64_t closed) {
    hotpath_lock(self);
    uint64_t rejected = 0, dropped = 0;
    for (int i = 0; i < REASONS_MAX; i++) {
        rejected += self->rejects.counts[i];
        dropped += self->counts.dropped[i];
    }
    const counts *counts = &self->counts;
    bool lines = counts->received == counts->accepted + counts->events + rejected;
    bool samples = counts->samples == closed + counts->open + counts->closing + dropped;
    hotpath_unlock(self);
    if (lines && samples) return;
    fprintf(stderr, "out of balance: lines %d, samples %d\n", lines, samples);
    abort();
}

#endif
