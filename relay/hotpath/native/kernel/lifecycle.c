/* Creates, configures and frees a hot path. */
#include "hotpath.h"

/* Shares of the memory, as in relay/limits.py: a quarter and an eighth; the tables have half, naming the rest. */
#define ALIASES_SHARE 4
#define PENDING_SHARE 8

static void set_limits(hotpath *self, const settings *settings) {
    registry *registry = &self->registry;
    registry->limit = settings->series_limit;
    registry->admitted = settings->series_limit - settings->series_limit / 10;
    registry->per_metric = settings->series_per_metric;
    registry->memory.limit = settings->memory / 2;
    self->aliases_memory.limit = settings->memory / ALIASES_SHARE;
    self->pending_memory.limit = settings->memory / PENDING_SHARE;
    registry->memory.exact = settings->exact_samples;
    self->parser.gauge_deltas = settings->gauge_deltas;
}

static bool open_tables(hotpath *self, const settings *settings) {
    registry *registry = &self->registry;
    memcpy(registry->key.secret, settings->secret, sizeof settings->secret);
    for (size_t i = 0; i < 4; i++) registry->key.secret[i] |= 1; /* a factor of 0 would make every product 0 */
    self->senders.key = registry->key;
    set_limits(self, settings);
    if (!map_reserve(&self->identities, &self->slots_memory)) return false;
    for (size_t kind = 0; kind < KINDS; kind++) {
        registry->catch_all[kind] = series_intern(registry, &settings->catch_all[kind]);
        if (registry->catch_all[kind] == NULL) return false;
    }
    return true;
}

hotpath *hotpath_new(const settings *settings) {
    hotpath *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    pthread_mutex_init(&self->gate, NULL);
    pthread_mutex_init(&self->lock, NULL);
    self->settings = *settings;
    self->taps.separators = self->settings.separators;
    self->scan = scan_choose();
    self->open.number = self->generation = self->generation_opened = 1;
    self->buffer = calloc(1, DATAGRAM_BYTES + 1 + PAD);
    if (self->buffer && parser_init(&self->parser) && open_tables(self, settings)) return self;
    hotpath_free(self);
    return NULL;
}

/* Fills `wanted` with the catch-all series; without memory it returns false, and `wanted` has no reference. */
static bool intern_catch_all(registry *registry, const settings *settings, series **wanted) {
    for (size_t kind = 0; kind < KINDS; kind++) {
        wanted[kind] = series_intern(registry, &settings->catch_all[kind]);
        if (wanted[kind] != NULL) continue;
        while (kind-- > 0) series_release(registry, wanted[kind]);
        return false;
    }
    return true;
}

bool hotpath_configure(hotpath *self, const settings *settings) {
    series *wanted[KINDS];
    hotpath_lock(self);
    bool interned = intern_catch_all(&self->registry, settings, wanted);
    if (interned) {
        for (size_t kind = 0; kind < KINDS; kind++) {
            series_release(&self->registry, self->registry.catch_all[kind]);
            self->registry.catch_all[kind] = wanted[kind];
        }
        self->settings = *settings;
        set_limits(self, settings);
        self->generation++; /* other series may overflow now */
    }
    hotpath_unlock(self);
    return interned;
}

bool hotpath_tee(hotpath *self, const int *fds, size_t count) {
    targets *fresh = count > 0 ? targets_new(fds, count) : NULL;
    if (count > 0 && fresh == NULL) return false;
    hotpath_lock(self);
    targets *before = self->copies.targets;
    self->copies.targets = fresh;
    hotpath_unlock(self);
    targets_release(before);
    return true;
}

static void free_window(hotpath *self, window *window) {
    while (window->used > 0) entry_release(&self->registry, &window->entries[--window->used]);
    free(window->entries);
}

static void free_identities(hotpath *self) {
    for (size_t i = 0; i < self->identities.capacity; i++) {
        identity *identity = self->identities.slots[i].item;
        if (identity == NULL) continue;
        if (identity->state == RESOLVED) series_release(&self->registry, identity->to.series);
        if (identity->state == PENDING) pending_free_all(self, identity);
        free(identity);
    }
    map_free(&self->identities, &self->slots_memory);
}

void hotpath_free(hotpath *self) {
    registry *registry = &self->registry;
    release_discarded(self, SIZE_MAX);
    free_window(self, &self->open);
    free_window(self, &self->closing);
    free_identities(self);
    while (registry->gauges_used > 0) gauge_free(registry, registry->gauges[registry->gauges_used - 1]);
    free(registry->gauges);
    for (size_t kind = 0; kind < KINDS; kind++) series_release(registry, registry->catch_all[kind]);
    map_free(&registry->series, &registry->memory);
    map_free(&registry->metrics, &registry->memory);
    cells_free(&registry->cells);
    for (size_t i = 0; i < self->idle_used; i++) series_release(registry, self->idle[i].series);
    free(self->idle);
    queue_free(&self->queue, &self->pending_memory);
    queue_free(&self->closing_queue, &self->pending_memory);
    taps_close_all(&self->taps);
    targets_release(self->copies.targets);
    parser_free(&self->parser);
    free(self->buffer);
    pthread_mutex_destroy(&self->gate);
    pthread_mutex_destroy(&self->lock);
    free(self);
}
