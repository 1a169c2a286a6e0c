#include "sketch.h"

#include <math.h>

#define BINS_AT_THE_BOUND 64 /* slots of a sign: 1 KiB, one and a half octaves */

static double log_gamma_(void) { return log((1 + SKETCH_ACCURACY) / (1 - SKETCH_ACCURACY)); }

static uint32_t bin_of(double magnitude) {
    double exact = log(magnitude) / log_gamma_();
    int below = (int)exact;
    return (uint32_t)(below + (exact > below) + BIN_BIAS); /* ceil, without a call */
}

static double middle(uint32_t key) {
    double exponent = ((int)key - BIN_BIAS) * log_gamma_();
    return exp(exponent < 709.0 ? exponent : 709.0) * (1 - SKETCH_ACCURACY);
}

/* --- the bins of one sign ----------------------------------------------------------------------------------------- */

static bin *bins_slot(const bins *side, uint32_t key) {
    uint32_t at = key & (side->capacity - 1);
    while (side->slots[at].key != 0 && side->slots[at].key != key) at = (at + 1) & (side->capacity - 1);
    return &side->slots[at];
}

static bool bins_grow(bins *side, budget *memory) {
    bins old = *side;
    uint32_t capacity = old.capacity ? 2 * old.capacity : 16;
    bin *slots = budget_alloc(memory, capacity * sizeof *slots);
    if (slots == NULL) return false;
    *side = (bins){slots, capacity, old.used};
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.slots[i].key != 0) *bins_slot(side, old.slots[i].key) = old.slots[i];
    budget_free(memory, old.slots, old.capacity * sizeof *slots);
    return true;
}

/* Moves later entries into the gap of a removed one, so that every probe still ends at a free slot. */
static void bins_remove(bins *side, uint32_t gap) {
    uint32_t mask = side->capacity - 1, next = gap;
    for (;;) {
        next = (next + 1) & mask;
        if (side->slots[next].key == 0) break;
        uint32_t home = side->slots[next].key & mask;
        if (((next - home) & mask) >= ((next - gap) & mask)) {
            side->slots[gap] = side->slots[next];
            gap = next;
        }
    }
    side->slots[gap] = (bin){0, 0};
    side->used--;
}

/* Merges the lowest bin into the second lowest. */
static void bins_collapse(bins *side) {
    uint32_t lowest = 0, second = 0, low = UINT32_MAX, next = UINT32_MAX;
    for (uint32_t i = 0; i < side->capacity; i++) {
        uint32_t key = side->slots[i].key;
        if (key == 0 || key >= next) continue;
        if (key < low) {
            second = lowest, next = low;
            lowest = i, low = key;
        } else {
            second = i, next = key;
        }
    }
    side->slots[second].weight += side->slots[lowest].weight;
    bins_remove(side, lowest);
}

/* Says whether another bin fits; at the bound of memory only a small table grows. */
static bool bins_have_room(bins *side, budget *memory) {
    if (4 * (side->used + 1) <= 3 * side->capacity) return true;
    return (side->capacity < BINS_AT_THE_BOUND || !budget_full(memory)) && bins_grow(side, memory);
}

/* Without memory for another bin the weight goes to the nearest one. */
static bool bins_add_nearest(bins *side, uint32_t key, double weight) {
    bin *best = NULL;
    for (bin *slot = side->slots; slot < side->slots + side->capacity; slot++)
        if (slot->key != 0 && (best == NULL || abs((int)slot->key - (int)key) < abs((int)best->key - (int)key)))
            best = slot;
    if (best != NULL) best->weight += weight;
    return best != NULL;
}

bool bins_add(bins *side, uint32_t key, double weight, budget *memory) {
    if (LIKELY(side->capacity != 0)) {
        bin *slot = bins_slot(side, key);
        if (LIKELY(slot->key == key)) {
            slot->weight += weight;
            return true;
        }
    }
    if (!bins_have_room(side, memory)) return bins_add_nearest(side, key, weight);
    *bins_slot(side, key) = (bin){weight, key};
    side->used++;
    if (side->used > SKETCH_BINS) bins_collapse(side);
    return true;
}

static void bins_free(bins *side, budget *memory) {
    budget_free(memory, side->slots, side->capacity * sizeof *side->slots);
    *side = (bins){0};
}

/* --- the sketch --------------------------------------------------------------------------------------------------- */

static void free_exact(sketch *self, budget *memory) {
    budget_free(memory, self->exact, self->exact_capacity * sizeof(sample));
    self->exact = NULL;
    self->exact_used = self->exact_capacity = 0;
}

void sketch_free(sketch *self, budget *memory) {
    free_exact(self, memory);
    bins_free(&self->positive, memory);
    bins_free(&self->negative, memory);
}

static void add_to_bin(sketch *self, double value, double weight, budget *memory) {
    bool added = true;
    if (value >= SKETCH_ZERO) added = bins_add(&self->positive, bin_of(value), weight, memory);
    else if (value <= -SKETCH_ZERO) added = bins_add(&self->negative, bin_of(-value), weight, memory);
    else self->zero += weight;
    if (!added) self->zero += weight;
}

void sketch_coarsen(sketch *self, budget *memory) {
    if (self->binned) return;
    self->binned = true;
    for (uint32_t i = 0; i < self->exact_used; i++)
        add_to_bin(self, self->exact[i].value, self->exact[i].weight, memory);
    free_exact(self, memory);
}

/* Makes room for one more exact sample; false at a bound, or without memory. */
static bool grow_exact(sketch *self, budget *memory) {
    uint32_t capacity = self->exact_capacity ? 2 * (uint32_t)self->exact_capacity : 4;
    if (capacity > memory->exact || budget_full(memory)) return false;
    sample *grown = budget_alloc(memory, capacity * sizeof *grown);
    if (grown == NULL) return false;
    uint16_t used = self->exact_used;
    if (used > 0) memcpy(grown, self->exact, used * sizeof *grown);
    free_exact(self, memory);
    self->exact = grown;
    self->exact_used = used;
    self->exact_capacity = (uint16_t)capacity;
    return true;
}

void sketch_add(sketch *self, double value, double weight, budget *memory) {
    if (!self->binned) {
        if (self->exact_used < self->exact_capacity || grow_exact(self, memory)) {
            self->exact[self->exact_used++] = (sample){value, weight};
            return;
        }
        sketch_coarsen(self, memory);
    }
    add_to_bin(self, value, weight, memory);
}

static void merge_side(bins *mine, const bins *theirs, budget *memory) {
    for (uint32_t i = 0; i < theirs->capacity; i++)
        if (theirs->slots[i].key != 0) bins_add(mine, theirs->slots[i].key, theirs->slots[i].weight, memory);
}

void sketch_merge(sketch *self, const sketch *other, budget *memory) {
    if (other->binned) sketch_coarsen(self, memory);
    for (uint32_t i = 0; i < other->exact_used; i++)
        sketch_add(self, other->exact[i].value, other->exact[i].weight, memory);
    merge_side(&self->positive, &other->positive, memory);
    merge_side(&self->negative, &other->negative, memory);
    self->zero += other->zero;
}

/* --- quantiles ---------------------------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right) {
    const sample *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

size_t sketch_ascending(const sketch *self, sample *into) {
    size_t count = 0;
    if (self->exact_used > 0) memcpy(into, self->exact, self->exact_used * sizeof *into);
    count += self->exact_used;
    for (uint32_t i = 0; i < self->negative.capacity; i++)
        if (self->negative.slots[i].key != 0)
            into[count++] = (sample){-middle(self->negative.slots[i].key), self->negative.slots[i].weight};
    if (self->zero > 0) into[count++] = (sample){0.0, self->zero};
    for (uint32_t i = 0; i < self->positive.capacity; i++)
        if (self->positive.slots[i].key != 0)
            into[count++] = (sample){middle(self->positive.slots[i].key), self->positive.slots[i].weight};
    qsort(into, count, sizeof *into, by_value);
    return count;
}

/* Neumaier's sum: practically exact for weights. */
static double total_weight(const sample *entries, size_t count) {
    double sum = 0, lost = 0;
    for (size_t i = 0; i < count; i++) {
        double next = sum + entries[i].weight;
        lost += fabs(sum) >= fabs(entries[i].weight) ? (sum - next) + entries[i].weight
                                                     : (entries[i].weight - next) + sum;
        sum = next;
    }
    return sum + lost;
}

static double clamp(double value, double low, double high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

double sketch_quantile(const sketch *self, double q, double low, double high) {
    sample *entries = calloc(sketch_size(self), sizeof *entries);
    if (entries == NULL) return self->exact_used || self->binned ? high : 0.0;
    size_t count = sketch_ascending(self, entries);
    double target = q * total_weight(entries, count), reached = 0, found = count ? high : 0.0;
    for (size_t i = 0; i < count; i++) {
        reached += entries[i].weight;
        if (reached >= target) {
            found = clamp(entries[i].value, low, high);
            break;
        }
    }
    free(entries);
    return found;
}
