/* Cells as records of the partial format (relay/hotpath/partial.py), for checkpoints and for stops.
 *
 * Theory. A record holds the absolute state of a cell, so the newest one of a series is all that counts and writing one
 * twice is harmless. Which cells changed since they were last exported costs the hot path nothing: every change of a cell
 * adds to its `samples`, and an entry of the window remembers how many there were when it was exported.
 *
 * The reader waits for at most one call: up to 256 records or 256 KiB, or a scan of 8,192 entries that did not change. The text is
 * MessagePack, so that the one decoder in Python reads what either hot path wrote.
 *
 * Cost: 100 to 300 ns a record, 10 ns an unchanged entry. Memory: the caller's buffer, which grows to the largest frame. */
#ifndef RELAY_EXPORT_H
#define RELAY_EXPORT_H

#include "hotpath.h"

#define EXPORTED_RECORDS 256
#define EXPORTED_BYTES 262144 /* full sketches take 50 KiB each: a call ends after the record that gets here */
#define EXPORTED_SCAN 8192

typedef struct output {
    uint8_t *bytes;
    size_t used, capacity;
    bool failed; /* no memory: what `bytes` holds is of no use */
} output;

/* What a call looked at: entries of the open window from `next` on. Begin with zeros. */
typedef struct progress {
    size_t next, records;
    int64_t window;  /* id of the open window */
    bool exhausted;  /* there is nothing after these records */
} progress;

/* Writes the payload of one frame into `out`, from its beginning; `changed`: only cells that changed since they were last
 * exported. No records: the payload is an empty frame. */
void hotpath_export(hotpath *self, progress *progress, bool changed, output *out);

void output_free(output *out);

#endif
