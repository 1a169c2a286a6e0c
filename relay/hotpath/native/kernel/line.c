#include "line.h"

#define VALUES_MOST (DATAGRAM_BYTES / 2 + 1)
#define GROUPS_MOST (DATAGRAM_BYTES / 4 + 1)

bool parser_init(parser *parser) {
    parser->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    parser->values = calloc(VALUES_MOST, sizeof(value));
    parser->groups = calloc(GROUPS_MOST, sizeof(group));
    parser->joined = calloc(1, DATAGRAM_BYTES);
    return parser->locale && parser->values && parser->groups && parser->joined;
}

void parser_free(parser *parser) {
    if (parser->locale) freelocale(parser->locale);
    free(parser->values);
    free(parser->groups);
    free(parser->joined);
}

/* --- spans -------------------------------------------------------------------------------------------------------- */

static size_t find(span text, uint8_t byte) {
    const uint8_t *found = text.size ? memchr(text.at, byte, text.size) : NULL;
    return found ? (size_t)(found - text.at) : text.size;
}

static span head(span text, size_t size) { return (span){text.at, size}; }

static span tail(span text, size_t from) {
    return from < text.size ? (span){text.at + from, text.size - from} : (span){text.at + text.size, 0};
}

static bool starts_with(span text, const char *prefix, size_t size) {
    return text.size >= size && memcmp(text.at, prefix, size) == 0;
}

static size_t count_digits(span text) {
    size_t count = 0;
    while (count < text.size && text.at[count] >= '0' && text.at[count] <= '9') count++;
    return count;
}

span line_trim(span text) {
    while (text.size > 0) {
        uint8_t last = text.at[text.size - 1];
        if (last != ' ' && last != '\t' && last != '\r') break;
        text.size--;
    }
    return text;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

/* Parses a length; one of more than nine digits exceeds every datagram. */
static size_t read_length(span digits) {
    size_t length = 0;
    if (digits.size > 9) return SIZE_MAX;
    for (size_t i = 0; i < digits.size; i++) length = 10 * length + (size_t)(digits.at[i] - '0');
    return length;
}

/* Reads `title|text` and what follows it. */
static bool is_whole_event(span text, size_t title, size_t body) {
    if (title == 0 || title >= text.size || text.at[title] != '|' || body > text.size - title - 1) return false;
    span rest = line_trim(tail(text, title + 1 + body));
    return rest.size == 0 || rest.at[0] == '|';
}

/* Reads `name|status` and what follows it. */
static bool is_whole_check(span text) {
    text = line_trim(text);
    size_t name = find(text, '|');
    span status = tail(text, name + 1);
    if (name == 0 || status.size == 0 || status.at[0] < '0' || status.at[0] > '3') return false;
    return status.size == 1 || status.at[1] == '|';
}

enum event line_event(span text) {
    if (starts_with(text, "_sc|", 4)) return is_whole_check(tail(text, 4)) ? EVENT : BROKEN_EVENT;
    if (!starts_with(text, "_e{", 3)) return NO_EVENT;
    text = tail(text, 3);
    size_t digits = count_digits(text), title = read_length(head(text, digits));
    if (digits == 0 || digits == text.size || text.at[digits] != ',') return NO_EVENT;
    text = tail(text, digits + 1);
    digits = count_digits(text);
    size_t body = read_length(head(text, digits));
    if (digits == 0 || !starts_with(tail(text, digits), "}:", 2)) return NO_EVENT;
    return is_whole_event(tail(text, digits + 2), title, body) ? EVENT : BROKEN_EVENT;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

/* State of line_parse: the text not parsed yet, and the buffers not used yet. */
typedef struct cursor {
    span rest;      /* from the next field on */
    bool more;      /* there is a next field, possibly empty */
    span values;    /* values of the next group */
    value *free_values;
    size_t joined;
    bool another; /* `values` is set for one more group */
} cursor;

/* Returns the next field, up to a bar. */
static span next_field(cursor *cursor) {
    size_t bar = find(cursor->rest, '|');
    span field = head(cursor->rest, bar);
    cursor->more = bar < cursor->rest.size;
    cursor->rest = tail(cursor->rest, bar + 1);
    return field;
}

/* A type and a rate contain no colon: the values of the next group follow one. */
static span end_group_at_colon(cursor *cursor, span field, bool is_type) {
    if (!is_type && !starts_with(field, "@", 1)) return field;
    size_t colon = find(field, ':');
    if (colon == field.size) return field;
    cursor->another = true;
    cursor->values = tail(field, colon + 1);
    return head(field, colon);
}

static void add_tags(parser *parser, cursor *cursor, group *group, span tags, bool first) {
    if (first) {
        group->tags = tags;
        return;
    }
    uint8_t *joined = parser->joined + cursor->joined;
    if (group->tags.at != joined) memcpy(joined, group->tags.at, group->tags.size);
    joined[group->tags.size] = ',';
    memcpy(joined + group->tags.size + 1, tags.at, tags.size);
    group->tags = (span){joined, group->tags.size + 1 + tags.size};
}

static int64_t read_timestamp(span digits) {
    if (digits.size == 0 || digits.size > 12 || count_digits(digits) < digits.size) return -2;
    int64_t seconds = 0;
    for (size_t i = 0; i < digits.size; i++) seconds = 10 * seconds + (digits.at[i] - '0');
    return seconds;
}

static double read_weight(const parser *parser, span text) {
    double rate;
    return number_read(text, parser->locale, &rate) ? rate_to_weight(rate) : 0.0;
}

/* Cuts the tags after the last whole one within SECTION_READ, and counts the others. */
static void cut_tags(group *group) {
    const uint8_t *at = group->tags.at;
    size_t end = SECTION_READ;
    if (group->tags.size <= end) return;
    while (end > 0 && at[end] != ',') end--;
    for (size_t i = end; i < group->tags.size; i++) group->unread += at[i] == ',';
    group->unread += at[end] != ',';
    group->tags.size = end;
}

static int read_sections(parser *parser, cursor *cursor, group *group) {
    bool first_tags = true;
    *group = (struct group){group->kind, {cursor->rest.at, 0}, 1.0, NO_TIMESTAMP, 0, 0, group->values, group->count, NULL};
    while (cursor->more && !cursor->another) {
        span section = end_group_at_colon(cursor, next_field(cursor), false);
        uint8_t first = section.size ? section.at[0] : 0;
        if (first == '#') {
            add_tags(parser, cursor, group, tail(section, 1), first_tags);
            first_tags = false;
        } else if (first == '@') {
            group->weight = read_weight(parser, tail(section, 1));
        } else if (first == 'T') {
            group->timestamp = read_timestamp(tail(section, 1));
        } else if (!starts_with(section, "c:", 2) && !starts_with(section, "e:", 2) &&
                   !starts_with(section, "card:", 5)) {
            group->ignored++;
        }
    }
    if (group->tags.at == parser->joined + cursor->joined) cursor->joined += group->tags.size;
    cut_tags(group);
    if (group->weight == 0.0) return BAD_RATE;
    if (group->timestamp == -2) return BAD_TIMESTAMP;
    if (group->kind == GAUGE || group->kind == SET) group->weight = 1.0;
    return NO_REASON;
}

static bool has_gap(span values) {
    if (values.at[0] == ':' || values.at[values.size - 1] == ':') return true;
    for (size_t i = 0; i + 1 < values.size; i++)
        if (values.at[i] == ':' && values.at[i + 1] == ':') return true;
    return false;
}

/* Parses the packed values of a counter, timer or gauge. */
static int read_values(const parser *parser, cursor *cursor, span values, group *group) {
    span rest = values;
    for (bool more = true; more;) {
        size_t colon = find(rest, ':');
        value *value = cursor->free_values++;
        value->text = head(rest, colon);
        if (!number_read(value->text, parser->locale, &value->number)) return has_gap(values) ? NO_VALUE : BAD_VALUE;
        bool is_signed = value->text.at[0] == '+' || value->text.at[0] == '-';
        value->relative = is_signed && group->kind == GAUGE && parser->gauge_deltas;
        group->count++;
        more = colon < rest.size;
        rest = tail(rest, colon + 1);
    }
    return NO_REASON;
}

static int type_to_kind(const uint8_t *at, size_t size) {
    if (size == 1) {
        switch (at[0]) {
        case 'c': return COUNTER;
        case 'g': return GAUGE;
        case 'h': case 'd': return TIMER;
        case 's': return SET;
        }
    }
    return size == 2 && at[0] == 'm' && at[1] == 's' ? TIMER : -1;
}

static int read_group(parser *parser, cursor *cursor, group *group) {
    span values = cursor->values;
    cursor->another = false;
    span type = cursor->more ? end_group_at_colon(cursor, next_field(cursor), true) : (span){values.at, 0};
    if (values.size == 0) return NO_VALUE;
    int kind = type_to_kind(type.at, type.size);
    if (kind < 0) return BAD_TYPE;
    group->kind = (enum kind)kind;
    group->values = cursor->free_values;
    group->count = 0;
    if (kind == SET) {
        *cursor->free_values++ = (value){0, values, false};
        group->count = 1;
    } else {
        int reason = read_values(parser, cursor, values, group);
        if (reason != NO_REASON) return reason;
    }
    return read_sections(parser, cursor, group);
}

int line_parse(parser *parser, span text, line *line) {
    size_t colon = find(text, ':');
    if (colon == 0) return EMPTY_NAME;
    if (colon == text.size) return text.size ? NO_VALUE : EMPTY_NAME;
    *line = (struct line){head(text, colon), parser->groups, 0};
    cursor cursor = {.rest = tail(text, colon + 1), .free_values = parser->values};
    cursor.values = next_field(&cursor);
    do {
        int reason = read_group(parser, &cursor, &line->groups[line->count]);
        if (reason != NO_REASON) return reason;
        line->count++;
    } while (cursor.another);
    return NO_REASON;
}

/* --- the sections of a quick line --------------------------------------------------------------------------------- */

bool line_quick_sections(const uint8_t *text, const marks *marks, size_t at, size_t end, item *item) {
    bool rated = false;
    for (size_t next; at <= end; at = next + 1) {
        next = at < end ? next_mark(marks->bars, at, end) : end;
        span section = {text + at, next - at};
        uint8_t first = section.size ? section.at[0] : 0;
        if (first == '#' && item->tags == NULL) {
            item->tags = text + at + 1;
            item->tags_size = (uint16_t)(section.size - 1);
            if (item->tags_size > SECTION_READ) return false;
        } else if (first == '@' && !rated) {
            double rate;
            if (!number_quick(section.at + 1, section.size - 1, &rate)) return false;
            item->weight = item->kind == GAUGE || item->kind == SET ? 1.0 : rate_to_weight(rate);
            rated = true;
        } else if (!starts_with(section, "c:", 2)) {
            return false;
        }
    }
    return true;
}
