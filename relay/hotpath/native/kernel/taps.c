#include "taps.h"

/* --- matching ----------------------------------------------------------------------------------------------------- */

/* Compares with a glob: the last star is tried again at the next byte, so the work is bounded by both lengths. */
static bool glob_matches(const char *pattern, span text) {
    size_t at = 0, star_at = 0;
    const char *star = NULL;
    while (at < text.size) {
        if (*pattern == '*') {
            star = pattern++;
            star_at = at;
        } else if (*pattern == '?' || (*pattern != '\0' && (uint8_t)*pattern == text.at[at])) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

/* Compares the name with and without its inline tags. */
static bool name_matches(const taps *self, const char *pattern, span line) {
    const uint8_t *colon = memchr(line.at, ':', line.size);
    span name = {line.at, colon ? (size_t)(colon - line.at) : line.size};
    if (name.size > TAP_NAME) name.size = TAP_NAME;
    if (glob_matches(pattern, name)) return true;
    size_t end = 0;
    while (end < name.size && !self->separators[name.at[end]]) end++;
    return end < name.size && glob_matches(pattern, (span){name.at, end});
}

static bool is_one_of(const char *set, uint8_t byte) { return byte != '\0' && strchr(set, byte) != NULL; }

/* Looks for a tag between the bytes that separate tags: `before` it, and `after` it or at the end. */
static bool has_tag(span line, const char *tag, const char *before, const char *after) {
    size_t size = strlen(tag);
    const uint8_t *end = line.at + line.size, *at = line.at;
    while ((at = memmem(at, (size_t)(end - at), tag, size)) != NULL) {
        bool starts = at > line.at && is_one_of(before, at[-1]);
        if (starts && (at + size == end || is_one_of(after, at[size]))) return true;
        at++;
    }
    return false;
}

static bool matches(const taps *self, const tap_filter *filter, span line, const peer *peer) {
    if (filter->has_from && !(peer->known && network_has(&filter->from, peer->address))) return false;
    if (filter->pattern[0] != '\0' && !name_matches(self, filter->pattern, line)) return false;
    if (filter->tags[0][0] == '\0') return true;
    return has_tag(line, filter->tags[0], "#,", ",|") || has_tag(line, filter->tags[1], ";,[", ";,]:");
}

/* --- the ring ----------------------------------------------------------------------------------------------------- */

/* Says whether one more line fits into a rate, with a burst of a second. */
static bool allowance_use(allowance *self, double rate, double now) {
    if (now > self->at) self->left += (now - self->at) * rate;
    if (self->left > rate) self->left = rate;
    self->at = now;
    if (self->left < 1) return false;
    self->left -= 1;
    return true;
}

bool tap_pop(tap *self, tapped *into) {
    if (self->used == 0) return false;
    *into = self->lines[self->first];
    self->first = (self->first + 1) % TAPPED_LINES;
    self->used--;
    self->bytes -= into->text.size;
    return true;
}

static void lose_oldest(tap *self) {
    tapped oldest;
    tap_pop(self, &oldest);
    free((void *)(uintptr_t)oldest.text.at);
    if (oldest.of == TAP_UNDECIDED) self->unjudged++;
    else self->lost++;
}

static bool store(tap *self, span line, enum tap_of of, int reason, const peer *peer, double now) {
    uint8_t *copy = malloc(line.size + 1);
    if (copy == NULL) return false;
    span_copy(copy, line);
    while (self->used == TAPPED_LINES || (self->used > 0 && self->bytes + line.size > TAPPED_BYTES)) lose_oldest(self);
    tapped *entry = &self->lines[(self->first + self->used++) % TAPPED_LINES];
    *entry = (tapped){now, {copy, line.size}, *peer, reason, of};
    self->bytes += line.size;
    return true;
}

static void offer(tap *self, span line, enum tap_of of, int reason, const peer *peer, double now) {
    if (of == TAP_UNDECIDED) {
        bool stored = allowance_use(&self->undecided, self->filter.rate, now) && store(self, line, of, reason, peer, now);
        self->unjudged += !stored;
        return;
    }
    self->matched++;
    if (!allowance_use(&self->shown, self->filter.rate, now)) self->hidden++;
    else if (!store(self, line, of, reason, peer, now)) self->lost++;
}

void taps_offer(taps *self, span line, enum tap_of of, int reason, const peer *peer, double now) {
    enum tap_of wanted = of == TAP_UNDECIDED ? TAP_DROPPED : of;
    for (size_t i = 0; i < TAPS_MOST; i++) {
        tap *tap = self->taps[i];
        if (tap == NULL || tap->filter.of != wanted || !matches(self, &tap->filter, line, peer)) continue;
        offer(tap, line, of, reason, peer, now);
    }
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void note_open(taps *self) {
    self->is_open = self->takes_all = false;
    for (size_t i = 0; i < TAPS_MOST; i++) {
        self->is_open |= self->taps[i] != NULL;
        self->takes_all |= self->taps[i] != NULL && self->taps[i]->filter.of == TAP_ALL;
    }
}

int taps_open(taps *self, const tap_filter *filter, uint64_t before, double now) {
    int number = 0;
    while (number < TAPS_MOST && self->taps[number] != NULL) number++;
    tap *made = number < TAPS_MOST ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) return -1;
    made->filter = *filter;
    made->shown = made->undecided = (allowance){filter->rate, now};
    made->before = before;
    self->taps[number] = made;
    note_open(self);
    return number;
}

void taps_close(taps *self, int number) {
    tapped line;
    while (tap_pop(self->taps[number], &line)) free((void *)(uintptr_t)line.text.at);
    free(self->taps[number]);
    self->taps[number] = NULL;
    note_open(self);
}

void taps_close_all(taps *self) {
    for (int i = 0; i < TAPS_MOST; i++)
        if (self->taps[i] != NULL) taps_close(self, i);
}
