/* Feeds datagrams from a file to the native hot path without sockets and Python: for instruction counts.
 *
 *     feed FILE PASSES
 *
 * FILE is what load.c reads. The datagrams come from SENDERS addresses in turn. The first pass makes the series; prints lines and nanoseconds a line of the others. */
#include "kernel/hotpath.h"

#include <stdio.h>
#include <time.h>

#define SENDERS 64

static span text_of(const char *text) { return (span){(const uint8_t *)text, strlen(text)}; }

static void name_all(hotpath *self) {
    identity *found[256];
    answer answers[256];
    for (size_t count; (count = hotpath_unresolved(self, found, 256)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            span name = {found[i]->text, found[i]->name_size}, tags = {found[i]->text + name.size, found[i]->tags_size};
            series_name series = {name, tags, found[i]->kind, false};
            answers[i] = (answer){.kind = found[i]->kind, .name = name, .tags = tags, .series = series, .overflow = series};
        }
        hotpath_resolve(self, answers, count);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
    static uint8_t text[64 << 20];
    static datagram datagrams[1 << 20];
    settings settings = {.exact_samples = QUANTILE_EXACT, .gauge_deltas = true, .series_limit = 2000000,
                         .series_per_metric = 2000000, .alias_limit = 8000000, .memory = (size_t)4 << 30, .window_seconds = 60, .max_age = 86400, .secret = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}};
    for (unsigned kind = 0; kind < KINDS; kind++)
        settings.catch_all[kind] = (series_name){text_of("overflow"), {NULL, 0}, kind, false};
    hotpath *self = hotpath_new(&settings);
    FILE *file = count == 3 ? fopen(arguments[1], "rb") : NULL;
    if (self == NULL || file == NULL) return 1;
    size_t used = 0, most = 0;
    for (uint8_t size[2]; fread(size, 1, 2, file) == 2; most++) {
        size_t length = size[0] | (size_t)size[1] << 8;
        if (fread(text + used, 1, length, file) != length) return 1;
        peer peer = {.address = {10, [15] = (uint8_t)(most % SENDERS)}, .port = 1, .known = true};
        datagrams[most] = (datagram){.at = text + used, .size = length, .peer = peer};
        used += length;
    }
    fclose(file);
    double began = 0, best = 1e9;
    uint64_t before = 0;
    for (int pass = 0; pass <= atoi(arguments[2]); pass++) {
        began = now();
        before = self->counts.accepted;
        for (size_t i = 0; i < most; i += 64) hotpath_feed_locked(self, datagrams + i, most - i < 64 ? most - i : 64, 1764000000);
        double took = (now() - began) / (double)(self->counts.accepted - before + 1);
        best = pass > 0 && took < best ? took : best;
        name_all(self);
    }
    printf("%llu %.1f\n", (unsigned long long)(self->counts.accepted - before), best * 1e9);
    hotpath_free(self);
    return 0;
}
