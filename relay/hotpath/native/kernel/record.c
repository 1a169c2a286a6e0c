#include "record.h"

/* --- checks ------------------------------------------------------------------------------------------------------- */

static bool is_finite(double value) { return value >= -FINITE && value <= FINITE; } /* comparisons with NaN are false */

static bool is_weight(double weight) { return weight > 0 && weight <= FINITE; }

static bool are_bins(const bin *bins, size_t used) {
    if (used > SKETCH_BINS) return false;
    for (size_t i = 0; i < used; i++)
        if (bins[i].key < BIN_LEAST || bins[i].key > BIN_MOST || !is_weight(bins[i].weight)) return false;
    return true;
}

static bool are_samples(const sample *samples, size_t used) {
    if (used > RECORD_EXACT_MOST) return false;
    for (size_t i = 0; i < used; i++)
        if (!is_finite(samples[i].value) || !is_weight(samples[i].weight)) return false;
    return true;
}

static bool has_valid_sketch(const record *record) {
    size_t bins = record->positive_used + record->negative_used;
    if (!record->has_sketch) return record->exact_used == 0 && bins == 0;
    if (record->kind != TIMER) return false;
    if (!record->binned) return bins == 0 && record->zero == 0 && are_samples(record->exact, record->exact_used);
    return record->exact_used == 0 && is_finite(record->zero) && record->zero >= 0 &&
           are_bins(record->positive, record->positive_used) && are_bins(record->negative, record->negative_used);
}

static bool are_registers(span registers) {
    if (registers.size != REGISTERS) return false;
    for (size_t i = 0; i < registers.size; i++)
        if (registers.at[i] > RANK_MOST) return false;
    return true;
}

static bool has_valid_members(const record *record) {
    if (record->kind != SET) return !record->has_hashes && record->hashes_used == 0 && record->registers.size == 0;
    if (record->has_hashes) return record->hashes_used <= SET_EXACT && record->registers.size == 0;
    return record->hashes_used == 0 && are_registers(record->registers);
}

bool record_is_valid(const record *record) {
    if ((unsigned)record->kind >= KINDS || record->samples == 0 || record->samples > RECORD_SAMPLES_MOST) return false;
    if (!is_finite(record->count) || record->count < 0 || !is_finite(record->sum)) return false;
    if (!is_finite(record->last) || !is_finite(record->last_at)) return false;
    bool has_bounds = is_finite(record->low) && is_finite(record->high) && record->low <= record->high;
    return (has_bounds || record->kind == SET) && has_valid_sketch(record) && has_valid_members(record);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool read_bins(bins *side, const bin *bins, size_t used, budget *memory) {
    for (size_t i = 0; i < used; i++)
        if (!bins_add(side, bins[i].key, bins[i].weight, memory)) return false;
    return true;
}

static bool read_sketch(const record *record, cell *into, budget *memory) {
    sketch *made = budget_alloc(memory, sizeof *made);
    if (made == NULL) return false;
    into->extra = made;
    made->binned = record->binned;
    made->zero = record->zero;
    for (size_t i = 0; i < record->exact_used; i++)
        sketch_add(made, record->exact[i].value, record->exact[i].weight, memory);
    return read_bins(&made->positive, record->positive, record->positive_used, memory) &&
           read_bins(&made->negative, record->negative, record->negative_used, memory);
}

static bool read_members(const record *record, cell *into, budget *memory) {
    distinct *made = budget_alloc(memory, sizeof *made);
    if (made == NULL) return false;
    into->extra = made;
    for (size_t i = 0; i < record->hashes_used; i++) distinct_add(made, record->hashes[i], memory);
    if (record->has_hashes) return true;
    made->registers = budget_alloc(memory, REGISTERS);
    if (made->registers == NULL) return false;
    memcpy(made->registers, record->registers.at, REGISTERS);
    return true;
}

bool record_read(const record *record, cell *into, budget *memory) {
    *into = (cell){.count = record->count, .sum = record->sum, .low = record->low, .high = record->high,
                   .last = record->last, .last_at = record->last_at, .samples = record->samples};
    if (!record_is_valid(record)) return false;
    if (record->kind == SET) {
        into->low = INFINITY;
        into->high = -INFINITY;
        return read_members(record, into, memory);
    }
    return !record->has_sketch || read_sketch(record, into, memory);
}
