/*
 * deadwalk: the type of the flags of an allocation.
 */
#ifndef DEADWALK_GFP_H
#define DEADWALK_GFP_H

typedef unsigned int gfp_t;

#endif
