/* The grammar of a StatsD line; the same results as relay/hotpath/line.py, which is its readable specification.
 *
 * Theory. There are two parsers. `line_quick` parses most lines (one value, one type, at most one rate and one
 * section of tags, possibly a container id) from the marks of scan.h, in one pass without a copy. All other lines,
 * invalid ones included, go to `line_parse`, which has the whole grammar: packed values, older groups, several
 * sections of tags, timestamps, unknown sections, and the one reason of a rejection.
 *
 * Cost: line_quick about 100 instructions; line_parse is linear in the bytes of the line. Invariant: both parse a
 * line in the same way (a test feeds both). */
#ifndef RELAY_LINE_H
#define RELAY_LINE_H

#include "number.h"
#include "scan.h"

#define NO_TIMESTAMP (-1)

typedef struct value {
    double number; /* with its sign, also that of a delta */
    span text;     /* of a set: its member */
    bool relative; /* a gauge's delta: the number has a sign, and `gauge_deltas` is set */
} value;

/* Values that share a type and its sections. */
typedef struct group {
    enum kind kind;
    span tags;
    double weight;     /* 1 / rate; 1 for gauges and sets */
    int64_t timestamp; /* or NO_TIMESTAMP */
    uint32_t ignored;  /* unknown sections */
    uint32_t unread;   /* tags beyond the bytes that are read */
    value *values;
    size_t count;
    void *identity; /* for feed.c and slow_path.c */
} group;

typedef struct line {
    span name;
    group *groups;
    size_t count;
} line;

/* Buffers for the largest line; the system allocates only the pages that are used. */
typedef struct parser {
    locale_t locale;
    value *values;
    group *groups;
    uint8_t *joined; /* sections of tags, joined by commas */
    bool gauge_deltas; /* a gauge's number with a sign is a delta, not a value */
} parser;

bool parser_init(parser *parser);
void parser_free(parser *parser);

/* Returns a line without the blanks, tabs and carriage returns at its end. */
span line_trim(span text);

enum event { NO_EVENT, EVENT, BROKEN_EVENT };

/* Says whether a line is a DogStatsD event or service check, and whether its lengths, title, name and status are
 * right. The line must not be trimmed: blanks within an event's length belong to its text. */
enum event line_event(span text);

/* Reads one line without its line feed; returns NO_REASON or why it is rejected. The result lives in the parser. */
int line_parse(parser *parser, span text, line *line);

/* The result of line_quick, in 72 bytes: offsets from the first byte of the line. */
typedef struct item {
    const uint8_t *at;
    void *identity; /* set by feed.c, as is the peer */
    const void *peer;
    uint64_t hash;
    double value, weight;
    uint16_t size, name, tags_size, member, member_size; /* the name starts at 0 */
    uint8_t kind;
    bool relative;
    const uint8_t *tags; /* NULL: no section of tags */
} item;

static inline span item_name(const item *item) { return (span){item->at, item->name}; }
static inline span item_tags(const item *item) { return (span){item->tags, item->tags_size}; }
static inline span item_member(const item *item) { return (span){item->at + item->member, item->member_size}; }

/* Reads the sections from `at` (after the bar that follows the type) to `end`; false: use line_parse. */
bool line_quick_sections(const uint8_t *text, const marks *marks, size_t at, size_t end, item *item);

static inline double rate_to_weight(double rate) {
    return rate > 0 ? 1.0 / (rate > 1e-300 ? rate : 1e-300) : rate == 0 ? 1.0 : 0.0;
}

/* The kind of a type's first letter, plus one; `m` must be followed by `s`. */
static const uint8_t KIND_OF_LETTER[256] = {
    ['c'] = COUNTER + 1, ['m'] = TIMER + 1, ['h'] = TIMER + 1, ['d'] = TIMER + 1, ['g'] = GAUGE + 1, ['s'] = SET + 1};

/* Reads the line [start, end) of a marked text; false: use line_parse. */
static inline bool line_quick(const parser *parser, const uint8_t *text, const marks *marks, size_t start, size_t end,
                              item *item) {
    size_t colon = mark_from(marks->colons, start, end);
    size_t bar = UNLIKELY(colon >= end) ? end : mark_from(marks->bars, colon, end);
    if (UNLIKELY(bar >= end || colon == start || text[start] == '_')) return false;
    if (UNLIKELY(text[end - 1] <= ' ')) { /* a single carriage return is allowed here, other blanks are not */
        if (text[end - 1] != '\r' || text[end - 2] <= ' ') return false;
        end--;
    }
    uint8_t letter = text[bar + 1], kind = (uint8_t)(KIND_OF_LETTER[letter] - 1);
    size_t type_end = bar + 2;
    if (letter == 'm' && text[type_end++] != 's') return false;
    if (UNLIKELY(kind >= KINDS || type_end > end || (type_end < end && text[type_end] != '|'))) return false;
    const uint8_t *number = text + colon + 1;
    size_t size = bar - colon - 1;
    item->at = text + start;
    item->size = (uint16_t)(end - start);
    item->name = (uint16_t)(colon - start);
    item->tags = NULL;
    item->tags_size = 0;
    item->kind = kind;
    item->relative = false;
    item->weight = 1.0;
    if (UNLIKELY(kind == SET)) {
        item->member = (uint16_t)(colon + 1 - start);
        item->member_size = (uint16_t)size;
        if (size == 0) return false;
    } else if (UNLIKELY(*number == '-' || *number == '+')) {
        item->relative = (kind == GAUGE) & parser->gauge_deltas;
        if (!number_quick(number + 1, size - 1, &item->value)) return false;
        if (*number == '-') item->value = -item->value;
    } else if (UNLIKELY(!number_quick(number, size, &item->value))) {
        return false;
    }
    if (type_end == end) return true;
    if (LIKELY(text[type_end + 1] == '#' && mark_from(marks->bars, type_end + 1, end) >= end)) { /* tags and no more */
        item->tags = text + type_end + 2;
        item->tags_size = (uint16_t)(end - type_end - 2);
        return type_end + 1 < end && item->tags_size <= SECTION_READ;
    }
    return line_quick_sections(text, marks, type_end + 1, end, item);
}

#endif
