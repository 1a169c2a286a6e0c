#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Ends the bitmaps: clears the bits of the pad in the last word, and adds a word of zeros. */
static void finish(marks *marks, size_t size) {
    size_t word = size >> 6;
    uint64_t inside = ((uint64_t)1 << (size & 63)) - 1;
    marks->feeds[word] &= inside;
    marks->colons[word] &= inside;
    marks->bars[word] &= inside;
}

/* Returns one bit for each byte of a word that equals `byte`; exact, without borrows between bytes. */
static uint64_t equal_bits(uint64_t word, uint8_t byte) {
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    uint64_t other = word ^ 0x0101010101010101u * byte;
    uint64_t equal = ~(((other & low) + low) | other | low);
    return (equal >> 7) * 0x0102040810204080u >> 56;
}

void scan_portable(const uint8_t *at, size_t size, marks *marks) {
    for (size_t word = 0; word <= size >> 6; word++) {
        uint64_t feeds = 0, colons = 0, bars = 0;
        for (unsigned i = 0; i < 64; i += 8) {
            uint64_t bytes = 0;
            for (unsigned j = 0; j < 8; j++) bytes |= (uint64_t)at[64 * word + i + j] << (8 * j);
            feeds |= equal_bits(bytes, '\n') << i;
            colons |= equal_bits(bytes, ':') << i;
            bars |= equal_bits(bytes, '|') << i;
        }
        marks->feeds[word] = feeds;
        marks->colons[word] = colons;
        marks->bars[word] = bars;
    }
    finish(marks, size);
}

#if defined(__x86_64__)

static uint64_t equal_sse2(const __m128i part[4], __m128i byte) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < 4; i++)
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(part[i], byte)) << (16 * i);
    return bits;
}

static void scan_sse2(const uint8_t *at, size_t size, marks *marks) {
    const __m128i feed = _mm_set1_epi8('\n'), colon = _mm_set1_epi8(':'), bar = _mm_set1_epi8('|');
    for (size_t word = 0; word <= size >> 6; word++) {
        __m128i part[4];
        for (unsigned i = 0; i < 4; i++) part[i] = _mm_loadu_si128((const void *)(at + 64 * word + 16 * i));
        marks->feeds[word] = equal_sse2(part, feed);
        marks->colons[word] = equal_sse2(part, colon);
        marks->bars[word] = equal_sse2(part, bar);
    }
    finish(marks, size);
}

__attribute__((target("avx2"))) static uint64_t equal_avx2(__m256i low, __m256i high, char byte) {
    const __m256i wanted = _mm256_set1_epi8(byte);
    uint64_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted));
    return bits | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) << 32;
}

__attribute__((target("avx2"))) static void scan_avx2(const uint8_t *at, size_t size, marks *marks) {
    for (size_t word = 0; word <= size >> 6; word++) {
        __m256i low = _mm256_loadu_si256((const void *)(at + 64 * word));
        __m256i high = _mm256_loadu_si256((const void *)(at + 64 * word + 32));
        marks->feeds[word] = equal_avx2(low, high, '\n');
        marks->colons[word] = equal_avx2(low, high, ':');
        marks->bars[word] = equal_avx2(low, high, '|');
    }
    finish(marks, size);
}

scanner *scan_choose(void) { return __builtin_cpu_supports("avx2") ? scan_avx2 : scan_sse2; }

#elif defined(__aarch64__)

/* NEON has no movemask: give each byte the weight of its bit, and add neighbours three times. */
static uint64_t equal_neon(const uint8x16_t part[4], uint8_t byte) {
    const uint8x16_t weight = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bits[4];
    for (unsigned i = 0; i < 4; i++) bits[i] = vandq_u8(vceqq_u8(part[i], vdupq_n_u8(byte)), weight);
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static void scan_neon(const uint8_t *at, size_t size, marks *marks) {
    for (size_t word = 0; word <= size >> 6; word++) {
        uint8x16_t part[4];
        for (unsigned i = 0; i < 4; i++) part[i] = vld1q_u8(at + 64 * word + 16 * i);
        marks->feeds[word] = equal_neon(part, '\n');
        marks->colons[word] = equal_neon(part, ':');
        marks->bars[word] = equal_neon(part, '|');
    }
    finish(marks, size);
}

scanner *scan_choose(void) { return scan_neon; }

#else

scanner *scan_choose(void) { return scan_portable; }

#endif
