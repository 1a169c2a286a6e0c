/* Invariant: with any input, and whenever windows close, the ledger balances to the unit (I5), a closed window has
 * the samples that it reports, memory is bounded and is all freed, and no access leaves its buffer.
 *
 * An input is a list of records: a byte for the action, a byte for a size, and a datagram of this size. Built with
 * libFuzzer the program runs as long as configured; without, `main` replays files. */
#include "harness.h"

static void feed(hotpath *self, const uint8_t *at, size_t size, double now) {
    peer peer = peer_unknown(0);
    if (size % 2) peer = (struct peer){.address = {[15] = at[0]}, .port = 1, .known = true};
    hotpath_feed(self, (span){at, size}, &peer, now);
}

/* Deletes the series that answer_of gives to this name, with and without a tag, of every kind. */
static void delete_series(hotpath *self, const uint8_t *at, size_t size) {
    for (unsigned kind = 0; kind < KINDS; kind++) {
        hotpath_delete(self, &(series_name){{at, size}, {NULL, 0}, kind, false});
        hotpath_delete(self, &(series_name){{at, size - (size > 0)}, {at + size - (size > 0), size > 0}, kind, false});
    }
}

/* Closes a window and abandons its names, while the next one receives lines. */
static uint64_t close_late(hotpath *self, int64_t next_start, bool folds, const uint8_t *at, size_t size) {
    if (!hotpath_close_window(self, next_start, folds, !folds)) abort();
    feed(self, at, size, (double)next_start);
    name_some(self, 1);
    while (!hotpath_abandon_names(self)) continue;
    return read_closed(self);
}

/* Replaces a tap by one with another filter, after its lines were read. */
static void watch(hotpath *self, uint8_t what, const uint8_t *at, size_t size) {
    tap_filter filter = {.of = (what >> 4) % 3, .rate = 1 + (double)size, .has_from = size % 3 == 1};
    snprintf(filter.pattern, sizeof filter.pattern, "%.*s", (int)(size / 2), (const char *)at);
    snprintf(filter.tags[0], sizeof filter.tags[0], "%.*s", (int)(size / 4), (const char *)at);
    snprintf(filter.tags[1], sizeof filter.tags[1], "%s", filter.tags[0]);
    tap *before = self->taps.taps[what >> 6];
    tapped line;
    uint64_t found = 0;
    for (; before != NULL && tap_pop(before, &line); free((void *)(uintptr_t)line.text.at))
        found += line.of != TAP_UNDECIDED;
    if (before != NULL && before->matched != before->hidden + before->lost + found) abort();
    if (before != NULL) taps_close(&self->taps, what >> 6);
    taps_open(&self->taps, &filter, self->counts.lines, self->now);
    self->is_filtered = self->taps.takes_all;
}

static void play(hotpath *self, const uint8_t *data, size_t size) {
    uint64_t closed = 0;
    double now = START;
    for (int64_t window = 1; size >= 2;) {
        uint8_t what = data[0];
        size_t length = data[1] < size - 2 ? data[1] : size - 2;
        const uint8_t *at = data + 2;
        now += 1;
        switch (what % 16) {
        case 0: name_some(self, 64); break;
        case 1: closed += close_and_read(self, START + 60 * window++); break;
        case 2: delete_series(self, at, length); break;
        case 3: name_some(self, 1); break;
        case 4:
            hotpath_restore_gauge(self, &(series_name){{at, length}, {at, length / 2}, GAUGE, false}, now, START, now);
            break;
        case 5: watch(self, what, at, length); break;
        case 6: export_all(self, what & 16); break;
        case 7: closed += close_late(self, START + 60 * window++, what & 16, at, length); break;
        default: feed(self, at, length, now);
        }
        data += 2 + length;
        size -= 2 + length;
        check_balance(self, closed);
    }
    while (name_some(self, 64)) check_balance(self, closed);
    closed += close_and_read(self, START + 100000);
    check_balance(self, closed);
    if (self->counts.open || self->counts.closing) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t limits[4] = {10, 20, 50, 1000}, memories[4] = {4096, 20000, 100000, 10000000};
    if (size < 1) return 0;
    hotpath *self = make_hotpath(limits[data[0] & 3], memories[data[0] >> 2 & 3]);
    if (data[0] & 16) self->scan = scan_portable;
    self->parser.gauge_deltas = !(data[0] & 32);
    play(self, data + 1, size - 1);
    hotpath_free(self);
    return 0;
}

#ifdef REPLAY
int main(int count, char **paths) { return replay(count, paths, LLVMFuzzerTestOneInput); }
#endif
