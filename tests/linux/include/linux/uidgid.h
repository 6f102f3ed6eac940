/* Stub: a user's number in a type of its own. */
#ifndef STUB_UIDGID_H
#define STUB_UIDGID_H

typedef struct {
	unsigned int val;
} kuid_t;

#endif
