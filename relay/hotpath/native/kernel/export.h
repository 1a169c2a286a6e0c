/* Writes cells as records of the partial format (relay/hotpath/partial.py), for checkpoints and at a stop.
 *
 * Theory. A record has the absolute state of a cell, so the newest record of a series replaces the earlier ones.
 * Finding the changed cells costs the hot path nothing: each change of a cell increases its `samples`, and a window's
 * entry has their number at its last export.
 *
 * A call holds the lock for at most 256 records, 256 KiB, or 8,192 unchanged entries. The format is MessagePack, so
 * one decoder in Python reads the frames of both hot paths.
 *
 * Cost: 100 to 300 ns for a record, 10 ns for an unchanged entry. Memory: the caller's buffer grows to the largest
 * frame. */
#ifndef RELAY_EXPORT_H
#define RELAY_EXPORT_H

#include "hotpath.h"

#define EXPORTED_RECORDS 256
#define EXPORTED_BYTES 262144 /* the call ends after the record that reaches this size; a full sketch has 50 KiB */
#define EXPORTED_SCAN 8192

typedef struct output {
    uint8_t *bytes;
    size_t used, capacity;
    bool failed; /* memory is missing: `bytes` is not a valid frame */
} output;

/* Progress over the calls of one export; begin with zeros. */
typedef struct progress {
    size_t next;     /* index of the next entry of the open window */
    size_t records;  /* records of the last call */
    int64_t window;  /* id of the open window */
    bool exhausted;  /* these are the last records */
} progress;

/* Writes the payload of one frame to the beginning of `out`. `changed`: only cells that changed since their last
 * export. Without records the payload is an empty frame. */
void hotpath_export(hotpath *self, progress *progress, bool changed, output *out);

void output_free(output *out);

#endif
