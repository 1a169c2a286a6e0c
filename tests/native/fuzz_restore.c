/* Invariant: the kernel rejects a record of a partial, or restores it as a cell: no access leaves its buffer, the
 * ledger balances to the unit, every number of a closed window is finite, and all memory is freed.
 *
 * An input is a list of records: a byte for the action, and the bytes of its fields. Arrays repeat their bytes, so a
 * few bytes make more samples than a container holds. Built with libFuzzer the program runs as long as configured;
 * without, `main` replays files. */
#include "harness.h"

typedef struct input {
    const uint8_t *at;
    size_t size;
} input;

static uint64_t read_bytes(input *input, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count && input->size > 0; i++, input->at++, input->size--) value = value << 8 | *input->at;
    return value;
}

/* Returns mostly numbers that a hot path writes, else the next eight bytes as a number. */
static double read_double(input *input) {
    static const double some[] = {0, 1, -1, 0.5, 1e-9, -1e-10, 1e300, FINITE, INFINITY, -INFINITY, NAN, 1764000000};
    uint64_t choice = read_bytes(input, 1), bits;
    if (choice < 240) return some[choice % (sizeof some / sizeof *some)];
    bits = read_bytes(input, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Returns mostly a small count; the largest is more than any container holds. */
static size_t read_count(input *input, size_t most) {
    uint64_t choice = read_bytes(input, 1);
    return choice < 128 ? choice % 8 : choice < 192 ? most - 2 + choice % 5 : read_bytes(input, 2) % (most + 10);
}

static sample *read_samples(input *input, size_t count) {
    sample *made = calloc(count + 1, sizeof *made);
    sample one = {read_double(input), read_double(input)};
    for (size_t i = 0; i < count; i++) made[i] = (sample){one.value + (double)(i % 4000), one.weight};
    return made;
}

static bin *read_bins(input *input, size_t count) {
    bin *made = calloc(count + 1, sizeof *made);
    uint32_t key = (uint32_t)read_bytes(input, read_bytes(input, 1) % 5), step = (uint32_t)read_bytes(input, 1) % 20;
    double weight = read_double(input);
    for (size_t i = 0; i < count; i++) made[i] = (bin){weight, key + step * (uint32_t)i};
    return made;
}

static uint64_t *read_hashes(input *input, size_t count) {
    uint64_t *made = calloc(count + 1, sizeof *made), first = read_bytes(input, 8), step = read_bytes(input, 2);
    for (size_t i = 0; i < count; i++) made[i] = first + step * i;
    return made;
}

static uint8_t *read_registers(input *input, size_t count) {
    uint8_t *made = calloc(1, count + 1);
    if (count > 0) memset(made, (int)(read_bytes(input, 1) % 54), count);
    return made;
}

static void restore(hotpath *self, input *input) {
    uint64_t flags = read_bytes(input, 2);
    record record = {.kind = flags % 5, .has_sketch = flags & 8, .binned = flags & 16, .has_hashes = flags & 32};
    record.samples = read_bytes(input, flags & 64 ? 8 : 1);
    record.count = read_double(input), record.sum = read_double(input), record.low = read_double(input);
    record.high = read_double(input), record.last = read_double(input), record.last_at = read_double(input);
    record.zero = flags & 128 ? read_double(input) : 0;
    record.exact_used = flags & 256 ? read_count(input, RECORD_EXACT_MOST) : 0;
    record.positive_used = flags & 512 ? read_count(input, SKETCH_BINS) : 0;
    record.negative_used = flags & 1024 ? read_count(input, SKETCH_BINS) : 0;
    record.hashes_used = flags & 2048 ? read_count(input, SET_EXACT) : 0;
    record.registers.size = flags & 4096 ? REGISTERS : flags & 8192 ? read_count(input, REGISTERS) : 0;
    record.exact = read_samples(input, record.exact_used);
    record.positive = read_bins(input, record.positive_used);
    record.negative = read_bins(input, record.negative_used);
    record.hashes = read_hashes(input, record.hashes_used);
    record.registers.at = read_registers(input, record.registers.size);
    size_t name = read_bytes(input, 1) % 4, size = name < input->size ? name : input->size;
    series_name series = {{input->at, size}, {input->at, size / 2}, flags & 16384 ? TIMER : record.kind, flags & 32768};
    bool is_valid = record_is_valid(&record), is_added = hotpath_restore(self, &series, &record);
    if (is_added && !is_valid) abort();
    free((void *)(uintptr_t)record.exact), free((void *)(uintptr_t)record.positive);
    free((void *)(uintptr_t)record.negative), free((void *)(uintptr_t)record.hashes);
    free((void *)(uintptr_t)record.registers.at);
}

static void restore_gauge(hotpath *self, input *input) {
    double value = read_double(input), at = read_double(input);
    size_t name = read_bytes(input, 1) % 4, size = name < input->size ? name : input->size;
    series_name series = {{input->at, size}, {input->at, size / 2}, GAUGE, false};
    bool is_added = hotpath_restore_gauge(self, &series, value, START, at);
    if (is_added != (isfinite(value) && isfinite(at))) abort();
}

/* Feeds a line, which may add to a restored series. */
static void feed(hotpath *self, input *input) {
    static const char *const rest[] = {":1|c", ":2.5|ms", ":+1|g", ":7|g|T1764000000", ":u|s", ":-3|ms|@0.1"};
    uint8_t text[64];
    peer peer = peer_unknown(0);
    const char *chosen = rest[read_bytes(input, 1) % (sizeof rest / sizeof *rest)];
    size_t name = read_bytes(input, 1) % 4, size = name < input->size ? name : input->size;
    span_copy(text, (span){input->at, size});
    memcpy(text + size, chosen, strlen(chosen));
    hotpath_feed(self, (span){text, size + strlen(chosen)}, &peer, START + 1);
}

static void play(hotpath *self, input input) {
    uint64_t closed = 0;
    for (int64_t window = 1; input.size > 0;) {
        uint64_t what = read_bytes(&input, 1);
        switch (what % 16) {
        case 0: name_some(self, 64); break;
        case 1: closed += close_and_read(self, START + 60 * window++); break;
        case 2: export_all(self, what & 16); break;
        case 3: restore_gauge(self, &input); break;
        case 4: case 5: feed(self, &input); break;
        default: restore(self, &input);
        }
        check_balance(self, closed);
    }
    while (name_some(self, 64)) check_balance(self, closed);
    closed += close_and_read(self, START + 100000);
    check_balance(self, closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t limits[4] = {10, 20, 50, 1000}, memories[4] = {20000, 100000, 1000000, 100000000};
    if (size < 1) return 0;
    hotpath *self = make_hotpath(limits[data[0] & 3], memories[data[0] >> 2 & 3]);
    play(self, (input){data + 1, size - 1});
    hotpath_free(self);
    return 0;
}

#ifdef REPLAY
int main(int count, char **paths) { return replay(count, paths, LLVMFuzzerTestOneInput); }
#endif
