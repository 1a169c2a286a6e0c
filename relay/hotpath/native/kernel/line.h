/* The grammar of a StatsD line; the same answers as relay/hotpath/line.py, which is its readable specification.
 *
 * Theory. Two readers. `line_quick` takes what nearly every line is (one value, one type, at most one rate and one
 * section of tags, maybe a container id) from the marks of scan.h, in one pass without a copy. Whatever it cannot take,
 * also everything that must be rejected, goes to `line_parse`, which reads the whole grammar: packed values, older
 * groups, several sections of tags, timestamps, unknown sections, and the one reason of a rejection.
 *
 * Cost: quick about 100 instructions; parse linear in the line's bytes. Invariant: what quick takes, parse would read
 * the same way (a test feeds both). */
#ifndef RELAY_LINE_H
#define RELAY_LINE_H

#include "number.h"
#include "scan.h"

#define NO_TIMESTAMP (-1)

typedef struct value {
    double number; /* without the sign's meaning for a gauge */
    span text;     /* of a set: its member */
    bool relative; /* a sign stood before it: a delta, if the type is a gauge */
} value;

/* Values that share a type and its sections. */
typedef struct group {
    enum kind kind;
    span tags;
    double weight;     /* 1 / rate; 1 for gauges and sets */
    int64_t timestamp; /* or NO_TIMESTAMP */
    uint32_t ignored;  /* sections nobody knows */
    value *values;
    size_t count;
    void *identity; /* for store.c */
} group;

typedef struct line {
    span name;
    group *groups;
    size_t count;
} line;

/* Room for the largest line; pages that no line needs are never touched. */
typedef struct parser {
    locale_t locale;
    value *values;
    group *groups;
    uint8_t *joined; /* sections of tags, joined by commas */
} parser;

bool parser_init(parser *parser);
void parser_free(parser *parser);

bool line_is_event(span text);

/* Reads one line without its line feed; returns NO_REASON or why it is rejected. The result lives in the parser. */
int line_parse(parser *parser, span text, line *line);

/* What line_quick reads: offsets from the line's first byte, so that 56 bytes hold it. */
typedef struct item {
    const uint8_t *at;
    const void *peer; /* for feed.c */
    uint64_t hash;
    double value, weight;
    uint16_t size, name, tags, tags_size, member, member_size; /* the name starts at 0 */
    uint8_t kind;
    bool relative;
} item;

static inline span item_name(const item *item) { return (span){item->at, item->name}; }
static inline span item_tags(const item *item) { return (span){item->at + item->tags, item->tags_size}; }
static inline span item_member(const item *item) { return (span){item->at + item->member, item->member_size}; }

/* Reads the sections from `at` (after the bar behind the type) to `end`; false: use line_parse. */
bool line_quick_sections(const uint8_t *text, const marks *marks, size_t at, size_t end, size_t start, item *item);

static inline double rate_to_weight(double rate) {
    return rate > 0 ? 1.0 / (rate > 1e-300 ? rate : 1e-300) : rate == 0 ? 1.0 : 0.0;
}

static inline int type_to_kind(const uint8_t *at, size_t size) {
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

/* Reads the line [start, end) of a marked text; false: use line_parse. */
static inline bool line_quick(const uint8_t *text, const marks *marks, size_t start, size_t end, item *item) {
    size_t colon = next_mark(marks->colons, start, end);
    size_t bar = next_mark(marks->bars, colon, end);
    if (UNLIKELY(bar == end || colon == start || text[start] == '_')) return false;
    size_t stop = end - (text[end - 1] == '\r'), type_end = next_mark(marks->bars, bar + 1, stop);
    int kind = type_to_kind(text + bar + 1, type_end - bar - 1);
    if (UNLIKELY(kind < 0)) return false;
    const uint8_t *number = text + colon + 1;
    size_t size = bar - colon - 1;
    item->at = text + start;
    item->size = (uint16_t)(stop - start);
    item->name = (uint16_t)(colon - start);
    item->tags = item->tags_size = 0;
    item->kind = (uint8_t)kind;
    item->relative = false;
    item->weight = 1.0;
    if (UNLIKELY(kind == SET)) {
        item->member = (uint16_t)(colon + 1 - start);
        item->member_size = (uint16_t)size;
        if (size == 0) return false;
    } else {
        bool negative = *number == '-';
        item->relative = negative || *number == '+';
        if (!number_quick(number + item->relative, size - item->relative, &item->value)) return false;
        if (negative) item->value = -item->value;
    }
    return type_end == stop || line_quick_sections(text, marks, type_end + 1, stop, start, item);
}

#endif
