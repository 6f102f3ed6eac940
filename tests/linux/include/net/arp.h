/* Stub: named by what is compiled, and not needed. */
