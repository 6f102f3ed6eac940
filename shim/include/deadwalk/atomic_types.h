/*
 * deadwalk: the types of atomic integers.
 */
#ifndef DEADWALK_ATOMIC_TYPES_H
#define DEADWALK_ATOMIC_TYPES_H

typedef struct {
	volatile int counter;
} atomic_t;

typedef struct {
	volatile long long counter;
} atomic64_t;
typedef atomic64_t atomic_long_t;

#define ATOMIC_INIT(value) { (value) }
#define ATOMIC64_INIT(value) { (value) }
#define ATOMIC_LONG_INIT(value) { (value) }

#endif
