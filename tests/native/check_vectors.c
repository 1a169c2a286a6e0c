/* Invariant: on every architecture, and with every scanner, a line is handled as its vector says.
 *
 * Reads "OUTCOME REASON HEX" lines from standard input. OUTCOME is accepted, event, rejected or nothing; REASON is a
 * number. */
#include "harness.h"

static size_t read_hex(const char *hex, uint8_t *into) {
    size_t size = 0;
    for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++) into[size] = (uint8_t)byte;
    return size;
}

/* Feeds a line twice, first new and then known, and compares the counts. */
static bool check(scanner *scan, const char *outcome, int reason, span line) {
    hotpath *self = make_hotpath(100, 10000000);
    self->scan = scan;
    peer peer = peer_unknown(0);
    for (int i = 0; i < 2; i++) {
        hotpath_feed(self, line, &peer, START);
        while (name_some(self, 64)) {}
    }
    uint64_t rejected = reason >= 0 ? self->rejects.counts[reason] : 0;
    bool right = self->counts.accepted == 2 * (strcmp(outcome, "accepted") == 0) &&
                 self->counts.events == 2 * (strcmp(outcome, "event") == 0) &&
                 rejected == 2 * (strcmp(outcome, "rejected") == 0);
    check_balance(self, 0);
    hotpath_free(self);
    return right;
}

int main(void) {
    static char hex[2 * DATAGRAM_BYTES], row[2 * DATAGRAM_BYTES + 64];
    static uint8_t line[DATAGRAM_BYTES];
    char outcome[16];
    int reason, count = 0, wrong = 0;
    while (fgets(row, sizeof row, stdin)) {
        hex[0] = '\0';
        if (sscanf(row, "%15s %d %s", outcome, &reason, hex) < 2) return 1;
        span text = {line, read_hex(hex, line)};
        bool right = check(scan_choose(), outcome, reason, text) && check(scan_portable, outcome, reason, text);
        if (!right) printf("wrong: %s", row);
        wrong += !right;
        count++;
    }
    printf("%d vectors, %d wrong\n", count, wrong);
    return wrong > 0 || count == 0;
}
