#include "hash.h"

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u,
                      P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t word, unsigned bits) { return word << bits | word >> (64 - bits); }

static uint64_t little64(const uint8_t *at) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) word |= (uint64_t)at[i] << (8 * i);
    return word;
}

static uint64_t little32(const uint8_t *at) {
    return at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static uint64_t add_lane(uint64_t lane, uint64_t word) { return rotate(lane + word * P2, 31) * P1; }

/* Hashes the blocks of 32 bytes, and advances the span behind them. */
static uint64_t stripes(span *text) {
    uint64_t lane[4] = {P1 + P2, P2, 0, 0 - P1};
    for (; text->size >= 32; text->at += 32, text->size -= 32)
        for (unsigned i = 0; i < 4; i++) lane[i] = add_lane(lane[i], little64(text->at + 8 * i));
    uint64_t state = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (unsigned i = 0; i < 4; i++) state = (state ^ add_lane(0, lane[i])) * P1 + P4;
    return state;
}

uint64_t xxh64(span text) {
    size_t whole = text.size;
    uint64_t state = (whole >= 32 ? stripes(&text) : P5) + whole;
    for (; text.size >= 8; text.at += 8, text.size -= 8)
        state = rotate(state ^ add_lane(0, little64(text.at)), 27) * P1 + P4;
    if (text.size >= 4) {
        state = rotate(state ^ little32(text.at) * P1, 23) * P2 + P3;
        text.at += 4;
        text.size -= 4;
    }
    for (; text.size > 0; text.at++, text.size--) state = rotate(state ^ *text.at * P5, 11) * P1;
    state = (state ^ state >> 33) * P2;
    state = (state ^ state >> 29) * P3;
    return state ^ state >> 32;
}
