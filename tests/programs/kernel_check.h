/*
 * Says which expectations do not hold. To be included last.
 */
static int wrong;

#define CHECK(expectation) \
	do { \
		if (!(expectation)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expectation); \
			wrong++; \
		} \
	} while (0)
