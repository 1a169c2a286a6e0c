#include "export.h"

/* --- the part of MessagePack that records use --------------------------------------------------------------------- */

static uint8_t *reserve(output *out, size_t size) {
    if (out->capacity - out->used < size) {
        size_t capacity = 2 * out->capacity + size + 65536;
        uint8_t *grown = realloc(out->bytes, capacity);
        if (grown == NULL) {
            out->failed = true;
            return NULL;
        }
        out->bytes = grown;
        out->capacity = capacity;
    }
    uint8_t *at = out->bytes + out->used;
    out->used += size;
    return at;
}

static void put_byte(output *out, uint8_t byte) {
    uint8_t *at = reserve(out, 1);
    if (at != NULL) *at = byte;
}

/* A marker, then a big-endian number. */
static void put_number(output *out, uint8_t marker, uint64_t number, size_t size) {
    uint8_t *at = reserve(out, 1 + size);
    if (at == NULL) return;
    *at = marker;
    for (size_t i = size; i > 0; i--, number >>= 8) at[i] = (uint8_t)number;
}

static void put_array(output *out, size_t count) {
    if (count < 16) put_byte(out, (uint8_t)(0x90 | count));
    else put_number(out, 0xdd, count, 4);
}

static void put_double(output *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_number(out, 0xcb, bits, 8);
}

static void put_unsigned(output *out, uint64_t number) { put_number(out, 0xcf, number, 8); }
static void put_nil(output *out) { put_byte(out, 0xc0); }

static void put_bytes(output *out, span bytes) {
    uint8_t *at = reserve(out, bytes.size);
    if (at != NULL) span_copy(at, bytes);
}

static void put_text(output *out, span text) {
    if (text.size < 256) put_number(out, 0xd9, text.size, 1);
    else put_number(out, 0xda, text.size, 2);
    put_bytes(out, text);
}

/* --- a record ----------------------------------------------------------------------------------------------------- */

/* Returns the text after the dimensions: the namespace. */
static span put_dimensions(output *out, span texts) {
    size_t count = texts.size > 0;
    for (size_t i = 0; i < texts.size; i++) count += texts.at[i] == 0;
    put_array(out, count / 2);
    const uint8_t *end = texts.at + texts.size;
    for (size_t i = 0; i < count / 2 * 2; i++) {
        const uint8_t *nul = memchr(texts.at, 0, (size_t)(end - texts.at));
        size_t size = (size_t)((nul != NULL ? nul : end) - texts.at);
        if (i % 2 == 0) put_array(out, 2);
        put_text(out, (span){texts.at, size});
        texts.at += size + (nul != NULL);
    }
    return (span){texts.at, (size_t)(end - texts.at)};
}

static void put_bins(output *out, const bins *side) {
    put_number(out, 0xdf, side->used, 4);
    for (size_t i = 0; i < side->capacity; i++) {
        if (side->slots[i].key == 0) continue;
        put_number(out, 0xd2, (uint64_t)((int64_t)side->slots[i].key - BIN_BIAS), 4);
        put_double(out, side->slots[i].weight);
    }
}

static void put_sketch(output *out, const cell *cell) {
    const sketch *sketch = cell->extra;
    put_array(out, 6);
    if (sketch->binned) {
        put_nil(out);
    } else {
        put_array(out, sketch->exact_used);
        for (size_t i = 0; i < sketch->exact_used; i++) {
            put_array(out, 2);
            put_double(out, sketch->exact[i].value);
            put_double(out, sketch->exact[i].weight);
        }
    }
    put_bins(out, &sketch->positive);
    put_bins(out, &sketch->negative);
    put_double(out, sketch->zero);
    put_double(out, cell->low);
    put_double(out, cell->high);
}

static void put_hashes(output *out, const distinct *set) {
    put_array(out, set->used);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->hashes[i] != 0) put_unsigned(out, set->hashes[i]);
    if (set->has_zero) put_unsigned(out, 0);
}

/* The hashes of a set, or nil; then its registers, possibly empty. */
static void put_members(output *out, const distinct *set) {
    if (set != NULL && set->registers == NULL) put_hashes(out, set);
    else put_nil(out);
    bool has_registers = set != NULL && set->registers != NULL;
    put_number(out, 0xc5, has_registers ? REGISTERS : 0, 2);
    if (has_registers) put_bytes(out, (span){set->registers, REGISTERS});
}

static span kind_name(enum kind kind) {
    static const char *const names[KINDS] = {"counter", "timer", "gauge", "set"};
    return (span){(const uint8_t *)names[kind], strlen(names[kind])};
}

static void put_record(output *out, const series *series, const cell *cell) {
    enum kind kind = (enum kind)series->kind;
    put_array(out, 15);
    put_text(out, (span){series->metric->name, series->metric->size});
    span namespace = put_dimensions(out, (span){series->dimensions, series->size});
    put_text(out, kind_name(kind));
    put_byte(out, series->derived ? 0xc3 : 0xc2);
    put_unsigned(out, cell->samples);
    put_double(out, cell->count);
    put_double(out, cell->sum);
    put_double(out, cell->low);
    put_double(out, cell->high);
    put_double(out, cell->last);
    put_double(out, cell->last_at);
    if (kind == TIMER && cell->extra != NULL) put_sketch(out, cell);
    else put_nil(out);
    put_members(out, kind == SET ? cell->extra : NULL);
    put_text(out, namespace);
}

/* --- a frame ------------------------------------------------------------------------------------------------------ */

static bool is_wanted(const entry *entry, bool changed) {
    return entry->cell->samples > 0 && !(changed && entry->cell->samples == entry->exported);
}

static void export_entries(window *window, progress *progress, bool changed, output *out) {
    for (size_t scanned = 0; progress->next < window->used && progress->records < EXPORTED_RECORDS; scanned++) {
        if (scanned == EXPORTED_SCAN || out->used >= EXPORTED_BYTES) return;
        entry *entry = &window->entries[progress->next++];
        if (progress->next + 8 < window->used) __builtin_prefetch(window->entries[progress->next + 8].cell);
        if (!is_wanted(entry, changed)) continue;
        put_record(out, entry->series, entry->cell);
        entry->exported = entry->cell->samples;
        progress->records++;
    }
}

void hotpath_export(hotpath *self, progress *progress, bool changed, output *out) {
    out->used = 0;
    out->failed = false;
    hotpath_lock(self);
    progress->records = 0;
    progress->window = self->open.start;
    put_array(out, 3);
    put_number(out, 0xd3, (uint64_t)progress->window, 8);
    size_t counted = out->used;
    put_number(out, 0xdd, 0, 4);
    export_entries(&self->open, progress, changed, out);
    progress->exhausted = progress->next >= self->open.used;
    hotpath_unlock(self);
    put_array(out, 0);
    if (out->failed) return;
    for (size_t i = 0; i < 4; i++) out->bytes[counted + 1 + i] = (uint8_t)(progress->records >> (24 - 8 * i));
}

void output_free(output *out) {
    free(out->bytes);
    *out = (output){0};
}
